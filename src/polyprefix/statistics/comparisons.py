"""What a comparison holds: differences between systems with corrected p-values, and summaries of systems.

p-values are corrected for their number over the comparisons of one call. Averages over languages without training are few: Holm's method
(Scandinavian Journal of Statistics 6, 1979) keeps the chance of any false positive at 5%; contrasts that a study names beforehand are a
family of their own. Single languages, groups and groupings are many: Benjamini and Hochberg's method (JRSS-B 57, 1995) keeps the expected
share of false positives at 5%.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from polyprefix.scoring.bootstrap import Floats
from polyprefix.statistics.contrasts import Contrast
from polyprefix.statistics.interactions import Interaction
from polyprefix.statistics.mixed import MixedModel, with_adjusted
from polyprefix.statistics.ranks import Ranking
from polyprefix.statistics.regression import Regression
from polyprefix.statistics.settings import Setting

if TYPE_CHECKING:
    import pandas as pd

ALPHA = 0.05
Method = Literal["holm", "fdr_bh"]
FAMILIES: Mapping[str, Method] = {"averages": "holm", "named": "holm", "by_language": "fdr_bh", "by_group": "fdr_bh"}
"""Families of comparisons -> how they are corrected, as statsmodels calls it."""
Group = tuple[str, str]
"""Grouping and name: `("family", "Bantu")`."""


@dataclass(frozen=True, slots=True)
class PairedComparison:
    """A system minus the baseline on some languages: the score of each, their difference and its corrected p-values."""

    system: str
    grouping: str
    """`average`, `language`, or what the languages of a group have in common."""
    name: str
    languages: tuple[str, ...]
    score: float
    baseline_score: float
    difference: Contrast
    cohens_h: float
    adjusted_runs: float = 1.0
    """`difference.p_runs` after the correction of its family."""
    adjusted_seeds: float | None = None
    """`difference.p_seeds`, likewise."""
    baseline: str = ""

    @property
    def p(self) -> float:
        """The corrected p-value that counts: with seed variance included where several seeds were run."""
        return self.adjusted_runs if self.adjusted_seeds is None else self.adjusted_seeds

    @property
    def significance(self) -> str:
        """`**`: significant incl. seed variance; `*`: significant (fixed seeds), which only one seed can be; else empty."""
        if self.p >= ALPHA:
            return ""
        return "*" if self.adjusted_seeds is None else "**"


@dataclass(frozen=True, slots=True)
class SystemSummary:
    """What a system does over all languages."""

    system: str
    method: str
    trainable: int
    seeds: tuple[int, ...]
    score: Contrast
    """Average over the languages that no compared system was trained in; over all where there is no other."""
    with_english: Contrast
    """Average over all languages."""
    english: float | None
    source: float | None
    """Mean over its source languages; None where none of them was tested, or only languages of training were."""
    transfer_gap: Contrast | None
    """That mean minus that average."""
    transfer_ratio: Contrast | None
    """Gain over the base model in the other languages by the gain in its source languages; None without the base model, or where the interval
    of the latter holds 0."""
    groups: Mapping[Group, Contrast]
    """Average over the languages of each group, those of training apart."""
    regression: Regression | str | None
    """Of the gap on properties of languages, or why there is none; None where nobody asked."""
    wins: int = 0
    ties: int = 0
    losses: int = 0
    """Languages in which it is significantly better than the baseline, not significantly different, and significantly worse."""
    higher: int = 0
    """Languages in which its score is higher than the baseline's, significantly or not."""


