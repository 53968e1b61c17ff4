"""The variance of a contrast, by what causes it, with the degrees of freedom of its estimate.

A contrast is a weighted sum of scores. What each seed and example id adds to it is a two-way table without replication,
crossed random factors (H. Clark, *The language-as-fixed-effect fallacy*, 1973). With mean squares MS_s over seeds, MS_i
over ids and MS_r of what is left, its variance is estimated by

    MS_i / SI  from ids   +   max(0, MS_s - MS_r) / SI  from seeds

and takes Student's t with Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946). S - 1 degrees of freedom for
seeds are very few, and every other system of the comparison was run with the same seeds. So MS_s is that of all systems,
pooled, unless the contrast's own is larger than 85% would be if seeds did the same to all systems; then its own
counts, with its own S - 1 degrees of freedom. What the rule costs and protects from is simulated in docs/coverage.md.

A seed draws the training sentences, their order and the initial values. Systems with one seed therefore share
sentences where `train_size` leaves some out: what a seed does to all systems at once (shared) and what it does to each
(own) are estimated separately, by the mean over systems and the deviations from it. The shared part cancels in the
difference of two trained systems and counts once against the base model, which no seed moves.

M systems, S seeds, L languages, I ids, K systems that seeds move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from polyprefix.scoring.bootstrap import Floats
from polyprefix.statistics.answers import Answers, Bools

NEGLIGIBLE = 1e-9
"""A standard error or a difference below this is the rounding of sums."""
LOWER_QUARTILE = -0.6745
"""Of a standard normal value."""
ALIKE = 0.85
"""How often a contrast's own variance over seeds gives way to that of all systems, where all are alike."""


@dataclass(frozen=True, slots=True)
class MeanSquare:
    """An estimated variance, such as that of a mean over seeds, and its degrees of freedom."""

    value: float
    degrees: float


NONE = MeanSquare(0.0, 1.0)


def combine(*parts: tuple[float, MeanSquare]) -> MeanSquare:
    """A weighted sum of independent mean squares, with Satterthwaite's degrees of freedom."""
    value = sum(weight * part.value for weight, part in parts)
    scale = sum((weight * part.value) ** 2 / part.degrees for weight, part in parts)
    return MeanSquare(value, value**2 / scale if scale > 0 else max(part.degrees for _, part in parts))


@dataclass(frozen=True, slots=True)
class Variance:
    """Of a contrast, from two sources: other ids, and other seeds."""

    ids: MeanSquare
    """From the draw of ids, as if no other seed could be."""
    between: MeanSquare = NONE
    """From seeds, chance within them included; nothing with one seed, whose part nobody can know."""
    within: MeanSquare = NONE
    """The chance within seeds alone."""
    count: int = 0
    """Number of ids."""

    @property
    def seeds(self) -> float:
        """Variance from seeds alone; 0 on average where they do nothing, so the estimate may be negative."""
        return self.between.value - self.within.value

    @property
    def total(self) -> float:
        """From both."""
        return self.ids.value + max(0.0, self.seeds)

    @property
    def degrees(self) -> float:
        """Satterthwaite's degrees of freedom of `total`."""
        if self.between.value <= NEGLIGIBLE**2:
            return self.ids.degrees
        parts = ((x.value, x.degrees) for x in (self.ids, self.between, self.within))
        return float(total_degrees(*(np.array(x) for part in parts for x in part)))

    @property
    def without_seeds(self) -> Variance:
        """As if no other seed could be."""
        return Variance(self.ids, count=self.count)


def total_degrees(
    ids: Floats, ids_degrees: Floats, between: Floats, between_degrees: Floats, within: Floats, within_degrees: Floats
) -> Floats:
    """Satterthwaite's degrees of freedom of `ids + max(0, between - within)`.

    With two degrees of freedom a mean square is below its expectation in 63% of studies, and the formula then has too many for
    the sum: up to 8% of true null hypotheses were rejected at 5%. It is therefore given an upper estimate of `between`, what it
    would be if this were the lower quartile (Wilson and Hilferty's quantile of chi-square, PNAS 17, 1931). With ten degrees of
    freedom and more that changes little.
    """
    step = 2 / (9 * between_degrees)
    between = between / (1 - step + LOWER_QUARTILE * np.sqrt(step)) ** 3
    total = ids + np.maximum(0.0, between - within)
    parts = ids**2 / ids_degrees + between**2 / between_degrees + within**2 / within_degrees
    found: Floats = np.maximum(1.0, total**2 / np.maximum(parts, NEGLIGIBLE**4))
    return found


def table_variance(d_SI: Floats) -> Variance:
    """Of the mean of values that vary with their seed and their id, both drawn at random."""
    S, ids = d_SI.shape
    by_id = float(d_SI.mean(axis=0).var(ddof=1)) / ids if ids > 1 else 0.0
    found = Variance(MeanSquare(by_id, max(1, ids - 1)), count=ids)
    return replace(found, between=_between(d_SI), within=_within(d_SI)) if S > 1 and ids > 1 else found


