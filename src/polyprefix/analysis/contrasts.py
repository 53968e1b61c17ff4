"""Differences between systems, with two sources of chance: which examples were drawn, and which seeds were run.

An interval comes from 10,000 resamples of example ids, all systems and languages of an id together. Seeds are too few to
be resampled (three of them, drawn with replacement, show a third too little variance), so the interval is stretched by
the variance that seeds alone cause, with Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946). By chance
three seeds often agree where others would not: a system's part counts as no less than what seeds do to all systems on
average. Seeds of two systems are no pairs, so their parts add up, as in Welch's test.

A p-value answers one of two questions. "Did these runs differ, but for the choice of examples?" is a paired t-test over
ids, or McNemar's exact test where answers are right or wrong. "Would other seeds show it too?" adds the seeds' part, as
Student's t, whose long tail corrected claims must answer to. docs/statistics.md has the formulas and their sources.

M systems, S seeds, L languages, I ids, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np
from numpy.typing import ArrayLike

from polyprefix.analysis.answers import Answers
from polyprefix.scoring.bootstrap import Floats, Reals, resampled_sums
from polyprefix.scoring.metrics import Z95

RESAMPLES = 10_000
NEGLIGIBLE = 1e-9
"""A standard error or a difference below this is the rounding of sums."""


@dataclass(frozen=True, slots=True)
class Contrast:
    """A weighted sum of scores, such as a difference, with its uncertainty."""

    value: float
    n: int
    """Examples, over all languages."""
    ci95: tuple[float, float]
    """Over examples, and over seeds where there are several."""
    p_runs: float
    """Of "it is 0 in these runs": other examples, the same seeds."""
    p_seeds: float | None
    """Of "it is 0 on average over seeds": other examples and other seeds; None with one seed."""


@dataclass(frozen=True, slots=True)
class Spread:
    """Standard errors of a contrast, by what causes them."""

    examples: float
    """From the draw of examples, as if no other seed could be."""
    seed_variance: float
    """The square of that from seeds alone: 0 on average where they do not matter, so an estimate may be negative; 0
    with one seed, whose part nobody can know."""
    ids: int
    seed_degrees: int
    """Degrees of freedom of the seeds' part."""

    @property
    def seeds(self) -> float:
        """Standard error from seeds alone."""
        return float(np.sqrt(max(0.0, self.seed_variance)))

    @property
    def variance(self) -> float:
        """Of the contrast, from both."""
        return self.examples**2 + self.seeds**2

    @property
    def degrees(self) -> float:
        """Satterthwaite's degrees of freedom of `variance`."""
        parts = self.examples**4 / max(1, self.ids - 1) + self.seeds**4 / max(1, self.seed_degrees)
        return self.variance**2 / parts if parts > 0 else float(max(1, self.ids - 1))


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


def contrast(answers: Answers, scores_RML: Reals, weights_ML: Floats) -> Contrast:
    """A weighted sum of scores, such as an average of one system minus that of another.

    Args:
        scores_RML: `resampled_scores(answers)`.
        weights_ML: what each score counts.
    """
    return contrasts(answers, scores_RML, [weights_ML])[0]


def contrasts(answers: Answers, scores_RML: Reals, weights_KML: Sequence[Floats]) -> list[Contrast]:
    """Several contrasts at once, which takes far less time than one after the other."""
    samples_RK = _weighted(scores_RML, weights_KML)
    known: dict[bytes, Floats] = {}
    spreads = [contrast_spread(answers, weights_ML, known) for weights_ML in weights_KML]
    values_K = np.array([np.sum(weights_ML * answers.scores) for weights_ML in weights_KML])
    intervals_K2 = intervals(samples_RK, spreads)
    runs_K, seeds_K = _p_values(values_K, spreads, len(answers.seeds) > 1)
    found = []
    for k, weights_ML in enumerate(weights_KML):
        n = int(answers.counts[np.any(weights_ML != 0, axis=0)].sum())
        low, high = map(float, intervals_K2[k])
        p_seeds = None if seeds_K is None else float(seeds_K[k])
        found.append(Contrast(float(values_K[k]), n, (low, high), float(runs_K[k]), p_seeds))
    return found


def ratio(answers: Answers, scores_RML: Reals, over_ML: Floats, under_ML: Floats) -> Contrast | None:
    """One weighted sum of scores divided by another, such as the gain in other languages by that in English.

    None where the 95% interval of the divisor holds 0: the share of nothing is no number. The seeds' part is that of the
    linearised ratio, `(over - value * under) / divisor` (the delta method).
    """
    numerator, divisor = contrasts(answers, scores_RML, [over_ML, under_ML])
    if divisor.ci95[0] <= 0 <= divisor.ci95[1]:
        return None
    value = float(np.sum(over_ML * answers.scores)) / divisor.value
    linear = (over_ML - value * under_ML) / divisor.value
    overs, unders = _weighted(scores_RML, [over_ML, under_ML]).T
    samples = overs / np.where(np.abs(unders) < 1e-9, np.nan, unders)
    low, high = map(float, intervals(samples[np.isfinite(samples), None], [contrast_spread(answers, linear)])[0])
    n = int(answers.counts[np.any((over_ML != 0) | (under_ML != 0), axis=0)].sum())
    return Contrast(value, n, (low, high), numerator.p_runs, numerator.p_seeds)  # a share is 0 where its numerator is


