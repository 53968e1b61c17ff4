"""Running a study: what has a result is skipped, the rest is run, and what fails does not stop the others.

The state of a study is its files alone. Any number of processes may run the same study in the same folder; each takes cells that no
other has, waits for those that others have, and takes over what a dead one left.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from polyprefix.adapters import registry as methods
from polyprefix.config import RunConfig
from polyprefix.engine.processes import processes
from polyprefix.evaluation import shared_activations
from polyprefix.progress import SILENT, Reporter
from polyprefix.results import trained_once
from polyprefix.results.folder import is_finished
from polyprefix.study.activation_sharing import with_shared_layers
from polyprefix.study.grid import TUNE, Cell
from polyprefix.study.locks import Bookkeeping
from polyprefix.study.tuning import resolved
from polyprefix.study.worker import Outcome, Workplace

Tell = Callable[[str], None]

PAUSE = 2.0
"""Seconds between two looks at cells that other processes do."""


@dataclass(slots=True)
class Outcomes:
    """What became of the cells in this process."""

    done: list[str] = field(default_factory=list)
    found: int = 0
    """Cells that had a result before, or got one from another process."""
    failed: dict[str, str] = field(default_factory=dict)
    """Run id -> error."""
    undecided: int = 0
    """Cells whose settings could not be chosen, because the runs that choose failed."""

    @property
    def complete(self) -> bool:
        """Whether every cell has a result."""
        return not self.failed and not self.undecided


def run_study(
    cells: Sequence[Cell],
    out: Path,
    *,
    hub: Path | None = None,
    reporter: Reporter = SILENT,
    tell: Tell = lambda line: None,
    checkpoint_seconds: float = 60.0,
    activation_bytes: int | None = None,
) -> Outcomes:
    """Run every cell that has no result, one after the other in this process.

    Args:
        out: the folder of the study's results.
        reporter: where the progress inside a cell goes.
        tell: receives a line for each cell.
        activation_bytes: as `Workplace.activation_bytes`.

    Raises:
        OutputError: if results cannot be written; what is finished stays, and the same call goes on later.
    """
    place, outcomes = Workplace(out, hub, checkpoint_seconds, activation_bytes), Outcomes()
    while True:
        ready, undecided = processes().agree(open_cells(cells, place.books, outcomes))
        busy = moved = 0
        for number, cell in enumerate(with_shared_layers(ready, in_order=True)):
            line = f"{len(ready) - number} to go: {cell.config.run_id()}"
            outcome = place.attempt(cell, reporter, partial(tell, line))
            if outcome == "busy":
                busy += 1
                continue
            moved += 1
            note(outcome, cell, outcomes, place.books, tell)
        if not moved and not busy:
            return concluded(cells, place.books, outcomes, undecided)
        if not moved:
            time.sleep(PAUSE)


def open_cells(cells: Sequence[Cell], books: Bookkeeping, outcomes: Outcomes) -> tuple[list[Cell], int]:
    """The cells that are still to be run, decided and in order, and how many wait for what is tuned.

    A candidate that diverged is an outcome; a cell that failed here is not tried again by the same command.
    """
    ready: dict[str, Cell] = {}
    undecided = 0
    for cell in cells:
        config = resolved(cell, books)
        if config is None:
            undecided += 1
            continue
        run_id = config.run_id()
        if not (run_id in outcomes.failed or is_finished(books.out, run_id) or _given_up(cell, run_id, books)):
            ready.setdefault(run_id, replace(cell, config=config, candidates=()))
    parts = list(dict.fromkeys(cell.part for cell in cells))
    ordered = sorted(ready.values(), key=lambda cell: (parts.index(cell.part), *_order(cell.config)))
    trainings: dict[str, list[Cell]] = {}
    for cell in ordered:  # those that train the same follow each other
        trainings.setdefault(cell.config.training_id(), []).append(cell)
    return [
        replace(cell, trained_again=cell is not same[-1]) for same in trainings.values() for cell in same
    ], undecided


def note(outcome: Outcome, cell: Cell, outcomes: Outcomes, books: Bookkeeping, tell: Tell) -> None:
    """Note what became of a cell."""
    run_id = cell.config.run_id()
    if outcome == "done":
        outcomes.done.append(run_id)
    elif outcome == "failed":
        error = (books.failure(run_id) or {}).get("error", "no record")
        tell(f"failed: {run_id}: {error}")
        if not _given_up(cell, run_id, books):
            outcomes.failed[run_id] = error


def _given_up(cell: Cell, run_id: str, books: Bookkeeping) -> bool:
    return cell.part == TUNE and books.diverged(run_id)


def _order(config: RunConfig) -> tuple[object, ...]:
    """Cells of one model, then of the same examples, follow each other; those that alter the model come last among them."""
    examples = (config.task, config.shots, config.train_size or 0, config.eval_size or 0, str(config.languages))
    return config.model, str(config.runtime), config.seed, *examples, methods.kind(config.method["name"]).changes_base


def concluded(cells: Sequence[Cell], books: Bookkeeping, outcomes: Outcomes, undecided: int) -> Outcomes:
    """The outcomes of a study in which nothing is left to do."""
    trained_once.forget_all(books.out)
    shared_activations.forget_all(books.out)
    decided = [config.run_id() for cell in cells if (config := resolved(cell, books))]
    there = {run_id for run_id in decided if is_finished(books.out, run_id)}
    return replace(outcomes, undecided=undecided, found=len(there - set(outcomes.done)))
