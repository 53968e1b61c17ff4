"""What an interrupted run can go on from, inside its hidden folder: never part of a result.

OUT/.RUN_ID.partial/unfinished/
    made_by.json          versions of what writes here; what other versions left is not used
    checkpoint.pt         training, written by the engine
    answers/CODE.parquet  the answers in a language that is done
    answers/CODE.json     what they took (seconds and counts); written last
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from polyprefix.atomic import output_errors, write_text
from polyprefix.data.select import evaluation_subset
from polyprefix.errors import OutputError
from polyprefix.results.files import read_predictions, write_predictions
from polyprefix.types import Example, Prediction

UNFINISHED = "unfinished"


class Unfinished:
    """The folder of what is kept until a run is finished."""

    def __init__(self, folder: Path, made_by: Mapping[str, object]) -> None:
        """Keep what the same versions left, and nothing else.

        Raises:
            OutputError: if the folder cannot be written.
        """
        self.path = folder / UNFINISHED
        stamp, file = json.dumps(made_by, sort_keys=True), self.path / "made_by.json"
        with output_errors(self.path):
            if not file.is_file() or file.read_text(encoding="utf-8", errors="replace") != stamp:
                shutil.rmtree(self.path, ignore_errors=True)
            (self.path / "answers").mkdir(parents=True, exist_ok=True)
        write_text(file, stamp)

    @property
    def checkpoint(self) -> Path:
        """Where training keeps its checkpoint."""
        return self.path / "checkpoint.pt"

    def get(self, language: str, examples: Sequence[Example]) -> tuple[list[Prediction], Mapping[str, float]] | None:
        """The answers to exactly these examples, or to those of them that were asked, and what they took, if they are there."""
        try:
            figures = json.loads(self._file(language, "json").read_text(encoding="utf-8"))
            predictions, _ = read_predictions(self._file(language, "parquet"))
        except (OSError, ValueError, OutputError):
            return None
        wanted = evaluation_subset(examples, int(figures.get("asked", len(examples))))
        same = [p.example_id for p in predictions] == [example.id for example in wanted]
        return (predictions, figures) if same else None

    def put(self, language: str, predictions: Sequence[Prediction], figures: Mapping[str, float]) -> None:
        """Keep the answers of one language.

        Raises:
            OutputError: if they cannot be written.
        """
        unscored = [0.0] * len(predictions)  # scores are made when all are there
        write_predictions(self._file(language, "parquet"), predictions, unscored)
        write_text(self._file(language, "json"), json.dumps(dict(figures)))

    def _file(self, language: str, kind: str) -> Path:
        return self.path / "answers" / f"{language}.{kind}"
