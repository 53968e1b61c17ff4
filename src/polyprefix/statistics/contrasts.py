"""Differences between systems, with two sources of chance: which examples were drawn, and which seeds were run.

An interval and its p-value come from one distribution: Student's t with the standard error and the degrees of freedom of
`polyprefix.statistics.variance`. The 95% interval of a difference therefore excludes 0 exactly where p < 0.05. Where answers
of one seed in one language are right or wrong, both come from McNemar's statistic with the correction for
continuity (A. Edwards, Psychometrika 13, 1948): the p-value where the difference is 0, the interval where it is anything
else (T. Tango, Statistics in Medicine 17, 1998).

A p-value answers one of two questions. Significance with fixed seeds asks whether the runs at hand differ beyond the choice
of examples; significance with seed variance included asks whether other seeds would differ too. docs/statistics.md has the
formulas, their sources and simulations.

M systems, S seeds, L languages, I ids, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polyprefix.scoring.bootstrap import RESAMPLES, Floats, Reals, resampled_sums
from polyprefix.scoring.metrics import wilson
from polyprefix.statistics.answers import Answers
from polyprefix.statistics.variance import NEGLIGIBLE, Variance, Variances, mean_language_variance

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Contrast:
    """A weighted sum of scores, such as a difference, with its uncertainty."""

    value: float
    n: int
    """Examples, over all languages."""
    ci95: tuple[float, float]
    """Over examples, and over seeds where there are several: of the same distribution as the p-value that counts."""
    p_runs: float
    """Of "it is 0 in these runs": other examples, the same seeds."""
    p_seeds: float | None
    """Of "it is 0 on average over seeds": other examples and other seeds; None with one seed."""

    @property
    def p(self) -> float:
        """The p-value of the same distribution as the interval: over seeds where there are several."""
        return self.p_runs if self.p_seeds is None else self.p_seeds


def resampled_scores(answers: Answers, resamples: int = RESAMPLES) -> Reals:
    """Score of each system and language in each resample of ids, averaged over seeds, `[R, M, L]`.

    A draw that holds no example of a language keeps that language's observed score.
    """
    mean_MLI = answers.values.mean(axis=1)
    M, L, ids = mean_MLI.shape
    if answers.present.all():
        complete: Reals = resampled_sums(mean_MLI.reshape(M * L, ids).T, resamples).reshape(-1, M, L) / ids
        return complete
    stacked = np.concatenate([mean_MLI.reshape(M * L, ids), answers.present]).T
    drawn = resampled_sums(stacked, resamples)
    sums, counts = drawn[:, : M * L].reshape(-1, M, L), drawn[:, None, M * L :]
    observed = np.broadcast_to(answers.scores, sums.shape).copy()
    scores: Reals = np.divide(sums, counts, out=observed, where=counts > 0)
    return scores


def weights(answers: Answers, plus: int, columns: Sequence[int], minus: int | None = None) -> Floats:
    """What each score counts in the average of one system over some languages, minus that of another, `[M, L]`."""
    found = np.zeros((len(answers.systems), len(answers.languages)))
    found[plus, columns] += 1 / len(columns)
    if minus is not None:
        found[minus, columns] -= 1 / len(columns)
    return found


def contrast(answers: Answers, weights_ML: Floats) -> Contrast:
    """A weighted sum of scores, such as an average of one system minus that of another."""
    return contrasts(answers, [weights_ML])[0]


def contrasts(answers: Answers, weights_KML: Sequence[Floats], variances: Variances | None = None) -> list[Contrast]:
    """Several contrasts at once.

    Where weights are an average of scores (none negative, their sum 1), the interval is Wilson's, which stays between 0 and 1.

    Args:
        variances: `Variances(answers)`, where there are more contrasts of the same answers.
    """
    variances = variances or Variances(answers)
    found = []
    for weights_ML in weights_KML:
        value, variance = float(np.sum(weights_ML * answers.scores)), variances.of(weights_ML)
        n = int(answers.counts[np.any(weights_ML != 0, axis=0)].sum())
        is_score = bool((weights_ML >= 0).all()) and abs(float(weights_ML.sum()) - 1) < NEGLIGIBLE
        found.append(tested(value, n, variance, len(answers.seeds) > 1, is_score=is_score))
    return found


def tested(value: float, n: int, variance: Variance, seeds: bool, *, is_score: bool = False) -> Contrast:
    """A value with its interval and p-values."""
    p_runs = p_value(value, variance.without_seeds)
    counts = variance if seeds else variance.without_seeds
    interval = score_interval(value, counts) if is_score else interval_of(value, counts)
    return Contrast(value, n, interval, p_runs, p_value(value, counts) if seeds else None)


def interval_of(value: float, variance: Variance, level: float = LEVEL) -> tuple[float, float]:
    """`value ± t error`; of one id anything between -1 and 1."""
    if variance.count < 2:
        return -1.0, 1.0
    half = quantile(variance.degrees, level) * float(np.sqrt(variance.total))
    return value - half, value + half


def score_interval(value: float, variance: Variance, level: float = LEVEL) -> tuple[float, float]:
    """Wilson's interval, with t in place of z, of as many examples as would give one run that precision.

    That number is `p (1 - p) / variance` (E. Korn and B. Graubard, Survey Methodology 24, 1998). Where no answer differs from
    another it is the number of ids.
    """
    chance = value * (1 - value)
    if chance < NEGLIGIBLE or variance.total < NEGLIGIBLE**2:
        return wilson(value, max(1, variance.count), normal_quantile(level))
    return wilson(value, chance / variance.total, quantile(variance.degrees, level))


def p_value(value: float, variance: Variance) -> float:
    """Of "it is 0", two-sided, by the t that `interval_of` takes; where no answer differs it is certain."""
    from scipy.special import stdtr

    if variance.count < 2:
        return 1.0
    if variance.total <= NEGLIGIBLE**2:
        return float(abs(value) <= NEGLIGIBLE)
    return float(2 * stdtr(variance.degrees, -abs(value) / np.sqrt(variance.total)))


def normal_quantile(level: float = LEVEL) -> float:
    """Of the normal distribution, for a two-sided interval."""
    from scipy.special import ndtri

    return float(ndtri((1 + level) / 2))


def quantile(degrees: float, level: float = LEVEL) -> float:
    """Of Student's distribution, for a two-sided interval."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + level) / 2))


