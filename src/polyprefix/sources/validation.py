"""How good a way of choosing a source is, on transfer matrices: each target is left out, as a target and as a source, and chosen for.

Three figures of a target, means over matrices, then over targets with the interval of `mean_over_languages`:

    gain     score of the chosen source minus that of English; unbiased, for no answer of the target was seen
    regret   score of the best source minus that of the chosen one: on the same items (too high), and cross-fitted (too low)
    NDCG@3   discounted gains of the first three, a gain being a score less the lowest of the target (K. Järvelin and J. Kekäläinen, 2002)

Of candidates that a choice does not tell from each other the mean counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from polyprefix import languages
from polyprefix.config import ENGLISH
from polyprefix.languages.distances import between
from polyprefix.scoring.bootstrap import Floats
from polyprefix.sources.features import FEATURES, NAMES
from polyprefix.sources.ranker import VARIANTS, Observed, fit
from polyprefix.statistics.transfer import LanguageMean, mean_over_languages

FIRST = 3
"""Ranks that NDCG counts."""
Preference = Callable[[Observed, int], Floats]
"""(matrix, place of the target) -> how much each source is preferred, `[N]`; the highest is taken."""
Learner = Callable[[Sequence[Observed], str], Preference]
"""(matrices, language that is left out of them) -> what was learned."""
BASELINES = ("English", "same family", "nearest", "most data", "best on average")


@dataclass(frozen=True, slots=True)
class Figures:
    """A way of choosing, over all targets."""

    gain: LanguageMean
    regret: LanguageMean
    cross_fitted: LanguageMean | None
    ndcg: LanguageMean
    minus: Mapping[str, LanguageMean]
    """Baseline -> score of the chosen source minus that of the baseline's; of rankers alone."""


@dataclass(frozen=True, slots=True)
class Validation:
    """Every way of choosing on the same targets."""

    targets: int
    known: Mapping[str, Figures]
    """Baselines and rankers, each target left out; the candidates are sources of the matrices."""
    new: Mapping[str, Figures]
    """The same of rankers that have never seen the candidate as a source either."""


def english(one: Observed, target: int) -> Floats:
    """English for every target."""
    return np.array([float(source == ENGLISH) for source in one.matrix.sources])


def same_family(one: Observed, target: int) -> Floats:
    """The same branch, else the same family, else English."""
    known = languages.get(one.matrix.targets[target])
    pairs = [between(languages.get(source), known) for source in one.matrix.sources]
    return np.array([2.0 * bool(p.same_branch) + bool(p.same_family) for p in pairs]) + 0.5 * english(one, target) * (
        not any(p.same_family for p in pairs)
    )


def nearest(one: Observed, target: int) -> Floats:
    """The nearest on the map; a language without a point is farther than all others."""
    return -np.nan_to_num(_column(one, target, "geographic distance"), nan=2.0)


def most_data(one: Observed, target: int) -> Floats:
    """The most training examples of the task; of equally many the highest resource class."""
    rows = np.nan_to_num(_column(one, target, "training examples"))
    return rows + 1e-3 * np.nan_to_num(_column(one, target, "resource class"), nan=-1.0)


def best_on_average(observed: Sequence[Observed], left_out: str) -> Preference:
    """The source with the highest mean over the other targets of all matrices."""
    measured = fit(observed, (), {left_out}).measured

    def preference(one: Observed, target: int) -> Floats:
        return np.array([measured.get(source, -1.0) for source in one.matrix.sources])

    return preference


def ranking(variant: str) -> Learner:
    """The ranker with the features of a variant."""

    def learned(observed: Sequence[Observed], left_out: str) -> Preference:
        ranker = fit(observed, [variant], {left_out})
        return lambda one, target: ranker.predict(one.features[:, target], one.matrix.sources, variant)

    return learned


def ranking_of_new(variant: str) -> Learner:
    """The same, where each candidate is ranked by a fit that has not seen it as a source."""

    def learned(observed: Sequence[Observed], left_out: str) -> Preference:
        sources = sorted({source for one in observed for source in one.matrix.sources})
        rankers = {code: fit(observed, [variant], {left_out}, {code}) for code in sources if code != left_out}

        def preference(one: Observed, target: int) -> Floats:
            found = np.full(len(one.matrix.sources), -np.inf)
            for place, code in enumerate(one.matrix.sources):
                if code in rankers:
                    (found[place],) = rankers[code].predict(one.features[place : place + 1, target], [code], variant)
            return found

        return preference

    return learned


def learners(observed: Sequence[Observed]) -> dict[str, Learner]:
    """The baselines, and the rankers whose features are known in some matrix."""
    plain = {"English": english, "same family": same_family, "nearest": nearest, "most data": most_data}
    found: dict[str, Learner] = {name: _fixed(preference) for name, preference in plain.items()}
    found["best on average"] = best_on_average
    return found | {f"ranker: {variant}": ranking(variant) for variant in variants(observed)}


