"""An interval that may be looked at after every example: asking may stop when it is narrow enough, and it still holds."""

from __future__ import annotations

from collections.abc import Sequence
from math import log

import numpy as np

from polyprefix.scoring.bootstrap import Floats

LEVEL = 0.95
CANDIDATES = np.linspace(0.0, 1.0, 1001)
"""Means that are tried; ends of intervals are rounded outwards to the next of them."""
MOST_STAKED = 0.5
"""Of the capital, on one value."""
AT_ONCE = 512
"""Values; more are taken in parts."""


class ConfidenceSequence:
    """The mean of values between 0 and 1 that come one by one, independent and alike, within its interval at all times at once.

    The hedged capital process of I. Waudby-Smith and A. Ramdas (JRSS B 86, 2024; arXiv 2010.09686): for each candidate mean m one player
    bets that values lie above it and one that they lie below, with half of the capital each. If m is the mean, nobody can expect to gain,
    and the probability that the capital ever grows to 1 / (1 - level) times what it was is at most 1 - level (Ville's inequality). The
    interval is what is left of the candidates.
    """

    def __init__(self, aim: float, most: int, level: float = LEVEL) -> None:
        """No value yet: every mean is possible.

        Args:
            aim: the half-width that is wanted. Stakes are those that reach it soonest; others would do for another one.
            most: the number of values that there are. Where it is too small for the aim, stakes are those that get nearest to it.
            level: probability that the mean is within the interval after every value.
        """
        self._aim, self._most, self._level = aim, most, level
        self._count, self._sum, self._squares = 0, 0.0, 0.0
        self._above, self._below = np.zeros_like(CANDIDATES), np.zeros_like(CANDIDATES)
        self._left, self._empty = np.ones(CANDIDATES.shape, dtype=bool), False

    def extend(self, values: Sequence[float]) -> None:
        """Take more values, in the order in which they came.

        Raises:
            ValueError: if one is outside 0..1.
        """
        given = np.asarray(values, dtype=float)
        if not np.all((given >= 0) & (given <= 1)):
            raise ValueError("a confidence sequence is of values between 0 and 1")
        for start in range(0, given.size, AT_ONCE):
            self._take(given[start : start + AT_ONCE])

    def _take(self, given: Floats) -> None:
        """Play for some values, and drop the candidates that a player won too much from."""
        stakes_T1 = self._stakes(given)[:, None]
        with np.errstate(divide="ignore"):
            up_TC = np.log1p(np.minimum(stakes_T1, MOST_STAKED / CANDIDATES) * (given[:, None] - CANDIDATES))
            down_TC = np.log1p(np.minimum(stakes_T1, MOST_STAKED / (1 - CANDIDATES)) * (CANDIDATES - given[:, None]))
        above_TC, below_TC = self._above + np.cumsum(up_TC, axis=0), self._below + np.cumsum(down_TC, axis=0)
        self._above, self._below = above_TC[-1], below_TC[-1]
        won_TC = np.maximum.accumulate(np.maximum(above_TC, below_TC), axis=0) - log(2)
        left_TC = self._left & (won_TC < -log(1 - self._level))
        some = int(
            left_TC.any(axis=1).sum()
        )  # values after which a candidate is left; the last one may go, once in twenty sequences
        if some and not self._empty:
            self._left = left_TC[some - 1]
        self._empty |= some < given.size

    def _stakes(self, given: Floats) -> Floats:
        """What is staked on each value, by the variance of those before it.

        `aim / variance` is what grows the capital fastest where a candidate is that far from the mean. Any stake that does not know the
        value gives a valid interval.

        Args:
            given: values after those that were taken.
        """
        t = self._count + np.arange(1, given.size + 1)
        means = (0.5 + self._sum + np.cumsum(given)) / (t + 1)
        squares = np.cumsum((given - means) ** 2)
        before = (0.25 + self._squares + np.concatenate([[0.0], squares[:-1]])) / t
        self._count, self._sum, self._squares = int(t[-1]), self._sum + float(given.sum()), self._squares + squares[-1]
        nearest = np.sqrt(2 * before * log(2 / (1 - self._level)) / self._most)
        return np.asarray(np.maximum(self._aim, nearest) / before)

    @property
    def interval(self) -> tuple[float, float]:
        """The ends; they have the mean of the values between them."""
        left = np.flatnonzero(self._left)
        lower, upper = CANDIDATES[max(left[0] - 1, 0)], CANDIDATES[min(left[-1] + 1, CANDIDATES.size - 1)]
        mean = self._sum / self._count if self._count else 0.5
        return float(min(lower, mean)), float(max(upper, mean))

    @property
    def half_width(self) -> float:
        """Half of the distance between the ends."""
        lower, upper = self.interval
        return (upper - lower) / 2
