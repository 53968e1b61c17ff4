"""All figures of a grid, computed once for every form of report: those that `polyprefix compare` shows of the same runs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from polyprefix.analysis.comparisons import Claim, GroupScore, SettingComparison, SystemSummary, corrected
from polyprefix.analysis.compare import compare_setting
from polyprefix.analysis.contrasts import RESAMPLES, Contrast
from polyprefix.analysis.groups import ENGLISH
from polyprefix.analysis.settings import Context, Setting, setting_of
from polyprefix.errors import OutputError
from polyprefix.report.grid import Cell, Grid, languages_of

SHOWN_GROUPS = ("family", "script", "resources")


@dataclass(frozen=True)
class View:
    """One task with one model: what a reader compares methods in."""

    task: str
    model: str
    cells: Mapping[str, Cell]
    """By method, from the fewest trained parameters to the most."""
    languages: tuple[str, ...]
    setting: Setting | None
    """The answers that can be compared."""
    comparison: SettingComparison | None
    left_out: tuple[str, ...]
    """What the cells have and averages and differences are not over, or why there are none."""

    @property
    def metric(self) -> str:
        """The main metric."""
        return next(iter(self.cells.values())).metric

    @property
    def compared(self) -> tuple[str, ...]:
        """The languages other than English that averages are over: those that all compared methods have."""
        found = self.comparison.languages if self.comparison else ()
        return tuple(code for code in found if code != ENGLISH)

    @cached_property
    def summaries(self) -> Mapping[str, SystemSummary]:
        """Method -> its figures over all languages; a method that cannot be compared is absent."""
        found = {summary.system: summary for summary in self.comparison.systems} if self.comparison else {}
        return {method: found[method] for method in self.cells if method in found}

    @cached_property
    def averages(self) -> Mapping[str, Contrast]:
        """Method -> mean over `compared`; nothing where English alone was tested."""
        return {method: summary.score for method, summary in self.summaries.items()} if self.compared else {}

    @cached_property
    def gaps(self) -> Mapping[str, Contrast]:
        """Method -> English minus that mean."""
        return {method: summary.gap for method, summary in self.summaries.items() if summary.gap}

    @cached_property
    def mean_differences(self) -> Mapping[str, Claim]:
        """Method -> mean difference to the baseline."""
        return {claim.system: claim for claim in self.comparison.averages} if self.comparison and self.compared else {}

    @cached_property
    def differences(self) -> Mapping[tuple[str, str], Claim]:
        """(method, language) -> difference to the baseline."""
        return {(claim.system, claim.name): claim for claim in self.comparison.by_language} if self.comparison else {}

    @cached_property
    def groups(self) -> tuple[tuple[str, GroupScore], ...]:
        """(method, average over a group), by grouping and group."""
        found = [
            (method, group)
            for method, summary in self.summaries.items()
            for group in summary.groups
            if group.grouping in SHOWN_GROUPS and self.compared
        ]
        order = list(dict.fromkeys((group.grouping, group.name) for _, group in found))
        place = {key: i for i, key in enumerate(order)}
        return tuple(sorted(found, key=lambda item: place[item[1].grouping, item[1].name]))

    @property
    def best(self) -> frozenset[str]:
        """The methods with the highest average."""
        top = max((score.value for score in self.averages.values()), default=0.0)
        return frozenset(method for method, score in self.averages.items() if score.value == top)


def compare(grid: Grid, resamples: int = RESAMPLES, *, mixed: bool | None = False) -> tuple[View, ...]:
    """Every view of a grid; p-values are corrected over all of them.

    Args:
        grid: what was run.
        resamples: of the ranking's bootstrap.
        mixed: as `compare_setting`.
    """
    settings = {key: _setting(grid.contexts[key]) for key in grid.views}
    possible = {key: setting for key, setting in settings.items() if isinstance(setting, Setting)}
    compared = [
        compare_setting(
            setting,
            grid.baseline if grid.baseline in setting.runs else None,
            resamples,
            mixed=mixed,
            named=grid.contrasts,
        )
        for setting in possible.values()
    ]
    comparisons = dict(zip(possible, corrected(compared, resamples).settings, strict=True))
    views = []
    for key, setting in settings.items():
        cells, comparison = grid.of(*key), comparisons.get(key)
        left_out = comparison.notes if comparison else (str(setting),)
        views.append(View(*key, cells, tuple(languages_of(cells.values())), possible.get(key), comparison, left_out))
    return tuple(views)


def _setting(context: Context) -> Setting | str:
    """What can be compared, or why nothing can be."""
    try:
        return setting_of(context)
    except OutputError as error:
        return str(error)
