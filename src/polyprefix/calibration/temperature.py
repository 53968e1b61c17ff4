"""Temperature scaling: one number that makes confidences agree with accuracy (Guo et al., ICML 2017, arXiv 1706.04599)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from polyprefix.calibration.probabilities import log_softmax
from polyprefix.scoring.bootstrap import Floats

Places = NDArray[np.int64]
"""Of labels."""
LOWEST, HIGHEST = 0.05, 20.0
"""Temperatures that are looked at. A model that is always right, or never sure, has its best one at an end."""


def negative_log_likelihood(scores_NK: Floats, targets_N: Places, temperature: float = 1.0) -> float:
    """Mean of `-log p(right label)`, in nats.

    Args:
        scores_NK: log-likelihoods or log-probabilities.
        targets_N: place of the right label of each text.
    """
    log_p = log_softmax(scores_NK / temperature)
    return -float(log_p[np.arange(len(log_p)), targets_N].mean())


def fit_temperature(scores_NK: Floats, targets_N: Places) -> float:
    """The temperature with the highest likelihood of the right labels.

    The likelihood is concave in 1 / T, so the minimum that is found is the only one.

    Args:
        scores_NK: log-probabilities from which a prior was divided out already, or raw ones.
        targets_N: place of the right label of each text.

    Raises:
        ValueError: if there are no texts.
    """
    from scipy.optimize import minimize_scalar

    if not len(scores_NK):
        raise ValueError("a temperature needs answers whose right labels are known")

    def loss(inverse: float) -> float:
        return negative_log_likelihood(scores_NK, targets_N, 1 / inverse)

    found = minimize_scalar(loss, bounds=(1 / HIGHEST, 1 / LOWEST), method="bounded", options={"xatol": 1e-6})
    return 1 / float(found.x)
