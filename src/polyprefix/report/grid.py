"""Many runs as a grid: tasks x models x methods, each cell over its seeds and languages, and what is missing in it.

Cells are the systems of `polyprefix.analysis.settings`: runs that differ in their seed only are one, and the settings that
tell systems of one method apart are part of the name: `prefix (length=32)`. A task with shots is a task of its own.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from polyprefix import languages
from polyprefix.analysis.groups import ENGLISH
from polyprefix.analysis.runs import UNADAPTED, Run, read_runs
from polyprefix.analysis.seeds import scores_over_seeds
from polyprefix.analysis.settings import Context, group_runs
from polyprefix.errors import ConfigError, OutputError, nearest
from polyprefix.records import Score
from polyprefix.results.files import RESULT


@dataclass(frozen=True)
class Cell:
    """The runs of one method on one task with one model: one a seed."""

    task: str
    model: str
    method: str
    runs: tuple[Run, ...]

    @cached_property
    def scores(self) -> Mapping[str, Score]:
        """Language -> mean over seeds."""
        return scores_over_seeds(self.runs)

    @property
    def settings(self) -> Mapping[str, Any]:
        """Flat: `train.epochs` -> 4."""
        return self.runs[0].settings

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that were run."""
        return tuple(run.seed for run in self.runs)

    @property
    def trained(self) -> int:
        """Trained parameters; 0 for the unadapted model."""
        return int(self.runs[0].result.parameters.get("trainable", 0))

    @property
    def total(self) -> int:
        """All parameters of the adapted model; 0 where that is not known."""
        return int(self.runs[0].result.parameters.get("total", 0))

    @property
    def metric(self) -> str:
        """The main metric."""
        return self.runs[0].metric

    @property
    def others(self) -> tuple[str, ...]:
        """Languages without English, the language of training."""
        return tuple(code for code in self.scores if code != ENGLISH)

    def cost(self, key: str) -> float | None:
        """The mean over seeds of a cost of `result.json`; None where no run has it."""
        values = [run.result.cost[key] for run in self.runs if key in run.result.cost]
        return sum(values) / len(values) if values else None


