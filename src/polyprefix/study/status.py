"""How far a study is, from its files alone: another terminal, another machine on the same folder, or after everything has stopped."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from polyprefix.config import RunConfig
from polyprefix.errors import ModelError
from polyprefix.results.files import read_result
from polyprefix.results.folder import is_finished
from polyprefix.study.devices import SOME_PROCESSOR
from polyprefix.study.grid import TUNE, Cell
from polyprefix.study.locks import Bookkeeping
from polyprefix.study.tuning import resolved

State = Literal["done", "running", "failed", "diverged", "undecided", "to do"]
"""`undecided`: settings are still to be chosen by the part `tune`; `diverged`: a candidate whose loss was no number."""


@dataclass(frozen=True, slots=True)
class Running:
    """A cell under way."""

    run_id: str
    host: str
    process: int
    seconds: float
    """Since it began here."""
    phase: str
    done: int
    total: int
    """Units of the phase, such as examples; 0 where it has none."""
    per_second: float
    seconds_left: float | None
    """Of the phase."""
    note: str


@dataclass(frozen=True, slots=True)
class Status:
    """How far a study is."""

    counts: dict[str, dict[State, int]]
    """Part -> state -> cells."""
    running: tuple[Running, ...]
    failed: dict[str, str]
    """Run id -> error of the last attempt."""
    seconds_left: float | None
    """Of the whole study at the pace of what is finished; None before the first result."""

    @property
    def complete(self) -> bool:
        """Whether nothing is left to do."""
        return all(state in ("done", "diverged") for part in self.counts.values() for state in part)

    def as_dict(self) -> dict[str, Any]:
        """Plain values."""
        return {**asdict(self), "complete": self.complete}


def status(cells: Sequence[Cell], books: Bookkeeping) -> Status:
    """Look at every cell; nothing is changed."""
    counts: dict[str, Counter[State]] = {}
    running: list[Running] = []
    failed: dict[str, str] = {}
    finished: list[tuple[RunConfig, float]] = []
    unfinished: list[RunConfig] = []
    for cell in cells:
        config = resolved(cell, books)
        run_id = config.run_id() if config else ""
        progress = books.progress(run_id) if config else None
        state: State = "to do"
        if config is None:
            state = "undecided"
        elif is_finished(books.out, run_id):
            state = "done"
            finished.append((config, read_result(books.out / run_id).seconds))
        elif progress:
            state = "running"
            running.append(_running(run_id, progress))
        elif failure := books.failure(run_id):
            state = "diverged" if cell.part == TUNE and failure["diverged"] else "failed"
            failed |= {run_id: failure["error"]} if state == "failed" else {}
        if state not in ("done", "diverged"):
            unfinished.append(config or cell.config)
        counts.setdefault(cell.part, Counter())[state] += 1
    left = _left(finished, unfinished, len(running))
    return Status({part: dict(states) for part, states in counts.items()}, tuple(running), failed, left)


def _left(finished: Sequence[tuple[RunConfig, float]], unfinished: Sequence[RunConfig], processes: int) -> float | None:
    """Open cells take as many times their estimate as finished ones did; on average as long as those where there is no estimate.

    Cells are of very different lengths: those that choose settings are short, and they are the first.
    """
    if not finished or not unfinished:
        return None
    known = [(cost, seconds) for config, seconds in finished if (cost := _counted(config))]
    times = sum(seconds for _, seconds in known) / sum(cost for cost, _ in known) if known else 0.0
    average = sum(seconds for _, seconds in finished) / len(finished)
    lengths = ((cost * times) if known and (cost := _counted(config)) else average for config in unfinished)
    return sum(lengths) / max(1, processes)


def _counted(config: RunConfig) -> float | None:
    """Seconds by counting, on a processor of no particular speed."""
    from polyprefix.study.estimate import estimate  # which a study that is complete does not need

    try:
        cost = estimate(config, SOME_PROCESSOR)
    except ModelError:
        return None
    return cost.seconds if cost else None


def _running(run_id: str, found: dict[str, Any]) -> Running:
    now, done, total = time.time(), found["done"], found["total"]
    elapsed = max(1e-3, now - found["phase_began"])
    rate = done / elapsed
    return Running(
        run_id, found["host"], found["process"], now - found["began"], found["phase"], done, total, rate,
        (total - done) / rate if rate and total else None, found["note"],
    )  # fmt: skip
