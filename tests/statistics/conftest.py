"""Synthetic runs on disk, with answers that are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyprefix.results.files import write_predictions
from polyprefix.results.folder import RunFolder
from polyprefix.scoring.metrics import accuracy
from polyprefix.types import Prediction, RunResult

CODES = ("eng_Latn", "deu_Latn", "hin_Deva", "swh_Latn", "arb_Arab", "fin_Latn")
WriteRun = Callable[..., Path]


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Writes a finished run whose correctness is given by language and id; returns the folder of all runs."""

    def write(method: str, correctness: Mapping[str, Mapping[str, float]], /, *, seed: int = 0, **config: Any) -> Path:
        settings = {"model": "tiny", "task": "terms", "seed": seed, "shots": 0, **config}
        settings["method"] = {"name": method, **config.get("method", {})}
        run_id = f"{settings['task']}-{method}-{settings['model']}-{seed}-{abs(hash(repr(config))) % 10**6}"
        flat = [(code, key, value) for code, answers in correctness.items() for key, value in answers.items()]
        predictions = [Prediction(key, code, ("yes",), "yes" if value else "no") for code, key, value in flat]
        folder = RunFolder(tmp_path / "runs", run_id)
        write_predictions(folder.predictions, predictions, [value for _, _, value in flat])
        folder.finish(
            RunResult(
                run_id,
                settings,
                {},
                {"trainable": 10, "total": 100},
                {code: {"accuracy": accuracy(list(answers.values()))} for code, answers in correctness.items()},
                {},
                fertility={code: 1.0 + 0.1 * i for i, code in enumerate(correctness)},
            )
        )
        return tmp_path / "runs"

    return write


def answers(share: float, *, n: int = 60, codes: tuple[str, ...] = CODES, seed: int = 0) -> dict[str, dict[str, float]]:
    """Answers of which a share is right, harder in later languages; the same ids everywhere."""
    random = np.random.default_rng(seed)
    easiness = random.random(n)
    return {
        code: {str(i): float(easiness[i] + 0.3 * random.random() < share + 0.15 - 0.05 * row) for i in range(n)}
        for row, code in enumerate(codes)
    }
