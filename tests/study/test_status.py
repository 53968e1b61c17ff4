"""Law: what is left of a study is told from what its finished cells took, long cells counting as long ones."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.study.studies import grid

from polyprefix.results.folder import RunFolder
from polyprefix.study.devices import SOME_PROCESSOR
from polyprefix.study.estimate import estimate
from polyprefix.study.grid import Cell
from polyprefix.study.locks import Bookkeeping
from polyprefix.study.status import status
from polyprefix.types import RunResult, Score


def finish(out: Path, cell: Cell, seconds: float) -> None:
    scores = {"eng_Latn": {"accuracy": Score(1.0, 1, (0.0, 1.0))}}
    cost = {"train_seconds": seconds / 2, "eval_seconds": seconds / 2}
    RunFolder(out, cell.config.run_id()).finish(RunResult(cell.config.run_id(), {}, {}, {}, scores, cost))


def counted(cell: Cell) -> float:
    cost = estimate(cell.config, SOME_PROCESSOR)
    assert cost is not None
    return cost.seconds


def test_a_long_cell_takes_longer_than_the_short_ones_before_it(tmp_path: Path) -> None:
    base = {"model": "gemma-3-270m", "languages": "all"}
    short, long = grid(tmp_path, base=base, axes={"method": ["prefix"], "eval_size": [3, 60]})
    assert counted(long) > 5 * counted(short)
    assert status((short, long), Bookkeeping(tmp_path)).seconds_left is None
    finish(tmp_path, short, 2 * counted(short))
    assert status((short, long), Bookkeeping(tmp_path)).seconds_left == pytest.approx(2 * counted(long))
    finish(tmp_path, long, 1.0)
    assert status((short, long), Bookkeeping(tmp_path)).complete


def test_without_an_estimate_cells_take_as_long_as_others_did(tmp_path: Path) -> None:
    cells = grid(tmp_path, base={"model": str(tmp_path / "nowhere")}, axes={"method": ["prefix", "lora", "none"]})
    for cell, seconds in zip(cells[:2], (3.0, 5.0), strict=True):
        finish(tmp_path, cell, seconds)
    assert status(cells, Bookkeeping(tmp_path)).seconds_left == pytest.approx(4.0)