def language_contrasts(
    answers: Answers, scores_RML: Reals, baseline: int, systems: Sequence[int] | None = None
) -> dict[tuple[int, int], Contrast]:
    """(system, language) -> how much higher the system's score is than the baseline's, on that language's examples.

    Without `systems`, of all but the baseline.

    Three seeds say little about their spread in one language: its square is the mean over all languages.
    """
    exact = len(answers.seeds) == 1 and answers.binary
    found = {}
    for m in range(len(answers.systems)) if systems is None else systems:
        if m == baseline:
            continue
        columns = [
            (answers.values[m, :, column] - answers.values[baseline, :, column])[:, present]
            for column, present in enumerate(answers.present)
        ]
        spreads = [crossed_spread(d_SI) for d_SI in columns]
        pooled = float(np.mean([spread.seed_variance for spread in spreads]))
        spreads = [replace(spread, seed_variance=pooled) for spread in spreads]
        values_L = np.array([d_SI.mean() for d_SI in columns])
        intervals_L2 = intervals(scores_RML[:, m] - scores_RML[:, baseline], spreads)
        runs_L, seeds_L = _p_values(values_L, spreads, len(answers.seeds) > 1)
        if exact:
            runs_L = mcnemar(*(np.array([np.sum(sign * d_SI > 0) for d_SI in columns]) for sign in (1, -1)))
        for column, d_SI in enumerate(columns):
            low, high = map(float, intervals_L2[column])
            p_seeds = None if seeds_L is None else float(seeds_L[column])
            found[m, column] = Contrast(
                float(values_L[column]), d_SI.shape[1], (low, high), float(runs_L[column]), p_seeds
            )
    return found


def intervals(samples_RK: Reals, spreads: Sequence[Spread]) -> Floats:
    """The middle 95% of resampled values, stretched by what another choice of seeds may have brought, `[K, 2]`.

    With variances A of examples and B of seeds the factor is `sqrt((A + B) / A) t / z`, the 97.5% points of Student's
    distribution with Satterthwaite's degrees of freedom and of the normal one. Without A, it is B's t interval.
    """
    from scipy.stats import t

    centre_K = samples_RK.mean(axis=0, dtype=np.float64)
    bounds_K2: Floats = np.percentile(samples_RK, (2.5, 97.5), axis=0).T - centre_K[:, None]
    seeded = np.flatnonzero([spread.seeds > NEGLIGIBLE for spread in spreads])
    if seeded.size:
        chosen = [spreads[int(k)] for k in seeded]
        a, b = (np.array(column) for column in zip(*((x.examples**2, x.seeds**2) for x in chosen), strict=True))
        points = t.ppf(0.975, [spread.degrees for spread in chosen])
        known = a > NEGLIGIBLE**2
        stretched = bounds_K2[seeded] * (np.sqrt((a + b) / np.where(known, a, 1.0)) * points / Z95)[:, None]
        alone = (points * np.sqrt(b))[:, None] * np.array([-1.0, 1.0])
        bounds_K2[seeded] = np.where(known[:, None], stretched, alone)
    return centre_K[:, None] + bounds_K2


def contrast_spread(answers: Answers, weights_ML: Floats, known: dict[bytes, Floats] | None = None) -> Spread:
    """Spread of a weighted sum of scores.

    From examples that of `crossed_spread`. From seeds the sum over systems of what their own seeds do, or of what seeds do to
    all systems on average where that is more; systems that are the same with every seed, such as the unadapted model,
    have no part in it.

    Args:
        known: what seeds do to each system, by weights of languages; filled and used again.
    """
    S, known = len(answers.seeds), {} if known is None else known
    own = shared = 0.0
    degrees = 0
    weighted: list[int] = np.flatnonzero(weights_ML.any(axis=1)).tolist()
    for m in (m for m in weighted if answers.moved[m]):
        key = weights_ML[m].tobytes()
        if key not in known:
            each = (_influence(answers, other, weights_ML[m]) for other in range(len(answers.systems)))
            known[key] = np.array([_seed_variance(d_SI) for d_SI in each])
        own += float(known[key][m])
        shared += float(known[key][answers.moved].mean())
        degrees += S - 1
    nothing = np.zeros((S, answers.values.shape[-1]))
    spread = crossed_spread(sum((_influence(answers, m, weights_ML[m]) for m in weighted), start=nothing))
    return replace(spread, seed_variance=max(own, shared), seed_degrees=degrees)


