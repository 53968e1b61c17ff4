"""What a comparison says: claims about systems, with what is left of them after correction, and summaries of systems.

p-values are corrected for their number over the comparisons of one call (statsmodels' `multipletests`). Averages over all
languages but English are few and each is a claim: Holm's method (Scandinavian Journal of Statistics 6, 1979) keeps the chance
of any false one at 5%; contrasts that a study names beforehand are a family of their own. Single languages, groups and
groupings are many and looked through: Benjamini and Hochberg's method (JRSS-B 57, 1995) keeps the expected share of false
ones at 5%.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from polyprefix import languages
from polyprefix.analysis.contrasts import Contrast
from polyprefix.analysis.interactions import Interaction
from polyprefix.analysis.mixed import MixedModel, with_adjusted
from polyprefix.analysis.ranks import Ranking
from polyprefix.analysis.regression import Regression
from polyprefix.languages import Language

ALPHA = 0.05
Method = Literal["holm", "fdr_bh"]
FAMILIES: Mapping[str, Method] = {"averages": "holm", "named": "holm", "by_language": "fdr_bh", "by_group": "fdr_bh"}
"""Families of claims -> how they are corrected, as statsmodels calls it."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A system minus the baseline on some languages, the score of each, and what is left after correction."""

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
    """The other system, where claims of a family have several."""

    @property
    def p(self) -> float:
        """The corrected p-value that counts: with seed variance included where several seeds were run."""
        return self.adjusted_runs if self.adjusted_seeds is None else self.adjusted_seeds

    @property
    def mark(self) -> str:
        """`**`: significant incl. seed variance; `*`: significant (fixed seeds), which only one seed can be."""
        if self.p >= ALPHA:
            return ""
        return "*" if self.adjusted_seeds is None else "**"


@dataclass(frozen=True, slots=True)
class GroupScore:
    """The average of a system over the languages of a group, English apart."""

    grouping: str
    name: str
    languages: tuple[str, ...]
    score: Contrast


@dataclass(frozen=True, slots=True)
class SystemSummary:
    """What a system does over all languages."""

    system: str
    method: str
    trainable: int
    seeds: tuple[int, ...]
    score: Contrast
    """Average over all languages but English; over all where English is missing or alone."""
    english: float | None
    gap: Contrast | None
    """English minus that average."""
    carried: Contrast | None
    """Share of the gain in English over the unadapted model that the other languages have on average; None without the
    unadapted model, or where the gain in English is not clearly different from 0."""
    groups: tuple[GroupScore, ...]
    wins: int
    ties: int
    losses: int
    """Languages in which it is marked better than the baseline, not marked, and marked worse."""
    higher: int
    """Languages in which its score is higher than the baseline's, marked or not."""
    regression: Regression | str | None
    """Of the gap on properties of languages, or why there is none; None where nobody asked."""


@dataclass(frozen=True, slots=True)
class SettingComparison:
    """All systems of one task and model."""

    task: str
    model: str
    shots: int
    metric: str
    baseline: str | None
    """None compares nothing: the summaries alone."""
    seeds: tuple[int, ...]
    """Those that most systems have."""
    languages: tuple[str, ...]
    n: int
    """Examples, over all languages."""
    systems: tuple[SystemSummary, ...]
    ranking: Ranking | None
    """None of a system alone."""
    averages: tuple[Claim, ...]
    by_language: tuple[Claim, ...]
    by_group: tuple[Claim, ...]
    notes: tuple[str, ...]
    named: tuple[Claim, ...] = ()
    """Contrasts that the study named beforehand."""
    interactions: tuple[Interaction, ...] = ()
    """Whether differences between systems depend on properties of languages."""
    mixed: MixedModel | str | None = None
    """The mixed-effects model of single answers, or why it was not fitted; None where nobody asked."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """All settings of a folder."""

    settings: tuple[SettingComparison, ...]
    corrected_over: Mapping[str, int]
    """Family -> number of comparisons that its correction is over."""
    resamples: int
    notes: tuple[str, ...]


def corrected(compared: Sequence[SettingComparison], resamples: int, notes: tuple[str, ...] = ()) -> Comparison:
    """Each family of claims is corrected over all settings together; then languages are counted by their marks."""
    sizes = {}
    for family, method in FAMILIES.items():
        claims = [claim for setting in compared for claim in getattr(setting, family)]
        sizes[family] = len(claims)
        done = iter(adjusted(claims, method))
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
    from statsmodels.stats.multitest import multipletests

    return [float(p) for p in multipletests(p_values, method=method)[1]]


def adjusted(claims: Sequence[Claim], method: Method) -> list[Claim]:
    """Claims that are one family: with seeds fixed, and with seed variance included those that have several seeds."""
    runs = adjust([claim.difference.p_runs for claim in claims], method)
    several = [(i, p) for i, claim in enumerate(claims) if (p := claim.difference.p_seeds) is not None]
    seeds = dict(zip((i for i, _ in several), adjust([p for _, p in several], method), strict=True))
    return [
        replace(claim, adjusted_runs=p, adjusted_seeds=seeds.get(i))
        for i, (claim, p) in enumerate(zip(claims, runs, strict=True))
    ]


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


def _counted(summary: SystemSummary, claims: Sequence[Claim]) -> SystemSummary:
    mine = [claim for claim in claims if claim.system == summary.system]
    wins = sum(bool(claim.mark) and claim.difference.value > 0 for claim in mine)
    losses = sum(bool(claim.mark) and claim.difference.value < 0 for claim in mine)
    higher = sum(claim.difference.value > 0 for claim in mine)
    return replace(summary, wins=wins, losses=losses, ties=len(mine) - wins - losses, higher=higher)


def language_of(claim: Claim) -> Language:
    """The language of a claim about a single one."""
    return languages.get(claim.languages[0])
