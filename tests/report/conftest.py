"""Synthetic runs on disk, written by the functions that write real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.report.studies import write_study

from polyprefix.report.grid import Grid, read_grid
from polyprefix.report.page import write_page
from polyprefix.report.view import View
from polyprefix.results.files import write_predictions
from polyprefix.results.folder import RunFolder
from polyprefix.scoring.metrics import accuracy
from polyprefix.types import Prediction, RunResult, Score

WriteRun = Callable[..., Path]


@pytest.fixture
def write_run(tmp_path: Path) -> WriteRun:
    """Writes a finished run in which a share of the answers is right; returns its folder."""

    def write(
        run_id: str, codes: list[str], share: float, *, n: int = 40, notes: tuple[str, ...] = (), **config: Any
    ) -> Path:
        random = np.random.default_rng(len(run_id))
        predictions, correctness = [], []
        scores = {}
        baselines: dict[str, dict[str, Score]] = {"character n-grams": {}, "majority": {}}
        for code in codes:
            correct = [float(value) for value in random.random(n) < share]
            predictions += [Prediction(str(i), code, ("yes",), "yes" if c else "no") for i, c in enumerate(correct)]
            correctness += correct
            scores[code] = {"accuracy": accuracy(correct)}
            for baseline in baselines.values():
                baseline[code] = accuracy([1.0, 0.0, 0.0])
        settings = {"model": "tiny", "task": "terms", "method": {"name": "prefix"}, "seed": 0, **config}
        cost = {"train_seconds": 75.0, "eval_examples_per_second": 31.25, "peak_memory_bytes": 2.5e9}
        folder = RunFolder(tmp_path, run_id)
        write_predictions(folder.predictions, predictions, correctness)
        return folder.finish(
            RunResult(
                run_id,
                settings,
                {"packages": {"torch": "2.13"}, "device": "cpu"},
                {"trainable": 163_840, "total": 268_098_176},
                scores,
                cost,
                notes,
                baselines,
            )
        )

    return write


@pytest.fixture(scope="session")
def small_study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """6 methods x 2 tasks x 2 models x 2 seeds in 9 languages."""
    return write_study(tmp_path_factory.mktemp("study"), count=9, n=12)


@pytest.fixture(scope="session")
def small_grid(small_study: Path) -> Grid:
    return read_grid([small_study])


@pytest.fixture(scope="session")
def small_views(small_grid: Grid) -> tuple[View, ...]:
    return small_grid.views


@pytest.fixture(scope="session")
def small_page(small_grid: Grid, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the small study."""
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(small_grid, path)
    return path.read_text(encoding="utf-8")