@dataclass(frozen=True, slots=True)
class Grid:
    """All cells, in the order in which reports show them."""

    contexts: Mapping[tuple[str, str], Context]
    """(task, model) -> the runs that can be compared."""
    cells: Mapping[tuple[str, str, str], Cell]
    """(task, model, method) -> cell."""
    baseline: str | None
    """The method that others are compared with; None if there is only one."""
    missing: tuple[str, ...]
    """Cells, seeds and languages that some runs have and others lack, runs that did not finish, and files that cannot be read."""
    notes: Mapping[str, tuple[str, ...]]
    """What the runs say of themselves -> the ids of the runs that say it."""
    contrasts: tuple[tuple[str, str], ...] = ()
    """Pairs of methods whose difference the study named beforehand."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """In alphabetical order."""
        return tuple(sorted({task for task, _ in self.contexts}))

    @property
    def models(self) -> tuple[str, ...]:
        """The smallest first."""
        return tuple(sorted(self.sizes, key=lambda model: (self.sizes[model], model)))

    @property
    def sizes(self) -> dict[str, int]:
        """Model -> its parameters, without what an adapter adds; 0 where that is not known."""
        totals: dict[str, list[int]] = {}
        for cell in self.cells.values():
            totals.setdefault(cell.model, []).append(cell.total)
        return {model: min(filter(None, found), default=0) for model, found in totals.items()}

    @property
    def methods(self) -> tuple[str, ...]:
        """From the fewest trained parameters to the most."""
        trained: dict[str, int] = {}
        for cell in self.cells.values():
            trained[cell.method] = max(trained.get(cell.method, 0), cell.trained)
        return tuple(sorted(trained, key=lambda method: (trained[method], method)))

    def of(self, task: str, model: str) -> dict[str, Cell]:
        """The cells of a task and a model by method."""
        return {m: self.cells[task, model, m] for m in self.methods if (task, model, m) in self.cells}

    @property
    def views(self) -> tuple[tuple[str, str], ...]:
        """The (task, model) that have cells."""
        return tuple((t, m) for t in self.tasks for m in self.models if (t, m) in self.contexts)


def languages_of(cells: Iterable[Cell]) -> list[str]:
    """The codes that any of the cells has: English first, then by family and name."""
    codes = {code for cell in cells for code in cell.scores}
    return sorted(codes, key=lambda c: (c != ENGLISH, languages.get(c).family or "~", languages.get(c).name))


def read_grid(
    folders: Sequence[Path],
    baseline: str | None = None,
    unfinished: Sequence[str] | None = None,
    *,
    names: Mapping[str, str] | None = None,
    across_shots: bool = False,
    contrasts: Sequence[tuple[str, str]] = (),
) -> Grid:
    """Read all finished runs in some folders.

    A run that cannot be read does not stop the report; it is named in `missing`.

    Args:
        folders: of runs, or of folders of runs.
        baseline: the method that others are compared with; None means the unadapted model or, without it, the method
            with the fewest trained parameters.
        unfinished: what is known of runs that ought to be there and are not, a line each; None looks for traces of them in
            the folders, and names methods and seeds that some tasks and models have and others lack.
        names: as `group_runs`.
        across_shots: whether runs with different numbers of shots are compared with each other; else a task with shots is
            a task of its own.
        contrasts: pairs of methods whose difference was named beforehand.

    Raises:
        OutputError: if there is no run that can be read.
        ConfigError: if no run has the baseline.
    """
    runs, unread = read_runs(folders)
    if not runs:
        first = f"; the first of {len(unread)} says: {unread[0]}" if unread else ""
        raise OutputError(
            f"{folders[0]}: no finished run to report{first}; run something with --out {folders[0]} first"
        )
    contexts = {
        (context.title, context.model): context for context in group_runs(runs, names=names, across_shots=across_shots)
    }
    cells = {
        (*key, method): Cell(*key, method, members)
        for key, context in contexts.items()
        for method, members in context.systems.items()
    }
    grid = Grid(contexts, cells, None, (), {})
    if unfinished is None:
        unfinished = [*(line for folder in folders for line in _not_finished(folder)), *_absent(grid)]
    return Grid(
        contexts,
        cells,
        _baseline(grid, baseline),
        (*unread, *unfinished, *_holes(grid)),
        _notes(runs),
        tuple(contrasts),
    )


def _not_finished(folder: Path) -> list[str]:
    """What a study recorded of failed runs (`.study/failed/RUN_ID.json`), and hidden folders of runs that never ended."""
    failed: dict[str, str] = {}
    for path in sorted(folder.glob(".study/failed/*.json")):
        if not (folder / path.stem / RESULT).exists():
            try:
                error = " ".join(str(json.loads(path.read_text(encoding="utf-8"))["error"]).split())
            except (OSError, ValueError, KeyError, TypeError):
                error = f"{path} cannot be read"
            failed[path.stem] = f"failed: {error}"
    for path in sorted(folder.glob(".*.partial")):
        name = path.name.removeprefix(".").removesuffix(".partial")
        failed.setdefault(name, "started, and not finished when this report was written")
    return [f"{name}: {what}" for name, what in failed.items()]


def _baseline(grid: Grid, asked: str | None) -> str | None:
    methods = grid.methods
    if asked is not None:
        if asked not in methods:
            raise ConfigError(f"--baseline {asked}: no run has this method, {nearest(asked, methods)}")
        return asked
    unadapted = [method for method in methods if method.split(" (")[0] == UNADAPTED]
    return None if len(methods) == 1 else next(iter([*unadapted, *methods]))


def _absent(grid: Grid) -> list[str]:
    """Methods and seeds that some cells have and others lack."""
    found: list[str] = []
    for task, model in [(t, m) for t in grid.tasks for m in grid.models]:
        cells = grid.of(task, model)
        if absent := [method for method in grid.methods if method not in cells]:
            found.append(f"{task}, {model}: no run of {', '.join(absent)}")
        seeds = {seed for cell in cells.values() if cell.trained for seed in cell.seeds}
        for method, cell in cells.items():
            if cell.trained and (lost := sorted(seeds - set(cell.seeds))):
                listed = ", ".join(map(str, lost))
                found.append(f"{task}, {model}, {method}: no run with seed {listed}, which other methods have")
    return found


def _holes(grid: Grid) -> list[str]:
    """Languages that some cells and runs have and others lack."""
    found: list[str] = []
    for task, model in grid.views:
        cells = grid.of(task, model)
        codes = languages_of(cells.values())
        for method, cell in cells.items():
            where = f"{task}, {model}, {method}"
            if lacking := [code for code in codes if code not in cell.scores]:
                found.append(f"{where}: no score in {len(lacking)} of {len(codes)} languages: {', '.join(lacking)}")
            for run in cell.runs:
                if few := [code for code in cell.scores if code not in run.correctness]:
                    found.append(f"{where}: seed {run.seed} has no score in {', '.join(few)}")
    return found


def _notes(runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
    notes: dict[str, tuple[str, ...]] = {}
    for run in runs:
        for note in run.result.notes:
            notes[note] = (*notes.get(note, ()), run.result.run_id)
    return notes
