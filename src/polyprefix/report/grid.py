"""A table of results as a grid: tasks x models x methods, each cell over its seeds and languages, with every figure and what is missing.

Cells are the systems of `polyprefix.statistics.settings`: runs that differ in their seed only are one, and the settings that distinguish
systems of one method are part of the name: `prefix (length=32)`. A task with shots is a task of its own. One run is a grid of one cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from polyprefix import languages
from polyprefix.errors import ConfigError, OutputError, nearest
from polyprefix.report.view import Cell, View, languages_of
from polyprefix.results.table import BASE_METHOD, ResultsTable, read_table
from polyprefix.results.trained_in import other_languages
from polyprefix.statistics.compare import compare_setting
from polyprefix.statistics.comparisons import SettingComparison, corrected
from polyprefix.statistics.settings import Setting, read_settings


@dataclass(frozen=True)
class Grid:
    """All views, in the order in which reports show them."""

    views: tuple[View, ...]
    baseline: str | None
    """The method that others are compared with; None if there is only one."""
    missing: tuple[str, ...]
    """Cells, seeds and languages that some runs have and others lack, runs that did not finish, and files that cannot be read."""
    notes: Mapping[str, tuple[str, ...]]
    """What the runs say of themselves -> the ids of the runs that say it."""

    @cached_property
    def cells(self) -> tuple[Cell, ...]:
        """Of all views."""
        return tuple(cell for view in self.views for cell in view.cells.values())

    @property
    def sources(self) -> tuple[str, ...]:
        """All languages of training, by name."""
        return tuple(sorted({languages.get(c).name for view in self.views for c in view.setting.trained_languages}))

    @property
    def others_called(self) -> str:
        """What the languages are called that averages are over."""
        return other_languages({code for view in self.views for code in view.setting.trained_languages})

    @property
    def tasks(self) -> tuple[str, ...]:
        """In alphabetical order."""
        return tuple(sorted({view.task for view in self.views}))

    @cached_property
    def models(self) -> tuple[str, ...]:
        """The smallest first."""
        return tuple(sorted(self.sizes, key=lambda model: (self.sizes[model], model)))

    @cached_property
    def sizes(self) -> dict[str, int]:
        """Model -> its parameters, without what an adapter adds; 0 where that is not known."""
        return _sizes(self.cells)

    @cached_property
    def methods(self) -> tuple[str, ...]:
        """From the fewest trained parameters to the most."""
        return _methods(self.cells)


def read_grid(folders: Sequence[Path], baseline: str | None = None, **options: Any) -> Grid:
    """The grid of every finished run in some folders; a run that cannot be read is named in `missing`.

    Args:
        folders: of runs, or of folders of runs.
        baseline, options: as `grid_of`.

    Raises:
        OutputError: if there is no run that can be read.
        ConfigError: if no run has the baseline.
    """
    table = read_table(folders)
    if table.runs.empty:
        first = f"; the first of {len(table.notes)} says: {table.notes[0]}" if table.notes else ""
        where = folders[0]
        raise OutputError(f"{where}: no finished run to report{first}; run something with --out {where} first")
    return grid_of(table, baseline, **options)


def grid_of(
    table: ResultsTable,
    baseline: str | None = None,
    *,
    unfinished: Sequence[str] = (),
    planned: bool = False,
    names: Mapping[str, str] | None = None,
    across_shots: bool = False,
    contrasts: Sequence[tuple[str, str]] = (),
) -> Grid:
    """Every cell of a table of results, and every figure of a report, computed once; p-values are corrected over all of them.

    Args:
        table: with at least one run.
        baseline: the method that others are compared with; None means the base model or, without it, the method with the fewest trained
            parameters.
        unfinished: what is known of runs that ought to be there and are not, a line each.
        planned: whether `unfinished` knows all of them; else methods and seeds are named that some tasks and models have and others lack.
        names: as `read_settings`.
        across_shots: whether runs with different numbers of shots are compared with each other; else a task with shots is a task of its own.
        contrasts: pairs of methods whose difference was named beforehand.

    Raises:
        ConfigError: if no run has the baseline.
    """
    settings = read_settings(table, names=names, across_shots=across_shots)
    cells = [Cell(one, one.title, one.model, method) for one in settings for method in one.systems]
    methods, sizes = _methods(cells), _sizes(cells)
    base = _baseline(methods, baseline)
    ordered = sorted(settings, key=lambda one: (one.title, sizes[one.model], one.model))
    views = []
    for setting in ordered:
        here = {cell.method: cell for cell in cells if cell.setting is setting}
        mine = {method: here[method] for method in methods if method in here}
        views.append(_view(setting, mine, base, contrasts))
    done = iter(corrected([view.comparison for view in views if view.comparison], 0).settings)
    finished = [replace(view, comparison=next(done)) if view.comparison else view for view in views]
    grid = Grid(tuple(finished), base, (), _notes(table))
    absent = [] if planned else _absent(grid)
    return replace(grid, missing=(*table.notes, *unfinished, *absent, *_holes(grid)))


def _view(setting: Setting, cells: Mapping[str, Cell], base: str | None, contrasts: Sequence[tuple[str, str]]) -> View:
    """The cells of a setting, compared where they can be; p-values are not yet corrected."""
    comparison: SettingComparison | None = None
    try:
        here = base if base in cells else None
        comparison = compare_setting(setting, here, None, named=contrasts)
        left_out = comparison.notes
    except OutputError as error:
        left_out = (str(error),)
    codes = tuple(languages_of(cells.values()))
    return View(setting.title, setting.model, setting, cells, codes, comparison, left_out)


def _sizes(cells: Sequence[Cell]) -> dict[str, int]:
    totals: dict[str, list[int]] = {}
    for cell in cells:
        totals.setdefault(cell.model, []).append(cell.total)
    return {model: min(filter(None, found), default=0) for model, found in totals.items()}


def _methods(cells: Sequence[Cell]) -> tuple[str, ...]:
    trained: dict[str, int] = {}
    for cell in cells:
        trained[cell.method] = max(trained.get(cell.method, 0), cell.trained)
    return tuple(sorted(trained, key=lambda method: (trained[method], method)))


def _baseline(methods: Sequence[str], asked: str | None) -> str | None:
    if asked is not None:
        if asked not in methods:
            raise ConfigError(f"--baseline {asked}: no run has this method, {nearest(asked, methods)}")
        return asked
    base = [method for method in methods if method.split(" (")[0] == BASE_METHOD]
    return None if len(methods) == 1 else next(iter([*base, *methods]))


def _absent(grid: Grid) -> list[str]:
    """Methods and seeds that some cells have and others lack."""
    found: list[str] = []
    views = {(view.task, view.model): view.cells for view in grid.views}
    for task, model in [(t, m) for t in grid.tasks for m in grid.models]:
        cells = views.get((task, model), {})
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
    for view in grid.views:
        for method, cell in view.cells.items():
            where = f"{view.task}, {view.model}, {method}"
            if lacking := [code for code in view.languages if code not in cell.scores]:
                found.append(
                    f"{where}: no score in {len(lacking)} of {len(view.languages)} languages: {', '.join(lacking)}"
                )
            for run in cell.runs.itertuples():
                if few := [code for code in cell.scores if code not in run.scores]:
                    found.append(f"{where}: seed {run.seed} has no score in {', '.join(few)}")
    return found


def _notes(table: ResultsTable) -> dict[str, tuple[str, ...]]:
    notes: dict[str, tuple[str, ...]] = {}
    for run in table.runs.itertuples():
        for note in run.notes:
            notes[note] = (*notes.get(note, ()), run.Index)
    return notes
