"""The comparison of all runs in a folder with a baseline: `polyprefix compare` and `pp.compare`.

All p-values are corrected by Holm's method over the comparisons that this call makes, in three families: averages over
all languages but English (one a system), single languages, and groups of languages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from polyprefix import languages
from polyprefix.analysis.answers import Answers
from polyprefix.analysis.contrasts import RESAMPLES, Contrast, contrast, language_contrasts, ratio, resampled_scores
from polyprefix.analysis.effects import cohens_h
from polyprefix.analysis.groups import ENGLISH, group
from polyprefix.analysis.ranks import Ranking, rank_stability
from polyprefix.analysis.regression import Regression, gap_regression
from polyprefix.analysis.runs import UNADAPTED, Setting, read_settings
from polyprefix.errors import ConfigError, nearest
from polyprefix.languages import Language
from polyprefix.scoring.bootstrap import Floats, Reals
from polyprefix.scoring.comparison import holm

ALPHA = 0.05


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
class SystemSummary:
    """What a system does over all languages."""

    system: str
    method: str
    trainable: int
    score: Contrast
    """Average over all languages but English; over all where English is missing or alone."""
    english: float | None
    gap: Contrast | None
    """English minus that average."""
    carried: Contrast | None
    """Share of the gain in English over the unadapted model that the other languages have on average; None without the
    unadapted model, or where the gain in English is not clearly different from 0."""
    wins: int
    ties: int
    losses: int
    """Languages in which it is marked better than the baseline, not marked, and marked worse."""
    higher: int
    """Languages in which its score is higher than the baseline's, marked or not."""
    regression: Regression | str | None
    """Of the gap on properties of languages, or why there is none."""


@dataclass(frozen=True, slots=True)
class SettingComparison:
    """All systems of one task and model."""

    task: str
    model: str
    shots: int
    metric: str
    baseline: str
    seeds: tuple[int, ...]
    languages: tuple[str, ...]
    n: int
    """Examples, over all languages."""
    systems: tuple[SystemSummary, ...]
    ranking: Ranking
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


def compare(folder: Path | str, baseline: str, metric: str | None = None, resamples: int = RESAMPLES) -> Comparison:
    """Compare every system in a folder of runs with a baseline, on the same task and model.

    Args:
        folder: holds the folders of runs.
        baseline: a method, or a system where a method has several (`prefix (length=10)`).
        metric: one that has a value for each answer; None is each task's main metric.
        resamples: of the bootstrap.

    Raises:
        OutputError: if there is nothing to compare, or a file is damaged.
        ConfigError: if the baseline or the metric is not there.
    """
    settings = read_settings(Path(folder), metric)
    bases = {id(setting): _baseline(setting, baseline) for setting in settings}
    if not any(bases.values()):
        known = {name for setting in settings for name in (*setting.answers.systems, *setting.methods().values())}
        raise ConfigError(f"baseline '{baseline}': not among the runs in {folder}, {nearest(baseline, known)}")
    compared = [
        compare_setting(setting, base, resamples) for setting in settings if (base := bases[id(setting)]) is not None
    ]
    skipped = tuple(f"{s.name}: left out, no run of {baseline}" for s in settings if bases[id(s)] is None)
    return _corrected(compared, resamples, skipped)


def compare_setting(setting: Setting, baseline: str, resamples: int = RESAMPLES) -> SettingComparison:
    """Compare the systems of one setting; p-values are not yet corrected."""
    answers = setting.answers
    scores = resampled_scores(answers, resamples)
    base = answers.systems.index(baseline)
    main = _main_columns(answers)
    by_language = [
        _claim(answers, base, m, "language", answers.languages[column], [column], difference)
        for (m, column), difference in language_contrasts(answers, scores, base).items()
    ]
    others = [m for m in range(len(answers.systems)) if m != base]
    averages = [_average_claim(answers, scores, base, m, "average", "all but English", main) for m in others]
    groups = group([answers.languages[column] for column in main])
    by_group = [
        _average_claim(answers, scores, base, m, grouping, name, [answers.languages.index(code) for code in codes])
        for m in others
        for (grouping, name), codes in groups.items()
    ]
    return SettingComparison(
        task=setting.task,
        model=setting.model,
        shots=setting.shots,
        metric=setting.metric,
        baseline=baseline,
        seeds=answers.seeds,
        languages=answers.languages,
        n=int(answers.counts.sum()),
        systems=tuple(_summary(setting, scores, m, main) for m in range(len(answers.systems))),
        ranking=rank_stability(answers, scores, main),
        averages=tuple(averages),
        by_language=tuple(by_language),
        by_group=tuple(by_group),
        notes=setting.notes,
    )


