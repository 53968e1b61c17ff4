"""One cell of a report, the runs of one method, and one view, a task with a model: every figure that a reader sees of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from polyprefix import languages
from polyprefix.errors import OutputError
from polyprefix.statistics.calibration import SystemCalibration, setting_calibrations
from polyprefix.statistics.comparisons import PairedComparison, SettingComparison, SystemSummary
from polyprefix.statistics.contrasts import Contrast
from polyprefix.statistics.groups import ENGLISH
from polyprefix.statistics.seeds import scores_over_seeds
from polyprefix.statistics.settings import Setting
from polyprefix.statistics.verdicts import SystemVerdicts, setting_verdicts
from polyprefix.types import Score

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Cell:
    """The runs of one method on one task with one model: one a seed."""

    setting: Setting = field(repr=False)
    task: str
    model: str
    method: str

    @cached_property
    def runs(self) -> pd.DataFrame:
        """Rows of the table of runs."""
        return self.setting.table.runs.loc[list(self.setting.systems[self.method])]

    @cached_property
    def scores(self) -> Mapping[str, Score]:
        """Language -> mean over seeds."""
        return scores_over_seeds(self.setting.table, self.setting.systems[self.method])

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """Flat: `train.epochs` -> 4."""
        found: Mapping[str, Any] = self.runs["settings"].iloc[0]
        return found

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that were run."""
        return tuple(self.runs["seed"])

    @cached_property
    def trained(self) -> int:
        """Trained parameters; 0 for the base model."""
        return int(self.runs["trainable_parameters"].iloc[0])

    @cached_property
    def total(self) -> int:
        """All parameters of the adapted model; 0 where that is not known."""
        return int(self.runs["total_parameters"].iloc[0])

    @cached_property
    def metric(self) -> str:
        """The main metric."""
        return str(self.runs["metric"].iloc[0])

    @cached_property
    def others(self) -> tuple[str, ...]:
        """Languages without English, the language of training."""
        return tuple(code for code in self.scores if code != ENGLISH)

    @cached_property
    def baselines(self) -> Mapping[str, Mapping[str, Score]]:
        """Baseline without a language model -> language -> score, where the task brings some."""
        found: Mapping[str, Mapping[str, Score]] = self.runs["baselines"].iloc[0]
        return found

    def cost(self, key: str) -> float | None:
        """The mean over seeds of a cost of `result.json`; None where no run has it."""
        values = [cost[key] for cost in self.runs["cost"] if key in cost]
        return sum(values) / len(values) if values else None


@dataclass(frozen=True, slots=True)
class Average:
    """The unweighted mean of a method over some languages."""

    score: Contrast
    difference: PairedComparison | None
    """To the baseline."""


@dataclass(frozen=True, slots=True)
class Averages:
    """The averages over one group of languages."""

    grouping: str
    """What the languages have in common: `languages`, or one of `polyprefix.statistics.groups`."""
    name: str
    languages: tuple[str, ...]
    methods: Mapping[str, Average]
    baselines: Mapping[str, tuple[float, int]]
    """Baseline without a language model -> its mean, and over how many of the languages."""