@dataclass(frozen=True)
class SettingComparison:
    """All systems of one task and model."""

    setting: Setting = field(compare=False, repr=False)
    task: str
    model: str
    shots: int
    metric: str
    baseline: str | None
    """None compares nothing: the summaries alone."""
    seeds: tuple[int, ...]
    """Those that most systems have."""
    languages: tuple[str, ...]
    groups: Mapping[Group, tuple[str, ...]]
    """Group -> its languages, those of training apart; a language alone is no group."""
    n: int
    """Examples, over all languages."""
    systems: tuple[SystemSummary, ...]
    ranking: Ranking | None
    """None of a system alone."""
    averages: tuple[PairedComparison, ...]
    by_language: tuple[PairedComparison, ...]
    by_group: tuple[PairedComparison, ...]
    with_english: tuple[PairedComparison, ...]
    """Averages over all languages, those of training among them; of no family, and so not corrected."""
    notes: tuple[str, ...]
    named: tuple[PairedComparison, ...] = ()
    """Contrasts that the study named beforehand."""
    interactions: tuple[Interaction, ...] = ()
    """Whether differences between systems depend on properties of languages."""
    mixed: MixedModel | str | None = None
    """The mixed-effects model of single answers, or why it was not fitted; None where nobody asked."""

    @cached_property
    def by_system(self) -> Mapping[str, SystemSummary]:
        """System -> its summary."""
        return {summary.system: summary for summary in self.systems}


@dataclass(frozen=True)
class Comparison:
    """The comparisons of all settings of a table."""

    settings: tuple[SettingComparison, ...]
    corrected_over: Mapping[str, int]
    """Family -> number of comparisons that its correction is over."""
    resamples: int
    notes: tuple[str, ...]

    def to_pandas(self) -> pd.DataFrame:
        """One row a contrast of two systems: `system` minus `baseline`, over the languages of `grouping` and `name`.

        Scores and differences are shares. `p_runs` holds seeds fixed, `p_seeds` includes their variance (NaN with one seed); `..._adjusted`
        are corrected over the family by `correction`. `significant` and `significant_with_seeds` say whether the corrected p-value is
        below 0.05.
        """
        import pandas as pd

        rows = [
            _contrast_row(setting, pair, method)
            for setting in self.settings
            for family, method in FAMILIES.items()
            for pair in getattr(setting, family)
        ]
        return pd.DataFrame(rows, columns=None if rows else list(CONTRAST_COLUMNS))

    @property
    def averages(self) -> pd.DataFrame:
        """One row a setting and system: its average over languages without training with its 95% interval, score in English, mean of
        the source languages, transfer gap and transfer ratio, and in how many languages it is significantly better or worse than the
        baseline."""
        import pandas as pd

        return pd.DataFrame([_average_row(setting, one) for setting in self.settings for one in setting.systems])

    def _repr_html_(self) -> str:
        """The averages, for notebooks."""
        return str(self.averages.to_html(index=False, float_format="{:.3f}".format))


CONTRAST_COLUMNS = (
    "task", "model", "shots", "metric", "seeds", "baseline", "system", "grouping", "name", "languages", "n", "score",
    "baseline_score", "difference", "ci95_low", "ci95_high", "p_runs", "p_runs_adjusted", "p_seeds", "p_seeds_adjusted",
    "cohens_h", "correction", "significant", "significant_with_seeds",
)  # fmt: skip


def _contrast_row(setting: SettingComparison, pair: PairedComparison, correction: str) -> dict[str, Any]:
    difference, with_seeds = pair.difference, pair.adjusted_seeds
    values = (
        setting.task, setting.model, setting.shots, setting.metric, len(setting.seeds), pair.baseline, pair.system, pair.grouping,
        pair.name, len(pair.languages), difference.n, pair.score, pair.baseline_score, difference.value, *difference.ci95,
        difference.p_runs, pair.adjusted_runs, difference.p_seeds, with_seeds, pair.cohens_h, correction,
        pair.adjusted_runs < ALPHA, None if with_seeds is None else with_seeds < ALPHA,
    )  # fmt: skip
    return dict(zip(CONTRAST_COLUMNS, values, strict=True))


def _average_row(setting: SettingComparison, one: SystemSummary) -> dict[str, Any]:
    measured = {"average": one.score, "transfer_gap": one.transfer_gap, "transfer_ratio": one.transfer_ratio}
    figures: dict[str, float | None] = {"english": one.english, "source": one.source}
    for name, found in measured.items():
        figures[name] = found.value if found else None
        figures[f"{name}_low"], figures[f"{name}_high"] = found.ci95 if found else (None, None)
    return {
        "task": setting.task, "model": setting.model, "shots": setting.shots, "metric": setting.metric, "system": one.system,
        "method": one.method, "trainable_parameters": one.trainable, "seeds": len(one.seeds), "n": one.score.n, **figures,
        "wins": one.wins, "ties": one.ties, "losses": one.losses,
    }  # fmt: skip


