"""Which labels are taken for which: confusion matrices, precision, recall and F1 of each label, and macro F1.

Precision of a label that was never predicted, and recall of one that is never right, are absent. F1 is that of scikit-learn; macro F1 is the
mean over the labels that are right or predicted at least once. Intervals are percentile bootstraps over test examples; an example that is
asked in several languages, or of several seeds, is one unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from polyprefix.scoring.bootstrap import Floats, percentile_interval, resampled_sums
from polyprefix.types import Score

RESAMPLES = 1000


@dataclass(frozen=True, slots=True)
class LabelScores:
    """One label."""

    label: str
    n: int
    """Answers to questions whose right label it is."""
    predicted: int
    """Answers that say it."""
    precision: Score | None
    recall: Score | None
    f1: Score | None


@dataclass(frozen=True, slots=True)
class Classes:
    """The answers of one method to questions that have the same labels."""

    labels: tuple[LabelScores, ...]
    counts: tuple[tuple[int, ...], ...]
    """The confusion matrix: right label x predicted label, in the order of `labels`."""
    macro_f1: Score


def classes(predicted_N: Any, right_N: Any, units_N: Any, labels: Sequence[str], resamples: int = RESAMPLES) -> Classes:
    """Count answers by right and predicted label.

    Args:
        predicted_N, right_N: places in `labels`.
        units_N: what is drawn together by the bootstrap: ids of examples.

    Raises:
        ValueError: if there are no answers.
    """
    if not len(right_N):
        raise ValueError("no answers: nothing can be said of their labels")
    K = len(labels)
    units, rows = np.unique(units_N, return_inverse=True)
    counts_IK = np.zeros((len(units), K * K))
    np.add.at(counts_IK, (rows, right_N * K + predicted_N), 1)
    counts = counts_IK.sum(axis=0).reshape(K, K)
    drawn = _figures(resampled_sums(counts_IK, resamples).reshape(resamples, K, K))
    found = _figures(counts)

    def score(name: str, k: int, n: int) -> Score | None:
        value = found[name][k]
        return Score(float(value), n, _interval(drawn[name][:, k])) if np.isfinite(value) else None

    right, said = counts.sum(axis=1).astype(int).tolist(), counts.sum(axis=0).astype(int).tolist()
    scores = tuple(
        LabelScores(
            label,
            right[k],
            said[k],
            score("precision", k, said[k]),
            score("recall", k, right[k]),
            score("f1", k, right[k]),
        )
        for k, label in enumerate(labels)
    )
    macro = Score(float(np.nanmean(found["f1"])), len(right_N), _interval(np.nanmean(drawn["f1"], axis=1)))
    return Classes(scores, tuple(tuple(row) for row in counts.astype(int).tolist()), macro)


def _figures(counts: NDArray[np.floating[Any]]) -> dict[str, Floats]:
    """Precision, recall and F1 by label, `[..., K]`, of confusion matrices `[..., K, K]`; NaN where there is none."""
    hits = np.diagonal(counts, axis1=-2, axis2=-1)
    said, right = counts.sum(axis=-2), counts.sum(axis=-1)
    with np.errstate(invalid="ignore"):  # 0 / 0
        return {"precision": hits / said, "recall": hits / right, "f1": 2 * hits / (said + right)}


def _interval(samples: Floats) -> tuple[float, float]:
    """Of the resamples that have a value."""
    return percentile_interval(samples[np.isfinite(samples)])
