"""How far a study is, from its files alone: another terminal, another machine on the same folder, or after everything has stopped."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from polyprefix.results.files import read_result
from polyprefix.results.folder import is_finished
from polyprefix.study.bookkeeping import Bookkeeping
from polyprefix.study.grid import TUNE, Cell
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
    durations: dict[str, list[float]] = {}
    open_models: list[str] = []
    for cell in cells:
        config = resolved(cell, books)
        run_id = config.run_id() if config else ""
        progress = books.progress(run_id) if config else None
        state: State = "to do"
        if config is None:
            state = "undecided"
        elif is_finished(books.out, run_id):
            state = "done"
            durations.setdefault(cell.config.model, []).append(_seconds(books, run_id))
        elif progress:
            state = "running"
            running.append(_running(run_id, progress))
        elif failure := books.failure(run_id):
            state = "diverged" if cell.part == TUNE and failure["diverged"] else "failed"
            failed |= {run_id: failure["error"]} if state == "failed" else {}
        if state not in ("done", "diverged"):
            open_models.append(cell.config.model)
        counts.setdefault(cell.part, Counter())[state] += 1
    left = _left(durations, open_models, len(running))
    return Status({part: dict(states) for part, states in counts.items()}, tuple(running), failed, left)


def _seconds(books: Bookkeeping, run_id: str) -> float:
    cost = read_result(books.out / run_id).cost
    return cost.get("train_seconds", 0.0) + cost.get("eval_seconds", 0.0)


def _left(durations: dict[str, list[float]], open_models: Sequence[str], processes: int) -> float | None:
    """Open cells take as long as finished ones of their model, or of any where it has none."""
    everything = [seconds for found in durations.values() for seconds in found]
    if not everything:
        return None
    means = {model: sum(found) / len(found) for model, found in durations.items()}
    overall = sum(everything) / len(everything)
    return sum(means.get(model, overall) for model in open_models) / max(1, processes)


def _running(run_id: str, found: dict[str, Any]) -> Running:
    now, done, total = time.time(), found["done"], found["total"]
    elapsed = max(1e-3, now - found["phase_began"])
    rate = done / elapsed
    return Running(
        run_id, found["host"], found["process"], now - found["began"], found["phase"], done, total, rate,
        (total - done) / rate if rate and total else None, found["note"],
    )  # fmt: skip