def ratio(answers: Answers, over_ML: Floats, under_ML: Floats, variances: Variances | None = None) -> Contrast | None:
    """One weighted sum of scores divided by another, such as the gain in other languages by that in English.

    The interval is Fieller's (JRSS-B 16, 1954): every ratio r for which `over - r under` is not significantly different from
    0, with the degrees of freedom of `over`. It excludes 0 exactly where `over` does.

    Returns:
        None where the 95% interval of the divisor holds 0: the share of nothing is no number.
    """
    variances = variances or Variances(answers)
    numerator, divisor = contrasts(answers, [over_ML, under_ML], variances)
    over, under, apart = (variances.of(x) for x in (over_ML, under_ML, over_ML - under_ML))
    if divisor.ci95[0] <= 0 <= divisor.ci95[1] or under.count < 2:
        return None
    t2, both = quantile(over.degrees) ** 2, (over.total + under.total - apart.total) / 2
    both = float(np.clip(both, -np.sqrt(over.total * under.total), np.sqrt(over.total * under.total)))
    a, b, c = (
        divisor.value**2 - t2 * under.total,
        numerator.value * divisor.value - t2 * both,
        numerator.value**2 - t2 * over.total,
    )
    if a <= 0 or b**2 < a * c:
        return None
    root = float(np.sqrt(b**2 - a * c))
    n = int(answers.counts[np.any((over_ML != 0) | (under_ML != 0), axis=0)].sum())
    interval = (b - root) / a, (b + root) / a
    return Contrast(numerator.value / divisor.value, n, interval, numerator.p_runs, numerator.p_seeds)


def language_contrasts(
    answers: Answers, baseline: int, systems: Sequence[int] | None = None
) -> dict[tuple[int, int], Contrast]:
    """(system, language) -> how much higher the system's score is than the baseline's, on that language's examples.

    Without `systems`, of all but the baseline.
    """
    exact, seeds = len(answers.seeds) == 1 and answers.binary, len(answers.seeds) > 1
    found: dict[tuple[int, int], Contrast] = {}
    for m in range(len(answers.systems)) if systems is None else systems:
        if m == baseline:
            continue
        columns = [
            (answers.values[m, :, column] - answers.values[baseline, :, column])[:, present]
            for column, present in enumerate(answers.present)
        ]
        if exact:
            pairs = np.array([[np.sum(d_SI > 0), np.sum(d_SI < 0), d_SI.shape[1]] for d_SI in columns])
            found |= {(m, column): one for column, one in enumerate(paired_proportions(*pairs.T))}
            continue
        moved = answers.moved[[m, baseline]].any()
        for column, (d_SI, variance) in enumerate(zip(columns, mean_language_variance(columns), strict=True)):
            counted = variance if moved else variance.without_seeds
            found[m, column] = tested(float(d_SI.mean()), d_SI.shape[1], counted, seeds)
    return found


def paired_proportions(higher: Floats, lower: Floats, n: Floats) -> list[Contrast]:
    """Differences of two shares of right answers to the same n examples, by McNemar's statistic as corrected for continuity.

    With b and c examples that one side alone got right and D a true difference, the statistic is
    `(|b - c - n D| - 1) / sqrt(n (2 q + D (1 - D)))`, q the most likely share of examples that the other side alone gets right
    if D is true. The interval holds every D for which it is below 1.96.
    """
    from scipy.stats import norm

    higher, lower, n = (np.asarray(x, dtype=np.float64) for x in (higher, lower, n))
    value = (higher - lower) / n
    z = float(norm.ppf((1 + LEVEL) / 2))
    p = 2 * norm.sf(_tango(np.zeros_like(value), higher, lower, n))
    bounds = []
    for end in (-1.0, 1.0):
        inside, outside = value.copy(), np.full_like(value, end)
        for _ in range(60):
            middle = (inside + outside) / 2
            accepted = _tango(middle, higher, lower, n) < z
            inside, outside = np.where(accepted, middle, inside), np.where(accepted, outside, middle)
        bounds.append(outside)
    rows = zip(value, n, *bounds, p, strict=True)
    return [Contrast(float(v), int(k), (float(a), float(b)), float(q), None) for v, k, a, b, q in rows]


def _tango(difference: Floats, b: Floats, c: Floats, n: Floats) -> Floats:
    """The statistic for each true difference."""
    linear = (2 * n - b + c) * difference - b - c
    root = np.sqrt(np.maximum(0.0, linear**2 + 8 * n * c * difference * (1 - difference)))
    variance = n * (2 * (root - linear) / (4 * n) + difference * (1 - difference))
    distance = np.maximum(0.0, np.abs(b - c - n * difference) - 1)
    found: Floats = np.where(distance > 0, distance / np.sqrt(np.maximum(variance, NEGLIGIBLE)), 0.0)
    return found