@dataclass(frozen=True)
class View:
    """One task with one model: what a reader compares methods in. Mappings go from the fewest trained parameters to the most."""

    task: str
    model: str
    setting: Setting = field(repr=False)
    cells: Mapping[str, Cell]
    """By method."""
    languages: tuple[str, ...]
    comparison: SettingComparison | None
    left_out: tuple[str, ...]
    """What the cells have and averages and differences are not over, or why there are none."""

    @cached_property
    def metric(self) -> str:
        """The main metric."""
        return next(iter(self.cells.values())).metric

    @cached_property
    def compared(self) -> tuple[str, ...]:
        """The languages other than English that averages are over: those that all compared methods have."""
        found = self.comparison.languages if self.comparison else ()
        return tuple(code for code in found if code != ENGLISH)

    @cached_property
    def summaries(self) -> Mapping[str, SystemSummary]:
        """Method -> its figures over all languages; nothing where no language but English was tested, or nothing can be compared."""
        found = self.comparison.by_system if self.comparison and self.compared else {}
        return {method: found[method] for method in self.cells if method in found}

    @cached_property
    def mean_differences(self) -> Mapping[str, PairedComparison]:
        """Method -> mean difference to the baseline."""
        return {one.system: one for one in self.comparison.averages} if self.comparison and self.compared else {}

    @cached_property
    def differences(self) -> Mapping[tuple[str, str], PairedComparison]:
        """(method, language) -> difference to the baseline."""
        return {(one.system, one.name): one for one in self.comparison.by_language} if self.comparison else {}

    @cached_property
    def group_differences(self) -> Mapping[tuple[str, str, str], PairedComparison]:
        """(method, grouping, name) -> difference to the baseline."""
        found = self.comparison.by_group if self.comparison else ()
        return {(one.system, one.grouping, one.name): one for one in found}

    @cached_property
    def calibrated(self) -> Mapping[str, SystemCalibration]:
        """Method -> raw and batch-calibrated figures, of methods whose answers are chosen labels."""
        return {one.system: one for one in setting_calibrations(self.setting, "batch")}

    def verdicts(self, method: str) -> SystemVerdicts | None:
        """Verdicts on a method against the base model and chance; None where nothing is common or known."""
        base = self.setting.base
        names = [name for name in self.setting.systems if name in (method, base)]
        narrow = replace(self.setting, systems={name: self.setting.systems[name] for name in names})
        try:
            (found,) = setting_verdicts(narrow, base)
        except OutputError:
            return None
        return found

    @cached_property
    def groups(self) -> Mapping[tuple[str, str], tuple[str, ...]]:
        """(grouping, name) -> its languages, of groups that any method has; nothing where English alone was tested."""
        return self.comparison.groups if self.comparison and self.compared else {}

    @cached_property
    def averages(self) -> tuple[Averages, ...]:
        """Over all languages, over all but English, and over each group; a language alone is no group."""
        if self.comparison is None:
            return ()
        found, codes = self.comparison, self.comparison.languages
        whole = {one.system: one for one in found.with_english}
        every = {m: Average(one.with_english, whole.get(m)) for m, one in found.by_system.items()}
        rows = [self._averages("languages", "all languages", codes, every)]
        if self.compared and len(self.compared) < len(codes):
            others = {m: Average(one.score, self.mean_differences.get(m)) for m, one in self.summaries.items()}
            rows.append(self._averages("languages", "all but English", self.compared, others))
        for key, members in self.groups.items():
            cells = {
                m: Average(one.groups[key], self.group_differences.get((m, *key)))
                for m, one in self.summaries.items()
                if key in one.groups
            }
            rows.append(self._averages(*key, members, cells))
        return tuple(rows)

    def _averages(self, grouping: str, name: str, codes: tuple[str, ...], cells: Mapping[str, Average]) -> Averages:
        means = {}
        for baseline, scores in self.baselines.items():
            if values := [scores[code].value for code in codes if code in scores]:
                means[baseline] = sum(values) / len(values), len(values)
        return Averages(grouping, name, codes, cells, means)

    @cached_property
    def best(self) -> frozenset[str]:
        """The methods with the highest average."""
        top = max((one.score.value for one in self.summaries.values()), default=0.0)
        return frozenset(method for method, one in self.summaries.items() if one.score.value == top)

    @cached_property
    def baselines(self) -> Mapping[str, Mapping[str, Score]]:
        """Baseline without a language model -> language -> score: those of the first cell that has some, mostly the base model's."""
        return next((cell.baselines for cell in self.cells.values() if cell.baselines), {})


def languages_of(cells: Iterable[Cell]) -> list[str]:
    """The codes that any of the cells has: English first, then by family and name."""
    codes = {code for cell in cells for code in cell.scores}
    return sorted(codes, key=lambda c: (c != ENGLISH, languages.get(c).family or "~", languages.get(c).name))
