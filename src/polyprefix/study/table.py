"""The finished cells of a study: as a frame of figures on English validation and cost, and as folders for a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from polyprefix.config import RunConfig
from polyprefix.errors import OutputError
from polyprefix.results.files import TRAIN_LOG, read_result
from polyprefix.results.folder import is_finished
from polyprefix.results.table import NOT_OF_THE_SYSTEM
from polyprefix.study.grid import TUNE, Cell
from polyprefix.study.locks import Bookkeeping
from polyprefix.study.tuning import kept_validation, resolved

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True, slots=True)
class Results:
    """What a report of a study reads, and what it says is missing."""

    folders: tuple[Path, ...]
    """Of finished runs; without those that only choose settings."""
    unfinished: tuple[str, ...]
    """One line each: cells that are not finished, and candidates that failed."""
    names: Mapping[str, str]
    """Run id -> what the study calls its system."""


def system_name(cell: Cell, *, across_shots: bool = False) -> str:
    """What a study calls a cell's system: its method's label, and those of the axes that make another system of it.

    Args:
        across_shots: whether the number of shots is such an axis.
    """
    method = cell.labels.get("method", str(cell.config.method["name"]))
    passed_over = {"method", *(() if across_shots else ("shots",)), *(() if cell.config.shots else ("shot_language",))}
    others = (
        f"{axis.rpartition('.')[2]}={label}"
        for axis, label in cell.labels.items()
        if axis not in passed_over and (axis == "shots" or not axis.startswith(NOT_OF_THE_SYSTEM))
    )
    return f"{method} ({found})" if (found := ", ".join(others)) else method


def results(cells: Sequence[Cell], books: Bookkeeping, *, across_shots: bool = False) -> Results:
    """The runs of a study that a report is about.

    Args:
        across_shots: as `system_name`.
    """
    folders: dict[Path, None] = {}
    names: dict[str, str] = {}
    unfinished: list[str] = []
    for cell in cells:
        config = resolved(cell, books)
        if config is None:
            chosen = ", ".join(f"{axis} {label}" for axis, label in cell.labels.items())
            unfinished.append(f"{cell.part}, {chosen}: not run, the runs that choose its settings are not finished")
        elif not is_finished(books.out, config.run_id()):
            if failure := books.failure(config.run_id()):
                unfinished.append(f"{config.run_id()}: failed: {failure['error']}")
            elif cell.part != TUNE:
                running = books.progress(config.run_id())
                unfinished.append(f"{config.run_id()}: {'running' if running else 'not run'} when this was written")
        elif cell.part != TUNE:
            folders[books.out / config.run_id()] = None
            names.setdefault(config.run_id(), system_name(cell, across_shots=across_shots))
    return Results(tuple(folders), tuple(dict.fromkeys(unfinished)), names)


def validation_table(cells: Sequence[Cell], books: Bookkeeping) -> pd.DataFrame:
    """One row per finished cell, in the study's order, indexed by run id.

    `part`, `labels` (axis -> label), `chosen` (tuned setting -> value), `accuracy` and `log_likelihood` (mean per example, in nats) on
    English validation examples, NaN without training, and `seconds` of training and evaluation.

    Raises:
        OutputError: if none is finished.
    """
    import pandas as pd

    found = []
    for cell, config in finished(cells, books):
        folder = books.out / config.run_id()
        tuned = cell.candidates[0].settings if cell.candidates else ()
        chosen = {path: _at(config.model_dump(), path) for path in tuned}
        figures = kept_validation(folder) if (folder / TRAIN_LOG).exists() else (None, None)
        found.append((config.run_id(), cell.part, cell.labels, chosen, *figures, read_result(folder).seconds))
    columns = ["run_id", "part", "labels", "chosen", "accuracy", "log_likelihood", "seconds"]
    return pd.DataFrame(found, columns=columns).set_index("run_id").astype({"accuracy": float, "log_likelihood": float})


def finished(cells: Sequence[Cell], books: Bookkeeping) -> list[tuple[Cell, RunConfig]]:
    """Every finished cell with its settings, also those that only choose settings.

    Raises:
        OutputError: if none is finished.
    """
    resolved_cells = ((cell, resolved(cell, books)) for cell in cells)
    found = [(cell, config) for cell, config in resolved_cells if config and is_finished(books.out, config.run_id())]
    if not found:
        raise OutputError(f"{books.out}: no finished cell of this study; begin with polyprefix study run")
    return found


def _at(settings: object, path: str) -> object:
    for key in path.split("."):
        settings = settings[key] if isinstance(settings, Mapping) else None
    return settings
