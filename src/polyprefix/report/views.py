"""All comparisons of a grid, computed once for every form of report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

from polyprefix import languages
from polyprefix.records import Score
from polyprefix.report import statistics
from polyprefix.report.averages import GROUPINGS, UNKNOWN
from polyprefix.report.grid import Cell, Grid, languages_of
from polyprefix.report.runs import ENGLISH
from polyprefix.scoring.comparison import Difference

Key = TypeVar("Key", str, tuple[str, str])
SHOWN_GROUPS = ("family", "script", "resources")


@dataclass(frozen=True, slots=True)
class Compared:
    """A difference to the baseline, and its p-value corrected over all differences of the table that it stands in."""

    difference: Difference
    adjusted_p: float | None

    @property
    def certain(self) -> bool:
        """Whether it is told from 0 after correction."""
        return self.difference.excludes_zero() and self.adjusted_p is not None and self.adjusted_p < 0.05


@dataclass(frozen=True, slots=True)
class GroupAverage:
    """The average of one method over the languages of a group, English apart."""

    grouping: str
    group: str
    method: str
    languages: tuple[str, ...]
    score: Score


@dataclass(frozen=True, slots=True)
class View:
    """One task with one model: what a reader compares methods in."""

    task: str
    model: str
    metric: str
    cells: Mapping[str, Cell]
    """By method, from the fewest trained parameters to the most."""
    languages: tuple[str, ...]
    averages: Mapping[str, Score]
    """Method -> mean over its languages other than English; a method without any is absent."""
    gaps: Mapping[str, Difference]
    """Method -> English minus that mean."""
    mean_differences: Mapping[str, Compared]
    """Method -> mean difference to the baseline, over the languages other than English that both have."""
    differences: Mapping[tuple[str, str], Compared]
    """(method, language) -> difference to the baseline."""
    groups: tuple[GroupAverage, ...]

    @property
    def best(self) -> frozenset[str]:
        """The methods with the highest average, among those with a score in every language of the view."""
        full = {m: s.value for m, s in self.averages.items() if len(self.cells[m].scores) == len(self.languages)}
        return frozenset(method for method, value in full.items() if value == max(full.values()))


def compare(grid: Grid) -> tuple[View, ...]:
    """Every view of a grid with its averages and differences."""
    return tuple(_view(task, model, grid.of(task, model), grid.baseline) for task, model in grid.views)


def _view(task: str, model: str, cells: Mapping[str, Cell], baseline: str | None) -> View:
    base = cells.get(baseline) if baseline else None
    rivals = {method: cell for method, cell in cells.items() if method != baseline} if base else {}
    pairs = {
        (method, code): difference
        for method, cell in rivals.items()
        for code in cell.scores
        if base and (difference := statistics.language_difference(cell.correctness, base.correctness, code))
    }
    means = {
        method: difference
        for method, cell in rivals.items()
        if base and (difference := statistics.mean_difference(cell.others, base.others))
    }
    gaps = {method: gap for method, cell in cells.items() if (gap := statistics.gap(cell.correctness, ENGLISH))}
    return View(
        task,
        model,
        next(iter(cells.values())).metric,
        cells,
        tuple(languages_of(cells.values())),
        {method: statistics.score(cell.others) for method, cell in cells.items() if cell.others},
        gaps,
        _compared(means),
        _compared(pairs),
        tuple(_groups(cells)),
    )


def _compared(differences: Mapping[Key, Difference]) -> dict[Key, Compared]:
    adjusted = statistics.adjusted({key: difference.p_value for key, difference in differences.items()})
    return {key: Compared(difference, adjusted.get(key)) for key, difference in differences.items()}


def _groups(cells: Mapping[str, Cell]) -> list[GroupAverage]:
    found = []
    for grouping in SHOWN_GROUPS:
        codes = {code: GROUPINGS[grouping](languages.get(code)) for cell in cells.values() for code in cell.others}
        for group in sorted(set(codes.values()), key=lambda name: (name == UNKNOWN, name)):
            for method, cell in cells.items():
                members = {code: answers for code, answers in cell.others.items() if codes[code] == group}
                if members:
                    found.append(GroupAverage(grouping, group, method, tuple(members), statistics.score(members)))
    return found
