"""Whether confidences can be believed: expected calibration error, Brier score, log-loss, reliability curves.

The confidence of an answer is the probability of the label that was chosen. An answer of confidence 0.8 should be right in 80% of cases.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from polyprefix.calibration.temperature import Places, negative_log_likelihood
from polyprefix.scoring.bootstrap import Floats, percentile_interval, resample_counts

Bins = Literal["mass", "width"]
BINS = 10
FEW = 5
"""The fewest answers of a bin of equal mass: with fewer answers there are fewer bins."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Answers of similar confidence."""

    confidence: float
    """Their mean."""
    accuracy: float
    n: int


@dataclass(frozen=True, slots=True)
class Reliability:
    """How well some answers are calibrated."""

    n: int
    accuracy: float
    confidence: float
    """Mean."""
    overconfidence: float
    """Mean confidence less accuracy: an error with a sign, and without the bias of binned ones."""
    overconfidence_ci95: tuple[float, float]
    ece: float
    """Expected calibration error, bins of equal mass, without the variance of so few answers (`debiased_ece`)."""
    ece_ci95: tuple[float, float]
    """Percentile bootstrap over answers, centred at `ece`, because resampled answers have the bias twice."""
    ece_mass: float
    """With bins of equal mass, as it is."""
    ece_width: float
    """With bins of equal width, as it is (Guo et al. 2017)."""
    brier: float
    """Of all labels: mean squared distance between probabilities and the right label, 0 to 2 (Brier 1950)."""
    nll: float
    """Mean of `-log p(right label)`, in nats."""


def reliability(log_probabilities_NK: Floats, targets_N: Places, resamples: int = 200) -> Reliability:
    """All figures of some answers.

    Args:
        log_probabilities_NK: of each label.
        targets_N: place of the right one.
        resamples: of the bootstrap.

    Raises:
        ValueError: if there are no answers.
    """
    if not len(log_probabilities_NK):
        raise ValueError("no answers: nothing can be said of their calibration")
    p_NK = np.exp(log_probabilities_NK)
    confidence, right = answers_of(log_probabilities_NK, targets_N)
    one_hot = np.eye(p_NK.shape[1])[targets_N]
    gaps = confidence - right
    counts, ece = resample_counts(len(gaps), resamples), debiased_ece(confidence, right)
    in_bins = np.array(_members(confidence, "mass"), dtype=float).T * gaps[:, None]
    errors = np.abs(counts @ in_bins).sum(axis=1) / len(gaps)
    return Reliability(
        n=len(gaps),
        accuracy=float(right.mean()),
        confidence=float(confidence.mean()),
        overconfidence=float(gaps.mean()),
        overconfidence_ci95=percentile_interval(counts @ gaps / len(gaps)),
        ece=ece,
        ece_ci95=percentile_interval(np.maximum(0.0, errors - errors.mean() + ece)),
        ece_mass=expected_calibration_error(confidence, right, "mass"),
        ece_width=expected_calibration_error(confidence, right, "width"),
        brier=float(((p_NK - one_hot) ** 2).sum(axis=1).mean()),
        nll=negative_log_likelihood(log_probabilities_NK, targets_N),
    )


def answers_of(log_probabilities_NK: Floats, targets_N: Places) -> tuple[Floats, Floats]:
    """The confidence of each chosen label, and whether it is the right one (1 or 0), `[N]` each; the first of equals is chosen."""
    chosen = log_probabilities_NK.argmax(axis=1)
    return np.exp(log_probabilities_NK.max(axis=1)), (chosen == targets_N).astype(float)


def curve(confidence_N: Floats, right_N: Floats, bins: Bins = "mass") -> tuple[Bin, ...]:
    """The reliability curve: bins by rising confidence; empty ones are absent."""
    return tuple(
        Bin(float(confidence_N[rows].mean()), float(right_N[rows].mean()), int(rows.sum()))
        for rows in _members(confidence_N, bins)
    )


def expected_calibration_error(confidence_N: Floats, right_N: Floats, bins: Bins = "mass") -> float:
    """Mean distance between confidence and accuracy over bins, each counted as often as it has answers (Naeini et al., AAAI 2015).

    Args:
        bins: `mass`, at most ten of as many answers each; `width`, ten of a tenth each.
    """
    return sum(one.n * abs(one.confidence - one.accuracy) for one in curve(confidence_N, right_N, bins)) / len(right_N)


def debiased_ece(confidence_N: Floats, right_N: Floats) -> float:
    """The error of bins of equal mass, from each of whose squares its variance is taken as it would be if the confidences were true.

    A binned error is never below 0, so that of a calibrated model is above: with ten answers by some 15 points. The squared error without
    its variance is unbiased (Kumar et al., NeurIPS 2019); a bin in which it comes out negative counts 0.
    """
    gaps, variances = confidence_N - right_N, confidence_N * (1 - confidence_N)
    squares = [gaps[rows].sum() ** 2 - variances[rows].sum() for rows in _members(confidence_N, "mass")]
    return float(np.sqrt(np.maximum(0.0, squares)).sum()) / len(right_N)


def _members(confidence_N: Floats, bins: Bins) -> list[Floats]:
    """Which answers each bin holds, `[N]` a bin; answers of one confidence are never divided."""
    if bins == "width":
        place = np.minimum((confidence_N * BINS).astype(int), BINS - 1)
    else:
        count = max(1, min(BINS, len(confidence_N) // FEW))
        edges = np.quantile(confidence_N, np.arange(1, count) / count)
        place = np.searchsorted(edges, confidence_N, side="right")
    return [place == one for one in np.unique(place)]