def variants(observed: Sequence[Observed]) -> list[str]:
    """The variants of the ranker that have a feature of every kind."""
    known = {name for one in observed for i, name in enumerate(NAMES) if not np.isnan(one.features[..., i]).all()}
    there = {FEATURES[name][0] for name in known}
    return [variant for variant, kinds in VARIANTS.items() if there.issuperset(kinds)]


def validate(
    observed: Sequence[Observed], more: Mapping[str, Learner] | None = None, *, new: bool = True
) -> Validation:
    """Leave each target out in turn, and score what every learner chooses for it.

    Args:
        observed: at least one matrix with English among its sources.
        more: learners beside `learners`.
        new: whether to validate on unseen candidates too.

    Raises:
        ValueError: if no matrix has English among its sources.
    """
    usable = [one for one in observed if ENGLISH in one.matrix.sources]
    if not usable:
        raise ValueError("no matrix has English among its sources")
    known = _figures(usable, {**learners(usable), **(more or {})})
    unseen: Mapping[str, Figures] = {}
    if new:
        found = {f"ranker: {v}": ranking_of_new(v) for v in variants(usable)}
        unseen = _figures(usable, {"English": _fixed(english), **found})
        unseen = {name: figures for name, figures in unseen.items() if name in found}
    targets = {target for one in usable for target in one.matrix.targets if target != ENGLISH}
    return Validation(len(targets), known, unseen)


def _figures(observed: Sequence[Observed], ways: Mapping[str, Learner]) -> dict[str, Figures]:
    targets = dict.fromkeys(t for one in observed for t in one.matrix.targets if t != ENGLISH)
    found: dict[str, dict[str, Floats]] = {name: {} for name in ways}
    for target in targets:
        for name, learner in ways.items():
            preference = learner(observed, target)
            rows = [_scored(one, one.matrix.targets.index(target), preference) for one in _with(observed, target)]
            found[name][target] = np.mean(rows, axis=0)
    return {name: _over_targets(name, values, found) for name, values in found.items()}


def _with(observed: Sequence[Observed], target: str) -> list[Observed]:
    return [one for one in observed if target in one.matrix.targets]


def _scored(one: Observed, t: int, preference: Preference) -> Floats:
    """Score of the choice, and that less English's, regret on the same items and cross-fitted, and NDCG."""
    matrix = one.matrix
    rows = np.flatnonzero(matrix.candidates[:, t])
    preferred = preference(one, t)[rows]
    y = matrix.scores[rows, t]
    chosen = _shares(preferred)
    gain = float(chosen @ y - matrix.scores[matrix.sources.index(ENGLISH), t])
    cross = float(chosen @ matrix.cross_fitted_regret[rows, t])
    return np.array([float(chosen @ y), gain, float(y.max() - chosen @ y), cross, ndcg(preferred, y)])


def _shares(preferred: Floats) -> Floats:
    top = preferred >= preferred.max() - 1e-12
    found: Floats = top / top.sum()
    return found


def ndcg(preferred: Floats, scores: Floats, first: int = FIRST) -> float:
    """Normalised discounted cumulative gain of the first ranks; 1 where all scores are equal.

    Candidates that are preferred alike share their ranks: each has the mean of their gains.
    """
    gains = scores - scores.min()
    discounts = np.zeros(len(scores))
    discounts[:first] = 1 / np.log2(np.arange(2, min(first, len(scores)) + 2))
    best = float(np.sort(gains)[::-1] @ discounts)
    if best < 1e-12:
        return 1.0
    order = np.argsort(-preferred, kind="stable")
    ranked, found = gains[order], np.empty(len(scores))
    levels = np.round(preferred[order], 12)
    for level in np.unique(levels):
        found[levels == level] = ranked[levels == level].mean()
    return float(found @ discounts) / best


def _over_targets(name: str, values: Mapping[str, Floats], every: Mapping[str, Mapping[str, Floats]]) -> Figures:
    def mean(of: Callable[[str], float]) -> LanguageMean | None:
        figures = {target: of(target) for target in values}
        return mean_over_languages({target: x for target, x in figures.items() if not np.isnan(x)})

    def column(place: int) -> LanguageMean | None:
        return mean(lambda target: float(values[target][place]))

    baselines = [other for other in BASELINES if other in every and name not in BASELINES]
    minus = {other: mean(lambda t, other=other: float(values[t][0] - every[other][t][0])) for other in baselines}  # type: ignore[misc]
    gain, regret, gains = column(1), column(2), column(4)
    assert gain and regret and gains  # there is a target
    return Figures(gain, regret, column(3), gains, {other: one for other, one in minus.items() if one})


def _column(one: Observed, target: int, name: str) -> Floats:
    found: Floats = one.features[:, target, NAMES.index(name)]
    return found


def _fixed(preference: Preference) -> Learner:
    return lambda observed, left_out: preference
