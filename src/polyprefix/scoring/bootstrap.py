"""The bootstrap: how far would a figure move, had other examples been drawn?

Percentile intervals after B. Efron and R. Tibshirani, *An Introduction to the Bootstrap* (1993), chapter 13. All draws
come from one fixed seed: the same data give the same interval, and figures drawn over the same examples are paired.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Reals = NDArray[np.floating[Any]]
"""Of either precision."""

SEED = 20240229
RESAMPLES = 2000
"""Of every bootstrap over examples: intervals of scores that are no proportions, and rankings of systems."""


@lru_cache(maxsize=4)
def resample_counts(n: int, resamples: int = RESAMPLES) -> NDArray[np.float32]:
    """How often each of n units is drawn, `[resamples, n]`: every row is a draw of n with replacement and sums to n.

    Multiplied with a matrix of values per unit it gives all resampled sums at once. Read-only, because it is shared.
    """
    draws = np.random.default_rng(SEED).integers(0, n, size=(resamples, n))
    draws += np.arange(resamples)[:, None] * n
    counts = np.bincount(draws.ravel(), minlength=resamples * n).reshape(resamples, n).astype(np.float32)
    counts.flags.writeable = False
    return counts


def resampled_sums(x_IK: Floats, resamples: int = RESAMPLES, chunk: int = 500) -> Reals:
    """Sums over n units drawn with replacement, of each column, `[R, K]`.

    The draws are made and used in chunks, so that 10,000 resamples of 5,000 units never lie in memory at once.
    """
    n = len(x_IK)
    random = np.random.default_rng(SEED)
    x = np.ascontiguousarray(x_IK, dtype=np.float32)
    sums = np.empty((resamples, x.shape[1]), dtype=np.float32)
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        draws = random.integers(0, n, size=(rows, n)) + np.arange(rows)[:, None] * n
        counts = np.bincount(draws.ravel(), minlength=rows * n).reshape(rows, n)
        sums[start : start + rows] = counts.astype(np.float32) @ x
    return sums


def percentile_interval(samples: Floats) -> tuple[float, float]:
    """The middle 95% of resampled values."""
    low, high = np.percentile(samples, (2.5, 97.5))
    return float(low), float(high)
