"""Abstention: keep the answers that a model is sure of, and leave the others to a person. What accuracy that buys, and what it costs."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from polyprefix.scoring.bootstrap import Floats
from polyprefix.scoring.metrics import wilson

LEAST_KEPT = 20
"""A threshold that keeps fewer answers than this says nothing of its accuracy."""


@dataclass(frozen=True, slots=True)
class Price:
    """What a threshold does to some answers."""

    n: int
    """Answers, kept or not."""
    kept: int
    accuracy: float | None
    """Of those that are kept; None where none is."""
    ci95: tuple[float, float] | None
    """Wilson's."""

    @property
    def coverage(self) -> float:
        """The share that is kept."""
        return self.kept / self.n


def accuracy_by_coverage(confidence_N: Floats, right_N: Floats) -> tuple[Floats, Floats, Floats]:
    """Coverage, accuracy and threshold at each distinct confidence, from the highest: `[T]` each.

    Answers of equal confidence are kept or left together.
    """
    order = np.argsort(-confidence_N, kind="stable")
    confidence, right = confidence_N[order], right_N[order]
    last = np.flatnonzero(np.append(np.diff(confidence) != 0, True))
    kept = last + 1
    return kept / len(right), np.cumsum(right)[last] / kept, confidence[last]


def threshold_for(confidence_N: Floats, right_N: Floats, wanted: float) -> float | None:
    """The lowest confidence from which on the answers are right in a wanted share; None where no threshold gives that.

    Every threshold that keeps fewer than `LEAST_KEPT` answers is passed over.
    """
    coverage, accuracy, threshold = accuracy_by_coverage(confidence_N, right_N)
    good = np.flatnonzero((accuracy >= wanted) & (coverage * len(right_N) >= LEAST_KEPT))
    return float(threshold[good[-1]]) if len(good) else None


def price(confidence_N: Floats, right_N: Floats, threshold: float) -> Price:
    """What a threshold costs.

    Args:
        threshold: answers of this confidence and more are kept.
    """
    right = right_N[confidence_N >= threshold]
    share = float(right.mean()) if len(right) else None
    interval = wilson(share, len(right)) if share is not None else None
    return Price(len(right_N), len(right), share, interval)
