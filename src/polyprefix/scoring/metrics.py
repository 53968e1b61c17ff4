"""Metrics of one language: small pure functions, each with its n and its 95% interval. Needs numpy only."""

from __future__ import annotations

from collections.abc import Sequence
from math import sqrt

import numpy as np

from polyprefix.scoring.bootstrap import SEED, Floats, percentile_interval, resample_counts
from polyprefix.types import Score

Z95 = 1.959963984540054
"""The 97.5% point of the normal distribution."""
F1_RESAMPLES = 1000


def accuracy(correct: Sequence[float]) -> Score:
    """The mean of correctness values between 0 and 1.

    Where all values are 0 or 1 the interval is Wilson's: `(p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)`
    (E. B. Wilson, JASA 22, 1927), which stays inside 0..1 and does not collapse at p = 0 or 1. Fractional values, such
    as an F1 per answer, are no proportion: there it is a percentile bootstrap over examples.

    Raises:
        ValueError: if there is nothing to average (absent is never zero), or a value is outside 0..1 or no number.
    """
    values = np.asarray(correct, dtype=float)
    if values.size == 0:
        raise ValueError("accuracy of no examples: a language without predictions has no score")
    if not np.all((values >= 0) & (values <= 1)):
        raise ValueError("correctness must lie between 0 and 1")
    p = float(values.mean())
    if np.all((values == 0) | (values == 1)):
        return Score(p, values.size, wilson(p, values.size))
    means = resample_counts(values.size) @ values / values.size
    return Score(p, values.size, percentile_interval(means))


def macro_f1(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> Score:
    """The unweighted mean over `labels` of `F1 = 2 TP / (2 TP + FP + FN)`.

    The value is that of scikit-learn's `f1_score(gold, predicted, labels=labels, average="macro", zero_division=0)`: a
    label that is absent from gold counts with F1 = 0, also where it was never predicted, and an answer that is no label
    is a miss of the gold one and nobody's false alarm.

    The interval is a percentile bootstrap over examples. To draw n examples is to draw n cells of the confusion matrix
    from a multinomial distribution, so the cells are drawn and the examples never are.

    Raises:
        ValueError: if there are no examples, the lengths differ, labels repeat, or a gold answer is no label.
    """
    return _mean_f1(gold, predicted, labels, by_support=False)


def weighted_f1(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str]) -> Score:
    """The same, but each label counts as often as it is gold: scikit-learn's `average="weighted"`.

    Raises:
        ValueError: see `macro_f1`.
    """
    return _mean_f1(gold, predicted, labels, by_support=True)


def _mean_f1(gold: Sequence[str], predicted: Sequence[str], labels: Sequence[str], by_support: bool) -> Score:
    if not gold:
        raise ValueError("mean F1 of no examples: a language without predictions has no score")
    if len(gold) != len(predicted):
        raise ValueError(f"{len(gold)} gold answers but {len(predicted)} predicted ones")
    index = {label: i for i, label in enumerate(labels)}
    if len(index) != len(labels):
        raise ValueError(f"labels repeat: {list(labels)}")
    if unknown := sorted(set(gold) - index.keys()):
        raise ValueError(f"gold answers that are no label: {unknown[:5]}")
    other = len(labels)  # one more column, for answers that are no label
    cells = np.array([index[g] * (other + 1) + index.get(p, other) for g, p in zip(gold, predicted, strict=True)])
    used, counts = np.unique(cells, return_counts=True)
    rows, columns = np.divmod(used, other + 1)
    n = len(gold)
    draws = np.random.default_rng(SEED).multinomial(n, counts / n, size=F1_RESAMPLES)
    value, *samples = _f1_of_cells(np.vstack([counts, draws]).astype(float), rows, columns, other, by_support)
    return Score(float(value), n, percentile_interval(np.array(samples)))


def wilson(p: float, n: float, z: float = Z95) -> tuple[float, float]:
    """Wilson's interval of a share p of n, with z standard errors to either side."""
    scale = 1 + z**2 / n
    centre = (p + z**2 / (2 * n)) / scale
    half = z * sqrt(p * (1 - p) / n + z**2 / (4 * n**2)) / scale
    return max(0.0, centre - half), min(1.0, centre + half)


def _f1_of_cells(counts: Floats, rows: Floats, columns: Floats, labels: int, by_support: bool) -> Floats:
    """Mean F1 of each row of `counts` `[resamples, cells]`; a cell lies at (gold, predicted) = (row, column)."""
    gold = counts @ np.eye(labels)[rows]
    predicted = counts @ np.eye(labels + 1)[columns][:, :labels]
    hits = counts @ ((rows == columns)[:, None] * np.eye(labels)[rows])
    total = gold + predicted  # = 2 TP + FP + FN
    f1: Floats = np.divide(2 * hits, total, out=np.zeros_like(total), where=total > 0)
    means: Floats = (f1 * gold).sum(axis=1) / gold.sum(axis=1) if by_support else f1.mean(axis=1)
    return means