def mean_language_variance(columns: list[Floats]) -> list[Variance]:
    """Of the mean in each language, `[S, I_l]` each; what seeds do is the mean over languages.

    Three seeds say little about their variance in one language. Its degrees of freedom lie between S - 1, where a seed moves
    all languages alike, and L (S - 1).
    """
    found = [table_variance(d_SI) for d_SI in columns]
    S, L = len(columns[0]), len(columns)
    if S < 2:
        return found
    means_SL = np.stack([d_SI.mean(axis=1) for d_SI in columns], axis=1)
    value, degrees = _of_all_systems(means_SL, 1.0, 1.0)
    between = MeanSquare(float(value), float(degrees))
    within = combine(*((1 / L, one.within) for one in found))
    return [replace(one, between=between, within=within) for one in found]


class Variances:
    """Of contrasts of the same answers; what seeds and ids do to a system is computed once for each choice of languages."""

    def __init__(self, answers: Answers, *, alike: bool = False) -> None:
        """
        Args:
            alike: whether seeds are known to do the same to all systems, such as runs of one method in several source languages; a
                contrast's own variance over seeds then never counts alone.
        """
        self._answers, self._alike = answers, alike
        self._tables: dict[tuple[int, bytes], Floats] = {}
        self._within: dict[tuple[bytes, float, float], MeanSquare] = {}

    def of(self, weights_ML: Floats) -> Variance:
        """Of a weighted sum of scores."""
        answers = self._answers
        used: list[int] = np.flatnonzero(weights_ML.any(axis=1)).tolist()
        nothing = np.zeros((len(answers.seeds), answers.present.shape[1]))
        own = table_variance(sum((self._table(m, weights_ML[m]) for m in used), start=nothing))
        columns = np.flatnonzero(weights_ML.any(axis=0))
        counts, ids = answers.counts[columns], int(answers.present[columns].any(axis=0).sum())
        free = min(
            ids - 1, int(counts.sum() - np.sum(counts > 1) - np.any(counts == 1))
        )  # a mean of each language is taken off
        own = replace(own, ids=MeanSquare(own.ids.value, max(1, free)), count=ids)
        moved: list[int] = np.flatnonzero(answers.moved).tolist()
        mine = [m for m in used if m in moved]
        if not mine or len(answers.seeds) < 2:
            return own.without_seeds
        top = weights_ML[mine[0]]
        shares = np.array([float(weights_ML[m] @ top / (top @ top)) if m in mine else 0.0 for m in moved])
        if not np.allclose(weights_ML[moved], shares[:, None] * top):
            return own  # other languages of each system: no other system shows what seeds do to this sum
        means_SK = np.stack([self._table(m, top).mean(axis=1) for m in moved], axis=1)
        value, degrees, pooled = seed_mean_square(means_SK, shares, alike=self._alike)
        between = MeanSquare(float(value), float(degrees))
        return replace(own, between=between, within=self._of_all(top, moved, shares) if pooled else own.within)

    def _of_all(self, top_L: Floats, moved: list[int], shares: Floats) -> MeanSquare:
        """The chance within seeds, from all systems that seeds move."""
        a, b = (round(float(x), 9) for x in (np.sum(shares**2), np.sum(shares) ** 2))
        key = top_L.tobytes(), a, b
        if key not in self._within:
            self._within[key] = _split_within(np.stack([self._table(m, top_L) for m in moved]), a, b)
        return self._within[key]

    def _table(self, m: int, weights_L: Floats) -> Floats:
        key = m, weights_L.tobytes()
        if key not in self._tables:
            self._tables[key] = influence(self._answers, m, weights_L)
        return self._tables[key]


def seed_mean_square(means: Floats, shares_K: Floats, *, alike: bool = False) -> tuple[Floats, Floats, Bools]:
    """Variance over seeds of the mean over seeds of a weighted sum of systems, chance within seeds included.

    All systems show `b mean + (a - b / K) own`, where a and b are the sum of squared weights and the squared sum, `mean` is
    the mean square of the systems' mean, with S - 1 degrees of freedom, and `own` that of deviations from it, with
    (S - 1)(K - 1). The contrast alone shows its own mean square where systems do not cancel; where they do, those of its
    systems' deviations, added up as in Welch's test (Biometrika 34, 1947).

    Args:
        means: of each seed and system, `[..., S, K]`.
        shares_K: what each system counts.
        alike: as `Variances`.

    Returns:
        The variance, its degrees of freedom, and whether it is that of all systems, each `[...]`.
    """
    S, K = means.shape[-2:]
    f, a, b = S - 1, float(np.sum(shares_K**2)), float(np.sum(shares_K)) ** 2
    b = 0.0 if b < NEGLIGIBLE else b
    pooled, pooled_degrees = _of_all_systems(means, a, b)
    if K == 1 or alike:
        return pooled, pooled_degrees, np.ones(pooled.shape, dtype=bool)
    if b > 0:
        alone = (means @ shares_K).var(axis=-1, ddof=1) / S
        degrees = np.full(alone.shape, float(f))
    else:  # deviations hold (K - 1) / K of a system's own part
        each = (means - means.mean(axis=-1, keepdims=True)).var(axis=-2, ddof=1) / S
        parts = [shares_K[k] ** 2 * each[..., k] * K / (K - 1) for k in np.flatnonzero(shares_K)]
        alone, degrees = _satterthwaite(parts, [f * (K - 1) / K] * len(parts))
    enough = _alike(alone, degrees, pooled, pooled_degrees)
    return np.where(enough, pooled, alone), np.where(enough, pooled_degrees, degrees), enough


