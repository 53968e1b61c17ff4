"""Averages of one run over languages: all of them, and by script, family, resource level and distance from English.

English is what adapters are trained on: it counts in the first average only, so that every other one is about transfer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from polyprefix.analysis.comparisons import Claim, SettingComparison, SystemSummary
from polyprefix.analysis.contrasts import Contrast, contrast, weights
from polyprefix.analysis.groups import ENGLISH
from polyprefix.analysis.settings import Setting
from polyprefix.records import Score

ADAPTED, BASE = "adapted", "base"
"""The systems of a pair."""


@dataclass(frozen=True, slots=True)
class Difference:
    """How much higher the adapted model's score is than the base's on the same examples."""

    value: float
    n: int
    ci95: tuple[float, float]
    p_value: float
    """Of "these runs do not differ", two-sided."""
    adjusted_p: float
    """After the correction over the differences of its kind in the run."""
    mark: str


@dataclass(frozen=True, slots=True)
class BaselineAverage:
    """The mean of a baseline over the languages that it has a score for."""

    value: float
    languages: int


@dataclass(frozen=True, slots=True)
class Average:
    """The unweighted mean over some languages."""

    grouping: str
    """What the languages have in common: `languages`, or one of `polyprefix.analysis.groups`."""
    name: str
    languages: tuple[str, ...]
    adapted: Score
    base: Score | None
    """None unless the base run has the same examples in every one of the languages."""
    difference: Difference | None
    baselines: Mapping[str, BaselineAverage]


@dataclass(frozen=True, slots=True)
class Compared:
    """One or two systems on the same examples."""

    setting: Setting
    comparison: SettingComparison

    def summary(self, system: str) -> SystemSummary:
        """Of `adapted` or `base`."""
        return self.comparison.systems[self.setting.systems.index(system)]

    def over_all(self) -> tuple[Score, Score | None, Claim | None]:
        """Of the adapted model, the base and their difference: the average over all languages, English among them."""
        answers = self.setting.answers(self.setting.main_seeds)
        every = range(len(answers.languages))
        adapted = contrast(answers, weights(answers, 0, every))
        if len(answers.systems) == 1:
            return as_score(adapted), None, None
        base = contrast(answers, weights(answers, 1, every))
        change = contrast(answers, weights(answers, 0, every, minus=1))
        claim = Claim(
            ADAPTED, "languages", "all languages", answers.languages, adapted.value, base.value, change, 0.0, change.p_runs
        )  # fmt: skip
        return as_score(adapted), as_score(base), claim


def as_score(found: Contrast) -> Score:
    """A contrast that is a score."""
    return Score(found.value, found.n, found.ci95)


def as_difference(claim: Claim | None) -> Difference | None:
    """A claim as a run shows it."""
    if claim is None:
        return None
    found = claim.difference
    return Difference(found.value, found.n, found.ci95, found.p_runs, claim.adjusted_runs, claim.mark)


def all_averages(
    alone: Compared, pair: Compared | None, baselines: Mapping[str, Mapping[str, Score]]
) -> tuple[Average, ...]:
    """The averages over all languages, over all but English, and over each group of languages without English.

    Args:
        alone: the adapted model in all its languages.
        pair: the adapted and the base model, in the languages where both have the same examples.
        baselines: name -> language -> score.
    """
    theirs = _pairs(pair) if pair else {}
    found = []
    for (grouping, name), (codes, score) in _scores(alone).items():
        base, claim = theirs.get((grouping, name, frozenset(codes)), (None, None))
        found.append(Average(grouping, name, codes, score, base, as_difference(claim), _means(baselines, codes)))
    return tuple(found)


def _scores(alone: Compared) -> dict[tuple[str, str], tuple[tuple[str, ...], Score]]:
    """(grouping, name) -> languages, average."""
    codes, summary = alone.comparison.languages, alone.summary(ADAPTED)
    found = {("languages", "all languages"): (codes, alone.over_all()[0])}
    others = tuple(code for code in codes if code != ENGLISH)
    if others and len(others) < len(codes):
        found["languages", "all but English"] = others, as_score(summary.score)
    groups = summary.groups if others else ()
    return found | {(group.grouping, group.name): (group.languages, as_score(group.score)) for group in groups}


def _pairs(pair: Compared) -> dict[tuple[str, str, frozenset[str]], tuple[Score | None, Claim | None]]:
    """(grouping, name, languages) -> average of the base, difference."""
    base, (_, overall, claim) = pair.summary(BASE), pair.over_all()
    found = {("languages", "all languages", frozenset(pair.comparison.languages)): (overall, claim)}
    for average in pair.comparison.averages:
        found["languages", "all but English", frozenset(average.languages)] = as_score(base.score), average
    scores = {(group.grouping, group.name): as_score(group.score) for group in base.groups}
    for one in pair.comparison.by_group:
        found[one.grouping, one.name, frozenset(one.languages)] = scores[one.grouping, one.name], one
    return found


def _means(baselines: Mapping[str, Mapping[str, Score]], codes: tuple[str, ...]) -> dict[str, BaselineAverage]:
    means = {}
    for name, scores in baselines.items():
        values = [scores[code].value for code in codes if code in scores]
        if values:
            means[name] = BaselineAverage(sum(values) / len(values), len(values))
    return means