def crossed_spread(d_SI: Floats) -> Spread:
    """Spread of the mean of values that vary with their seed and their example, both drawn at random.

    With mean squares MS_s over seeds, MS_i over examples and MS_r of what is left, the mean's variance is
    `MS_i / SI` from examples and `max(0, MS_s - MS_r) / SI` from seeds.
    """
    S, ids = d_SI.shape
    by_example = float(d_SI.mean(axis=0).var(ddof=1)) / ids if ids > 1 else 0.0
    return Spread(float(np.sqrt(by_example)), _seed_variance(d_SI), ids, S - 1)


def mcnemar(higher: ArrayLike, lower: ArrayLike) -> Floats:
    """McNemar's exact test (Psychometrika 12, 1947): of the examples that one side alone got right, is half a fair share?

    Two-sided: `min(1, 2 P(X <= min(higher, lower)))` for X heads of `higher + lower` fair coins.
    """
    from scipy.stats import binom

    p: Floats = np.minimum(1.0, 2 * binom.cdf(np.minimum(higher, lower), np.add(higher, lower), 0.5))
    return p


def _seed_variance(d_SI: Floats) -> float:
    """`(MS_s - MS_r) / SI`; 0 where it cannot be known."""
    S, ids = d_SI.shape
    if S < 2 or ids < 2:
        return 0.0
    by_seed = d_SI.mean(axis=1)
    rest = d_SI - d_SI.mean(axis=0) - by_seed[:, None] + d_SI.mean()
    ms_r = float(np.sum(rest**2)) / ((S - 1) * (ids - 1))
    return float(by_seed.var(ddof=1)) / S - ms_r / (S * ids)


@cache
def _gauss_hermite() -> tuple[Floats, Floats]:
    """Nodes and weights for an integral over a normal value."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(64)
    return nodes, weights


def _weighted(scores_RML: Reals, weights_KML: Sequence[Floats]) -> Floats:
    """The weighted sums in each resample, `[R, K]`; looks at little that weighs 0."""
    weights_KC = np.array([weights_ML.ravel() for weights_ML in weights_KML], dtype=np.float32)
    used = np.flatnonzero(weights_KC.any(axis=0))
    scores_RC = scores_RML.reshape(len(scores_RML), -1)
    if len(used) < scores_RC.shape[1] / 2:  # else a copy takes longer than the product
        scores_RC, weights_KC = scores_RC[:, used], weights_KC[:, used]
    return np.asarray(scores_RC @ weights_KC.T, dtype=np.float64)


def _influence(answers: Answers, m: int, weights_L: Floats) -> Floats:
    """What each seed and id adds to a weighted sum of one system's scores, `[S, I]`; its mean is 0 and its spread that of the sum."""
    used = np.flatnonzero(weights_L)
    chosen = (weights_L * answers.present.shape[1] / answers.counts)[used]
    values = np.einsum("u,sui->si", chosen, answers.values[m][:, used])
    influence: Floats = values - (answers.scores[m, used] * chosen) @ answers.present[used]
    return influence


def _p_values(values_K: Floats, spreads: Sequence[Spread], seeds: bool) -> tuple[Floats, Floats | None]:
    """Of "it is 0", two-sided: in these runs, and with other seeds; the second is None with one seed.

    The first is a t-test over examples. The second is the chance that `a T + b Z` is as far from 0, with T of Student's
    distribution with the seeds' degrees of freedom, Z normal, a and b the standard errors of seeds and examples; integrated
    over Z by Gauss and Hermite.
    """
    from scipy.stats import t

    distance_K = np.abs(values_K)
    examples_K = np.array([spread.examples for spread in spreads])
    seeds_K = np.array([spread.seeds for spread in spreads])
    ids_K = np.array([spread.ids for spread in spreads])
    certain = (distance_K > NEGLIGIBLE) & (ids_K > 1)  # where no answer differs, or all by the same amount
    degrees_K = np.maximum(1, ids_K - 1)
    ratio_K = distance_K / np.where(examples_K > NEGLIGIBLE, examples_K, 1.0)
    runs_K = np.where(examples_K > NEGLIGIBLE, 2 * t.sf(ratio_K, degrees_K), np.where(certain, 0.0, 1.0))
    freedom_K = np.array([spread.seed_degrees for spread in spreads])
    if not seeds:
        return runs_K, None
    nodes, weights = _gauss_hermite()
    scale_K = np.where(seeds_K > NEGLIGIBLE, seeds_K, 1.0)
    z_KN = (distance_K[:, None] - examples_K[:, None] * nodes) / scale_K[:, None]
    tail_K = t.sf(z_KN, np.maximum(1, freedom_K)[:, None]) @ weights / weights.sum()
    return runs_K, np.where(seeds_K > NEGLIGIBLE, np.minimum(1.0, 2 * tail_K), runs_K)