def _of_all_systems(means: Floats, a: float, b: float) -> tuple[Floats, Floats]:
    """`b mean + (a - b / K) own` of `seed_mean_square` and its degrees of freedom; columns may be languages, too."""
    S, K = means.shape[-2:]
    f, centre = S - 1, means.mean(axis=-1)
    mean = b * centre.var(axis=-1, ddof=1) / S
    if K == 1:
        return mean, np.full(mean.shape, float(f))
    each = (means - centre[..., None]).var(axis=-2, ddof=1) / S
    own = max(0.0, a - b / K) * each.sum(axis=-1) / (K - 1)
    return _satterthwaite([mean, own], [f, f * (K - 1)])


def _satterthwaite(parts: Sequence[Floats], degrees: Sequence[float]) -> tuple[Floats, Floats]:
    """The sum of mean squares and its degrees of freedom."""
    total = np.sum(parts, axis=0)
    scale = np.sum([part**2 / f for part, f in zip(parts, degrees, strict=True)], axis=0)
    found = np.divide(total**2, scale, out=np.full(np.shape(total), float(max(degrees))), where=scale > 0)
    return total, found


def _alike(alone: Floats, degrees: Floats, pooled: Floats, pooled_degrees: Floats) -> Bools:
    """Whether a variance is no larger than `ALIKE` of those would be that estimate what the other systems show."""
    from scipy.special import fdtri

    free = np.maximum(0.0, pooled_degrees - degrees)
    others = np.maximum(0.0, pooled_degrees * pooled - degrees * alone) / np.maximum(free, NEGLIGIBLE)
    found: Bools = (free < NEGLIGIBLE) | (alone <= fdtri(degrees, np.maximum(free, 1.0), ALIKE) * others)
    return found


def influence(answers: Answers, m: int, weights_L: Floats) -> Floats:
    """What each seed and id adds to a weighted sum of one system's scores, `[S, I]`; its mean over ids is 0 on average over seeds.

    The variance of a mean of n examples is their squared deviations over n (n - 1), not n^2, which matters where a
    language has ten examples of its own: deviations are stretched by `sqrt(n / (n - 1))`. A language with one example shows no
    deviation from itself; it counts with that from the mean over languages.
    """
    used = np.flatnonzero(weights_L)
    counts = answers.counts[used]
    single = counts == 1
    centre_U = np.where(single, answers.scores[m, used].mean(), answers.scores[m, used])
    languages = len(used) / max(1, len(used) - 1)
    stretch_U = np.sqrt(np.where(single, languages, counts / np.maximum(1, counts - 1)))
    chosen_U = weights_L[used] * answers.present.shape[1] / counts
    stretch_U /= np.sqrt(
        answers.present.shape[1] / max(1, answers.present.shape[1] - 1)
    )  # what the table's own factor adds
    there = answers.present[used]
    means_SU = np.where(
        single, centre_U, answers.means[m][:, used]
    )  # of each seed, whose own deviation is not stretched
    values = np.einsum("u,sui->si", chosen_U * stretch_U, answers.values[m][:, used])
    found: Floats = values - (means_SU * chosen_U * stretch_U) @ there + ((means_SU - centre_U) * chosen_U) @ there
    return found


def _between(d_SI: Floats) -> MeanSquare:
    """`MS_s / SI`."""
    return MeanSquare(float(d_SI.mean(axis=1).var(ddof=1)) / len(d_SI), len(d_SI) - 1)


def _within(d_SI: Floats) -> MeanSquare:
    """`MS_r / SI`."""
    S, ids = d_SI.shape
    rest = d_SI - d_SI.mean(axis=0) - d_SI.mean(axis=1)[:, None] + d_SI.mean()
    degrees = (S - 1) * (ids - 1)
    return MeanSquare(float(np.sum(rest**2)) / degrees / (S * ids), degrees)


def _split_within(tables_KSI: Floats, a: float, b: float) -> MeanSquare:
    """The chance within seeds in `_of_all_systems`."""
    K = len(tables_KSI)
    mean = tables_KSI.mean(axis=0)
    if K == 1:
        return combine((b, _within(mean)))
    parts = [_within(table) for table in tables_KSI - mean]
    own = MeanSquare(sum(part.value for part in parts) / (K - 1), parts[0].degrees * (K - 1))
    return combine((max(0.0, a - b / K), own), (b, _within(mean)))
