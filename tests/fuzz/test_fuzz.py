"""Law: whatever a file of somebody else holds, it is read, or refused in one line, in seconds.

A short run of each target with fixed numbers, and all inputs that ever failed; `make fuzz` goes on for ten minutes.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.fuzz.run import outcome
from tests.fuzz.targets import TARGETS

COUNTS = {
    "config": 120,
    "assignment": 120,
    "study": 80,
    "task": 80,
    "data": 150,
    "adapter": 60,
    "run_folder": 60,
    "model_folder": 40,
    "language": 60,
}
FAILED_ONCE = [
    ("task", 46), ("task", 99), ("adapter", 54), ("study", 58), ("study", 99), ("model_folder", 69), ("run_folder", 9), ("run_folder", 18),
    ("run_folder", 26), ("run_folder", 28), ("run_folder", 77), ("run_folder", 87), ("run_folder", 154), ("run_folder", 201),
    ("adapter", 1416), ("adapter", 1511), ("adapter", 1800),
]  # fmt: skip
"""Numbers of inputs that ended in a traceback or hung."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("fuzz")


@pytest.mark.parametrize("target", TARGETS)
def test_damaged_files_are_read_or_refused_in_one_line(target: str, folder: Path) -> None:
    found = {seed: outcome(target, seed, folder) for seed in range(COUNTS[target])}
    assert {seed: what for seed, what in found.items() if what not in ("read", "one line")} == {}


@pytest.mark.parametrize(("target", "seed"), FAILED_ONCE)
def test_what_failed_once_does_so_no_more(target: str, seed: int, folder: Path) -> None:
    assert outcome(target, seed, folder) in ("read", "one line")
