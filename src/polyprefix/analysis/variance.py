"""The variance of a contrast, by what causes it, with the degrees of freedom of its estimate.

A contrast is a weighted sum of scores. What each seed and example id adds to it is a two-way table without replication,
crossed random factors (H. Clark, *The language-as-fixed-effect fallacy*, 1973). With mean squares MS_s over seeds, MS_i
over ids and MS_r of what is left, its variance is estimated by

    MS_i / SI  from ids   +   max(0, MS_s - MS_r) / SI  from seeds

and takes Student's t with Satterthwaite's degrees of freedom (Biometrics Bulletin 2, 1946). S - 1 degrees of freedom for
seeds are very few, and every other system of the comparison was run with the same seeds. So MS_s is that of all systems,
pooled, unless the contrast's own is larger than three in four would be if seeds did the same to all systems; then its own
counts, with its own S - 1 degrees of freedom. What the rule costs and protects from is simulated in docs/statistics.md.

A seed draws the training sentences, their order and the initial values. Systems with one seed therefore share
sentences where `train_size` leaves some out: what a seed does to all systems at once (shared) and what it does to each
(own) are told apart from the data, by the mean over systems and the deviations from it. The shared part cancels in the
difference of two trained systems and counts once against the base model, which no seed moves.

M systems, S seeds, L languages, I ids, K systems that seeds move.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from polyprefix.analysis.answers import Answers
from polyprefix.scoring.bootstrap import Floats

NEGLIGIBLE = 1e-9
"""A standard error or a difference below this is the rounding of sums."""


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
        parts = ((x.value**2 / x.degrees) for x in (self.ids, self.between, self.within))
        return max(1.0, self.total**2 / max(sum(parts), NEGLIGIBLE**4))

    @property
    def without_seeds(self) -> Variance:
        """As if no other seed could be."""
        return Variance(self.ids, count=self.count)


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
    between = _split(means_SL, 1.0, 1.0)
    within = combine(*((1 / L, one.within) for one in found))
    return [replace(one, between=between, within=within) for one in found]


class Variances:
    """Of contrasts of the same answers; what seeds and ids do to a system is computed once for each choice of languages."""

    def __init__(self, answers: Answers) -> None:
        self._answers = answers
        self._tables: dict[tuple[int, bytes], Floats] = {}
        self._pooled: dict[tuple[bytes, float, float], tuple[MeanSquare, MeanSquare]] = {}

    def of(self, weights_ML: Floats) -> Variance:
        """Of a weighted sum of scores."""
        answers = self._answers
        used: list[int] = np.flatnonzero(weights_ML.any(axis=1)).tolist()
        nothing = np.zeros((len(answers.seeds), answers.present.shape[1]))
        own = table_variance(sum((self._table(m, weights_ML[m]) for m in used), start=nothing))
        moved = [m for m in used if answers.moved[m]]
        if not moved or len(answers.seeds) < 2:
            return own.without_seeds
        top = weights_ML[moved[0]]
        shares = [float(weights_ML[m] @ top / (top @ top)) for m in moved]
        if any(not np.allclose(weights_ML[m], share * top) for m, share in zip(moved, shares, strict=True)):
            return own  # other languages of each system: no other system shows what seeds do to this sum
        a, b = round(sum(x * x for x in shares), 9), round(sum(shares) ** 2, 9)
        between, within = self._of_all(top, a, b)
        alone = own.between if b > 0 else self._apart(top, dict(zip(moved, shares, strict=True)))
        if alone.value > _upper_quartile(alone.degrees, between.degrees) * between.value:
            return replace(own, between=alone)
        return replace(own, between=between, within=within)

    def _apart(self, top_L: Floats, shares: dict[int, float]) -> MeanSquare:
        """What seeds do to each of some systems alone, added up as in Welch's test; what they do to all systems cancels."""
        moved: list[int] = np.flatnonzero(self._answers.moved).tolist()
        means_KS = np.stack([self._table(m, top_L).mean(axis=1) for m in moved])
        K, S = means_KS.shape
        deviations = means_KS - means_KS.mean(axis=0)  # hold (K - 1) / K of a system's own part
        found = (MeanSquare(float(x.var(ddof=1)) / S * K / (K - 1), (S - 1) * (K - 1) / K) for x in deviations)
        each = dict(zip(moved, found, strict=True))
        return combine(*((share**2, each[m]) for m, share in shares.items()))

    def _of_all(self, top_L: Floats, a: float, b: float) -> tuple[MeanSquare, MeanSquare]:
        """`_split` of all systems that seeds move, and the chance within seeds."""
        key = top_L.tobytes(), a, b
        if key not in self._pooled:
            moved = np.flatnonzero(self._answers.moved)
            tables_KSI = np.stack([self._table(int(m), top_L) for m in moved])
            self._pooled[key] = _split(tables_KSI.mean(axis=2).T, a, b), _split_within(tables_KSI, a, b)
        return self._pooled[key]

    def _table(self, m: int, weights_L: Floats) -> Floats:
        key = m, weights_L.tobytes()
        if key not in self._tables:
            self._tables[key] = influence(self._answers, m, weights_L)
        return self._tables[key]


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
    stretch_U = np.sqrt(np.where(single, 1.0, counts / np.maximum(1, counts - 1)))
    chosen_U = weights_L[used] * answers.present.shape[1] / counts * stretch_U
    chosen_U /= np.sqrt(answers.present.shape[1] / max(1, answers.present.shape[1] - 1))  # what the table's own factor adds
    values = np.einsum("u,sui->si", chosen_U, answers.values[m][:, used])
    found: Floats = values - (centre_U * chosen_U) @ answers.present[used]
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


def _split(means_SK: Floats, a: float, b: float) -> MeanSquare:
    """Variance over seeds of a sum of K columns' means with weights c, `a = sum c^2` and `b = (sum c)^2`, estimated from all columns.

    The mean of columns shows `shared + own / K`, deviations from it `own`, with S - 1 and (S - 1)(K - 1) degrees of
    freedom; the sum has `a own + b shared`.
    """
    S, K = means_SK.shape
    mean = MeanSquare(float(means_SK.mean(axis=1).var(ddof=1)) / S, S - 1)
    if K == 1:
        return combine((b, mean))
    apart = means_SK - means_SK.mean(axis=1, keepdims=True)
    own = MeanSquare(float(apart.var(axis=0, ddof=1).sum()) / (K - 1) / S, (S - 1) * (K - 1))
    return combine((max(0.0, a - b / K), own), (b, mean))


def _split_within(tables_KSI: Floats, a: float, b: float) -> MeanSquare:
    """The chance within seeds in `_split`."""
    K = len(tables_KSI)
    mean = tables_KSI.mean(axis=0)
    if K == 1:
        return combine((b, _within(mean)))
    parts = [_within(table) for table in tables_KSI - mean]
    own = MeanSquare(sum(part.value for part in parts) / (K - 1), parts[0].degrees * (K - 1))
    return combine((max(0.0, a - b / K), own), (b, _within(mean)))


@cache
def _upper_quartile(own: float, pooled: float) -> float:
    """What the ratio of two estimates of one variance exceeds once in four times."""
    from scipy.stats import f

    return float(f.ppf(0.75, own, max(1.0, pooled - own)))