def _baseline(setting: Setting, wanted: str) -> str | None:
    """The system that a name means.

    Raises:
        ConfigError: if several systems have this method.
    """
    if wanted in setting.answers.systems:
        return wanted
    found = [system for system, method in setting.methods().items() if method == wanted]
    if len(found) > 1:
        listed = ", ".join(f"'{system}'" for system in found)
        raise ConfigError(f"baseline '{wanted}': {setting.name} has several of them; name one: {listed}")
    return found[0] if found else None


def _main_columns(answers: Answers) -> list[int]:
    """Every language but English, the language of training; English where there is no other."""
    return [i for i, code in enumerate(answers.languages) if code != ENGLISH] or list(range(len(answers.languages)))


def _weights(answers: Answers, plus: int, columns: Sequence[int], minus: int | None = None) -> Floats:
    """Of the average of one system over some languages, minus that of another."""
    weights = np.zeros((len(answers.systems), len(answers.languages)))
    weights[plus, columns] += 1 / len(columns)
    if minus is not None:
        weights[minus, columns] -= 1 / len(columns)
    return weights


def _average_claim(
    answers: Answers, scores: Reals, base: int, m: int, grouping: str, name: str, columns: list[int]
) -> Claim:
    difference = contrast(answers, scores, _weights(answers, m, columns, minus=base))
    return _claim(answers, base, m, grouping, name, columns, difference)


def _claim(
    answers: Answers, base: int, m: int, grouping: str, name: str, columns: list[int], difference: Contrast
) -> Claim:
    score, reference = (float(answers.scores[row, columns].mean()) for row in (m, base))
    codes = tuple(answers.languages[column] for column in columns)
    return Claim(answers.systems[m], grouping, name, codes, score, reference, difference, cohens_h(score, reference))


def _summary(setting: Setting, scores: Reals, m: int, main: list[int]) -> SystemSummary:
    answers, system = setting.answers, setting.answers.systems[m]
    runs = setting.runs[system]
    english = answers.index(ENGLISH)
    gap = regression = None
    if english is not None and main != [english]:
        weights = _weights(answers, m, [english]) - _weights(answers, m, main)
        gap = contrast(answers, scores, weights)
        lost = float(answers.scores[m, english]) - answers.scores[m]
        gaps = {answers.languages[column]: float(lost[column]) for column in main}
        regression = gap_regression(gaps, runs[0].result.fertility)
    return SystemSummary(
        system=system,
        method=runs[0].method,
        trainable=int(runs[0].result.parameters.get("trainable", 0)),
        score=contrast(answers, scores, _weights(answers, m, main)),
        english=None if english is None else float(answers.scores[m, english]),
        gap=gap,
        carried=_carried(setting, scores, m, english, main) if gap else None,
        wins=0,
        ties=0,
        losses=0,
        higher=0,
        regression=regression,
    )


def _carried(setting: Setting, scores: Reals, m: int, english: int | None, main: list[int]) -> Contrast | None:
    unadapted = [i for i, method in enumerate(setting.methods().values()) if method == UNADAPTED]
    if english is None or len(unadapted) != 1 or m in unadapted:
        return None
    answers, base = setting.answers, unadapted[0]
    over, under = _weights(answers, m, main, minus=base), _weights(answers, m, [english], minus=base)
    return ratio(answers, scores, over, under)


def _corrected(compared: list[SettingComparison], resamples: int, notes: tuple[str, ...]) -> Comparison:
    """Holm's correction over each family of claims, over all settings together."""
    sizes = {}
    for family in ("averages", "by_language", "by_group"):
        claims = [claim for setting in compared for claim in getattr(setting, family)]
        sizes[family] = len(claims)
        adjusted = iter(_adjust(claims))
        corrected: list[dict[str, Any]] = [
            {family: tuple(next(adjusted) for _ in getattr(setting, family))} for setting in compared
        ]
        compared = [replace(setting, **changes) for setting, changes in zip(compared, corrected, strict=True)]
    counted = tuple(
        replace(s, systems=tuple(_counted(system, s.by_language) for system in s.systems)) for s in compared
    )
    return Comparison(counted, sizes, resamples, notes)


def _adjust(claims: list[Claim]) -> list[Claim]:
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