def corrected(compared: Sequence[SettingComparison], resamples: int, notes: tuple[str, ...] = ()) -> Comparison:
    """Correct each family over all settings together; then count languages by their significance."""
    sizes = {}
    for family, method in FAMILIES.items():
        pairs = [pair for setting in compared for pair in getattr(setting, family)]
        sizes[family] = len(pairs)
        done = iter(adjusted(pairs, method))
        changes: list[dict[str, Any]] = [
            {family: tuple(next(done) for _ in getattr(setting, family))} for setting in compared
        ]
        compared = [replace(setting, **change) for setting, change in zip(compared, changes, strict=True)]
    compared = _with_interactions(_with_mixed(compared))
    counted = tuple(
        replace(s, systems=tuple(_counted(system, s.by_language) for system in s.systems)) for s in compared
    )
    return Comparison(counted, sizes, resamples, notes)


def adjust(p_values: Sequence[float], method: Method) -> list[float]:
    """p-values as corrected for their number, in the order of the arguments.

    Raises:
        ValueError: if a value is no probability.
    """
    if not p_values:
        return []
    if not all(0 <= p <= 1 for p in p_values):
        raise ValueError("p-values must lie between 0 and 1")
    if method == "holm":
        return _holm(np.asarray(p_values))
    from scipy.stats import false_discovery_control

    return [float(p) for p in false_discovery_control(p_values, method="bh")]


def _holm(p_N: Floats) -> list[float]:
    """statsmodels' `multipletests` collects all garbage here, a third of a second beside a model; scipy has no Holm."""
    order = p_N.argsort()
    found = np.empty_like(p_N)
    found[order] = np.minimum(1, np.maximum.accumulate(p_N[order] * np.arange(len(p_N), 0, -1)))
    return [float(p) for p in found]


def adjusted(pairs: Sequence[PairedComparison], method: Method) -> list[PairedComparison]:
    """Comparisons that are one family: with seeds fixed, and with seed variance included those that have several seeds."""
    runs = adjust([pair.difference.p_runs for pair in pairs], method)
    several = [(i, p) for i, pair in enumerate(pairs) if (p := pair.difference.p_seeds) is not None]
    seeds = dict(zip((i for i, _ in several), adjust([p for _, p in several], method), strict=True))
    return [
        replace(pair, adjusted_runs=p, adjusted_seeds=seeds.get(i))
        for i, (pair, p) in enumerate(zip(pairs, runs, strict=True))
    ]


def uncorrected(pair: PairedComparison) -> PairedComparison:
    """A comparison that is of no family."""
    return replace(pair, adjusted_runs=pair.difference.p_runs, adjusted_seeds=pair.difference.p_seeds)


def _with_mixed(compared: Sequence[SettingComparison]) -> list[SettingComparison]:
    """Effects of mixed-effects models are corrected as averages are."""
    models = [one.mixed for one in compared if isinstance(one.mixed, MixedModel)]
    done = iter(adjust([effect.p_value for model in models for effect in model.effects], "holm"))
    return [
        replace(one, mixed=with_adjusted(one.mixed, [next(done) for _ in one.mixed.effects]))
        if isinstance(one.mixed, MixedModel)
        else one
        for one in compared
    ]


def _with_interactions(compared: Sequence[SettingComparison]) -> list[SettingComparison]:
    done = iter(adjust([one.p_value for setting in compared for one in setting.interactions], "fdr_bh"))
    return [
        replace(setting, interactions=tuple(replace(one, adjusted=next(done)) for one in setting.interactions))
        for setting in compared
    ]


def _counted(summary: SystemSummary, pairs: Sequence[PairedComparison]) -> SystemSummary:
    mine = [pair for pair in pairs if pair.system == summary.system]
    wins = sum(bool(pair.significance) and pair.difference.value > 0 for pair in mine)
    losses = sum(bool(pair.significance) and pair.difference.value < 0 for pair in mine)
    higher = sum(pair.difference.value > 0 for pair in mine)
    return replace(summary, wins=wins, losses=losses, ties=len(mine) - wins - losses, higher=higher)
