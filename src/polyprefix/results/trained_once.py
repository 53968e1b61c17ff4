"""One training for several runs that differ in what they are tested on.

A study keeps the last checkpoint of such a training and its log until the last of those runs is finished. A run that finds them goes on
from there, as one that was stopped between training and testing does, and so ends with the same weights.

    OUT/.trained/<digest of all that decides the weights>/     made_by.json, checkpoint.pt, train.jsonl
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from polyprefix.atomic import output_errors, write_text, writing
from polyprefix.results.folder import RunFolder

MADE_BY = "made_by.json"
TRAINED = ".trained"


class TrainedOnce:
    """The training of one digest."""

    def __init__(self, out: Path, digest: str, made_by: Mapping[str, object]) -> None:
        """Nothing is read or written yet.

        Args:
            out: the folder of the study's results.
            made_by: versions of the code, weights and data; what others left is not used.
        """
        self.path = out / TRAINED / digest
        self._made_by = json.loads(json.dumps(made_by))

    def fetch(self, run: RunFolder) -> str | None:
        """Let a run that has not begun to train go on from the end of the training.

        Returns:
            The id of the run that was trained; None where none is here.

        Raises:
            OutputError: if the folder of the run cannot be written.
        """
        checkpoint, trained = run.unfinished.checkpoint, self._trained()
        if checkpoint.exists() or trained is None:
            return None
        with output_errors(run.path):
            shutil.copyfile(self.path / run.train_log.name, run.train_log)
            _linked(self.path / checkpoint.name, checkpoint)
        return trained

    def keep(self, run: RunFolder) -> None:
        """Keep what a run has trained.

        Raises:
            OutputError: if it cannot be written.
        """
        checkpoint = run.unfinished.checkpoint
        if self._trained() or not checkpoint.exists():
            return
        with output_errors(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            _linked(checkpoint, self.path / checkpoint.name)
            with writing(self.path / run.train_log.name) as temporary:
                shutil.copyfile(run.train_log, temporary)
        said = {"run": run.run_id, "made_by": self._made_by}
        write_text(self.path / MADE_BY, json.dumps(said))  # last: it says that the others are there

    def forget(self) -> None:
        """Remove it: no run needs it any more."""
        shutil.rmtree(self.path, ignore_errors=True)

    def _trained(self) -> str | None:
        """The run that was trained, if what it left is whole and of the same versions."""
        try:
            said = json.loads((self.path / MADE_BY).read_text(encoding="utf-8"))
            return str(said["run"]) if said["made_by"] == self._made_by else None
        except (OSError, ValueError, KeyError, TypeError):
            return None


def once_note(run_id: str) -> str:
    """What the result of a run says that took the training of another."""
    return f"trained once, with {run_id}, which is tested otherwise: the costs of training are those of that training"


def any_trained(out: Path) -> bool:
    """Whether a study keeps some training: else no run has to say which one it could take."""
    return (out / TRAINED).is_dir()


def forget_all(out: Path) -> None:
    """Remove what a study that has nothing left to run kept."""
    shutil.rmtree(out / TRAINED, ignore_errors=True)


def _linked(source: Path, target: Path) -> None:
    """The same file under two names, or a copy where the file system has no such thing; a checkpoint is replaced, never changed."""
    with writing(target) as temporary:
        temporary.unlink(missing_ok=True)
        with suppress(OSError):
            os.link(source, temporary)
            return
        shutil.copyfile(source, temporary)
