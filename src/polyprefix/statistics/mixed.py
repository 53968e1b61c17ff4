"""A mixed-effects logistic regression of single answers: languages, examples and seeds are all drawn at random.

    logit P(right) = system + language + example + system:language + system:example + run

`run` is a system with one seed. System is fixed, the rest are crossed random intercepts (R. Baayen, D. Davidson and D. Bates,
Journal of Memory and Language 59, 2008), with the interactions that a test of systems needs (D. Barr et al., Journal of
Memory and Language 68, 2013). Fitted by GPBoost (F. Sigrist, JMLR 23, 2022; Laplace approximation, sparse Cholesky).

What it adds to differences of averages: languages are a sample too, so it speaks of languages like those tested; and effects
are odds ratios, which do not shrink where scores are near 0 or 1. Intervals and p-values take one t. Its degrees of
freedom are the fewer of those of languages and of runs: `L - 1` and, with several seeds, `K (S - 1)` of K systems that seeds
move, because a t is no better than the random effect with the fewest levels.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyprefix.scoring.bootstrap import Floats
from polyprefix.statistics.answers import Answers
from polyprefix.statistics.contrasts import quantile

MOST = 15_000
"""Answers that are fitted unless more are asked for: about three seconds on one core."""
FEWEST_LANGUAGES = 5
NO_EFFECT = 1e-6


@dataclass(frozen=True, slots=True)
class OddsRatio:
    """How the odds of a right answer of a system compare with the baseline's."""

    system: str
    log_odds: float
    ci95: tuple[float, float]
    """Of the logarithm."""
    p_value: float
    adjusted: float = 1.0
    """After Holm's correction over the averages of one call."""


@dataclass(frozen=True, slots=True)
class MixedModel:
    """A fit."""

    baseline: str
    effects: tuple[OddsRatio, ...]
    sds: dict[str, float]
    """Random effect -> standard deviation, in log-odds."""
    degrees: float
    answers: int


def mixed_model(answers: Answers, baseline: int, columns: list[int], most: int | None = MOST) -> MixedModel | str:
    """Fit the model, or say why it is not fitted.

    Args:
        baseline: place of the system that others are compared with.
        columns: places of the languages.
        most: answers that are fitted; None means any number.
    """
    if reason := _unfit(answers, columns):
        return reason
    place, y = _rows(answers, columns)
    if most is not None and len(y) > most:
        return f"{len(y):,} answers take long; --mixed fits them"
    others = [m for m in range(len(answers.systems)) if m != baseline]
    system, seed, language, example = place
    x = np.column_stack([np.ones(len(y)), *(system == m for m in others)]).astype(float)
    ids, L = answers.present.shape[1], len(answers.languages)
    groups = {
        "language": language,
        "example": example,
        "example in a language": example * L + language,
        "system in a language": system * L + language,
        "system on an example": system * ids + example,
        "run": system * len(answers.seeds) + seed,
    }
    if len(answers.seeds) < 2 or not answers.moved.any():
        del groups["run"]
    if np.all(
        answers.present[columns].sum(axis=0) <= 1
    ):  # every language has examples of its own: the same levels twice
        del groups["example in a language"]
    try:
        coefficients, errors, sds = _fit(y, x, np.column_stack(list(groups.values())))
    except Exception as error:  # GPBoost raises its own class, which is not public
        return f"GPBoost: {str(error).splitlines()[0][:120]}"
    if not (np.isfinite(coefficients).all() and np.isfinite(errors).all() and np.isfinite(sds).all()):
        return "the likelihood has no finite maximum"
    degrees = float(len(columns) - 1)
    if "run" in groups:
        degrees = min(degrees, float(answers.moved.sum() * (len(answers.seeds) - 1)))
    effects = tuple(
        _effect(answers.systems[m], *pair, degrees)
        for m, pair in zip(others, zip(coefficients[1:], errors[1:], strict=True), strict=True)
    )
    return MixedModel(
        answers.systems[baseline], effects, dict(zip(groups, map(float, sds), strict=True)), degrees, len(y)
    )


def with_adjusted(model: MixedModel, adjusted: list[float]) -> MixedModel:
    """With corrected p-values, in the order of the effects."""
    return replace(
        model, effects=tuple(replace(one, adjusted=p) for one, p in zip(model.effects, adjusted, strict=True))
    )


def _unfit(answers: Answers, columns: list[int]) -> str:
    if len(answers.systems) < 2:
        return "one system has nothing to be compared with"
    if not answers.binary:
        return "answers are fractions, not right or wrong"
    if len(columns) < FEWEST_LANGUAGES:
        return f"{len(columns)} languages are too few to be a sample"
    scores = answers.scores[:, columns].mean(axis=1)
    if extreme := [
        name for name, score in zip(answers.systems, scores, strict=True) if not NO_EFFECT < score < 1 - NO_EFFECT
    ]:
        return f"{', '.join(extreme)}: every answer is wrong or every answer right, so odds are infinite"
    return ""


def _rows(answers: Answers, columns: list[int]) -> tuple[tuple[NDArray[np.int64], ...], Floats]:
    """System, seed, language and example of each answer, and whether it is right; one seed of what no seed moves."""
    kept = np.zeros(len(answers.languages), dtype=bool)
    kept[columns] = True
    there = np.broadcast_to(answers.present & kept[:, None], answers.values.shape)
    m, s, language, i = np.nonzero(there)
    once = answers.moved[m] | (s == 0)
    place = m[once], s[once], language[once], i[once]
    return place, answers.values[place]


def _fit(y: Floats, x: Floats, groups: NDArray[np.int64]) -> tuple[Floats, Floats, Floats]:
    """Coefficients, standard errors, and standard deviations of the random effects."""
    import gpboost

    model: Any = gpboost.GPModel(
        group_data=groups.astype(str), likelihood="bernoulli_logit", matrix_inversion_method="cholesky",
        num_parallel_threads=1,
    )  # fmt: skip
    model.fit(y=y, X=x)
    found = np.asarray(model.get_coef(std_err=True, format_pandas=False))
    variances = np.asarray(model.get_cov_pars(std_err=False, format_pandas=False)).ravel()
    return found[0], found[1], np.sqrt(np.maximum(0.0, variances))


def _effect(system: str, value: float, error: float, degrees: float) -> OddsRatio:
    from scipy.stats import t

    half = quantile(degrees) * float(error)
    p = float(2 * t.sf(abs(value) / error, degrees)) if error > 0 else 1.0
    return OddsRatio(system, float(value), (float(value) - half, float(value) + half), p)
