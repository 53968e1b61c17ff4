"""What a comparison says: claims about systems, with what is left of them after correction, and summaries of systems.

All p-values are corrected by Holm's method (S. Holm, Scandinavian Journal of Statistics 6, 1979) over the comparisons of
one call, in three families: averages over all languages but English (one a system), single languages, and groups of
languages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from polyprefix import languages
from polyprefix.analysis.contrasts import Contrast
from polyprefix.analysis.ranks import Ranking
from polyprefix.analysis.regression import Regression
from polyprefix.languages import Language

ALPHA = 0.05
FAMILIES = ("averages", "by_language", "by_group")


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
    """`difference.p_runs` after Holm's correction over its family."""
    adjusted_seeds: float | None = None
    """`difference.p_seeds`, likewise."""

    @property
    def mark(self) -> str:
        """`*` where these runs differ, whatever examples are drawn; `**` where other seeds would show it too."""
        if self.adjusted_runs >= ALPHA:
            return ""
        return "**" if self.adjusted_seeds is not None and self.adjusted_seeds < ALPHA else "*"


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


@dataclass(frozen=True, slots=True)
class Comparison:
    """All settings of a folder."""

    settings: tuple[SettingComparison, ...]
    corrected_over: Mapping[str, int]
    """Family -> number of comparisons that Holm's correction is over."""
    resamples: int
    notes: tuple[str, ...]


def corrected(compared: Sequence[SettingComparison], resamples: int, notes: tuple[str, ...] = ()) -> Comparison:
    """Holm's correction over each family of claims, over all settings together; then languages are counted by their marks."""
    sizes = {}
    for family in FAMILIES:
        claims = [claim for setting in compared for claim in getattr(setting, family)]
        sizes[family] = len(claims)
        done = iter(adjusted(claims))
        changes: list[dict[str, Any]] = [
            {family: tuple(next(done) for _ in getattr(setting, family))} for setting in compared
        ]
        compared = [replace(setting, **change) for setting, change in zip(compared, changes, strict=True)]
    counted = tuple(
        replace(s, systems=tuple(_counted(system, s.by_language) for system in s.systems)) for s in compared
    )
    return Comparison(counted, sizes, resamples, notes)


def holm(p_values: Sequence[float]) -> list[float]:
    """Adjusted p-values that keep the chance of any false claim among them at the nominal level.

    With m values in rising order, `p'_(i) = max over j <= i of min(1, (m - j + 1) p_(j))`. The order of the arguments is
    kept.

    Raises:
        ValueError: if a value is no probability.
    """
    p = np.asarray(p_values, dtype=float)
    if not np.all((p >= 0) & (p <= 1)):
        raise ValueError("p-values must lie between 0 and 1")
    order = np.argsort(p, kind="stable")
    stepped = np.minimum(1.0, (len(p) - np.arange(len(p))) * p[order])
    corrected = np.empty_like(p)
    corrected[order] = np.maximum.accumulate(stepped)
    return [float(value) for value in corrected]


def adjusted(claims: Sequence[Claim]) -> list[Claim]:
    """Claims that are one family of Holm's correction: in these runs, and over seeds those that have several."""
    runs = holm([claim.difference.p_runs for claim in claims])
    several = [(i, p) for i, claim in enumerate(claims) if (p := claim.difference.p_seeds) is not None]
    seeds = dict(zip((i for i, _ in several), holm([p for _, p in several]), strict=True))
    return [
        replace(claim, adjusted_runs=p, adjusted_seeds=seeds.get(i))
        for i, (claim, p) in enumerate(zip(claims, runs, strict=True))
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
