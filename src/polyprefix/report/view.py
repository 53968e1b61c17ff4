"""One cell of a report, the runs of one method, and one view, a task with a model: every figure that a reader sees of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from polyprefix import languages
from polyprefix.config import ENGLISH
from polyprefix.errors import OutputError
from polyprefix.results.trained_in import UNTRAINED, ZERO_SHOT
from polyprefix.statistics.calibration import Pair, SystemCalibration, setting_calibrations
from polyprefix.statistics.classes import Classes, classes
from polyprefix.statistics.comparisons import PairedComparison, SettingComparison, SystemSummary
from polyprefix.statistics.contrasts import Contrast
from polyprefix.statistics.seeds import scores_over_seeds
from polyprefix.statistics.settings import Setting
from polyprefix.statistics.transfer_summary import Transfer, transfers
from polyprefix.statistics.verdicts import SystemVerdicts, setting_verdicts
from polyprefix.types import Score

if TYPE_CHECKING:
    import pandas as pd

MOST_CHARTED = 12
"""Methods whose colours and shapes a reader can keep in mind."""


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
        """Languages that no method of this task and model was trained in."""
        return tuple(code for code in self.scores if code not in self.setting.trained_languages)

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
        """The languages that averages are over: those without training that all compared methods have."""
        found = self.comparison.languages if self.comparison else ()
        return tuple(code for code in found if code not in self.setting.trained_languages)

    @cached_property
    def summaries(self) -> Mapping[str, SystemSummary]:
        """Method -> its figures over all languages; nothing where only languages of training were tested, or nothing can be compared."""
        found = self.comparison.by_system if self.comparison and self.compared else {}
        return {method: found[method] for method in self.cells if method in found}

    @cached_property
    def charted(self) -> tuple[str, ...]:
        """The methods of charts with a line or a colour a method, in the order of `cells`: of very many the base model and the best."""
        averages = {method: one.score.value for method, one in self.summaries.items()}
        ranked = sorted(self.cells, key=lambda method: (method != self.setting.base, -averages.get(method, 0.0)))
        return tuple(method for method in self.cells if method in ranked[:MOST_CHARTED])

    @property
    def charted_called(self) -> str:
        """Those in words."""
        if len(self.charted) == len(self.cells):
            return "each method"
        there = self.setting.base in self.charted
        best = f"the {len(self.charted) - there} methods of {len(self.cells) - there} with the highest averages"
        return f"{self.setting.base} and {best}" if there else best

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

    @cached_property
    def classes(self) -> Mapping[str, Classes]:
        """Method -> its confusion matrix over the languages of the averages, of methods whose answers are chosen labels."""
        found = {}
        for method in self.cells:
            if method not in self.calibrated:
                continue
            system = self.calibrated[method]
            pairs = [one.answers for one in system.languages if one.language not in self.setting.trained_languages]
            if pairs:
                all_of_them = Pair.together(pairs)
                said = all_of_them.before.argmax(axis=1)
                found[method] = classes(said, all_of_them.targets, all_of_them.ids, system.labels)
        return found

    @cached_property
    def transfer(self) -> tuple[Transfer, ...]:
        """One matrix for each method that was trained in several single source languages."""
        return transfers(self.setting)

    @cached_property
    def shown(self) -> str | None:
        """The method that maps and verdicts show: the best; of equal ones that with the most trained parameters."""
        return next((method for method in reversed(tuple(self.summaries)) if method in self.best), None)

    @property
    def base_and_shown(self) -> tuple[str, ...]:
        """The base model and the shown method, as far as they are there."""
        return tuple(
            dict.fromkeys(one for one in (self.setting.base, self.shown) if one is not None and one in self.cells)
        )

    @cached_property
    def verdicts(self) -> SystemVerdicts | None:
        """Verdicts on the shown method against the base model and chance; None where nothing is common or known."""
        method = self.shown
        if method is None:
            return None
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
        """(grouping, name) -> its languages, of groups that any method has; nothing where only languages of training were."""
        return self.comparison.groups if self.comparison and self.compared else {}

    @cached_property
    def averages(self) -> tuple[Averages, ...]:
        """Over all languages, over all but those of training, and over each group; a language alone is no group."""
        if self.comparison is None:
            return ()
        found, codes = self.comparison, self.comparison.languages
        whole = {one.system: one for one in found.with_english}
        every = {m: Average(one.with_english, whole.get(m)) for m, one in found.by_system.items()}
        rows = [self._averages("languages", "all languages", codes, every)]
        if self.compared and len(self.compared) < len(codes):
            others = {m: Average(one.score, self.mean_differences.get(m)) for m, one in self.summaries.items()}
            rows.append(self._averages("languages", self.setting.all_but_trained, self.compared, others))
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


def training(setting: Setting, code: str) -> str:
    """What the systems of a setting learned in a language: `source`, `few-shot, 50 rows`, `zero-shot`, or how many of them what."""
    found = Counter(one.described(code) for one in setting.training.values() if one.trains)
    if len(found) < 2:
        return next(iter(found), UNTRAINED)
    return "; ".join(f"{status} in {count} of {found.total()}" for status, count in sorted(found.items()))


def marked(setting: Setting, code: str) -> str:
    """The same in brackets, to stand after a name: nothing of a zero-shot language, and nothing where English alone was trained in,
    which every table says in words."""
    status = training(setting, code)
    alone = setting.trained_languages == {ENGLISH}
    return "" if alone or status in (ZERO_SHOT, UNTRAINED) else f" [{status}]"


def training_note(setting: Setting, everything: str) -> str:
    """Which languages averages leave out.

    Args:
        everything: what the average over all languages is called.
    """
    names = [languages.get(code).name for code in sorted(setting.trained_languages)]
    if not names:
        return f"Nothing was trained, and {everything} are all that were tested"
    if len(names) == 1:
        return f"{names[0]}, the language of training, counts in {everything} only"
    return f"{', '.join(names)}, the languages of training, count in {everything} only"


def languages_of(cells: Iterable[Cell]) -> list[str]:
    """The codes that any of the cells has: those of training first, then by family and name."""
    cells = list(cells)
    codes = {code for cell in cells for code in cell.scores}
    trained = {code for cell in cells for code in cell.setting.trained_languages}
    return sorted(codes, key=lambda c: (c not in trained, languages.get(c).family or "~", languages.get(c).name))
