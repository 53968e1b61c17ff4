"""What difference a design can see, and which design sees a given one: `polyprefix study plan STUDY --power`.

Power is that of the test which `compare` and the reports make (`polyprefix.statistics.variance`): its critical value is
simulated from variance components, so that the price of few seeds is in it. A difference is *detectable* where the test finds
it in 80% of studies. The level is 5% over the number of contrasts, the first step of Holm's method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import product
from math import sqrt

import numpy as np

from polyprefix.scoring.bootstrap import SEED
from polyprefix.statistics.comparisons import ALPHA
from polyprefix.statistics.components import Components
from polyprefix.statistics.variance import seed_mean_square, total_degrees

POWER = 0.8
TARGETS = (2.0, 4.0, 6.0)
"""Differences, in points, for which a design is looked for."""
SEEDS = (2, 3, 4, 5, 6, 8, 10, 15, 20)
EXAMPLES = (0.5, 1, 2, 4, 8, 16)
"""Times the examples of a language in the present design."""
SIMULATIONS = 2000
MOST_POINTS = 100.0


@dataclass(frozen=True, slots=True)
class Design:
    """What is asked of each system."""

    seeds: int
    languages: int
    """Other than English."""
    each: int
    """Examples of a language."""
    systems: int
    """Those that seeds move."""
    disjoint: bool
    """Whether every language is asked about examples of its own."""
    pool: int
    """Examples that a language's own are drawn from."""

    @property
    def answers(self) -> int:
        """Of one run, over languages."""
        return self.languages * self.each

    @property
    def ids(self) -> int:
        """Different examples."""
        if not self.disjoint:
            return self.each
        return max(2, round(self.pool * (1 - (1 - min(1.0, self.each / self.pool)) ** self.languages)))

    @property
    def clustering(self) -> float:
        """What an example's effect on all its translations counts in the variance of an average: `sum k^2 / (sum k)^2`."""
        if not self.disjoint:
            return 1 / self.each
        together = self.languages * (self.languages - 1) * self.each**2 / self.pool
        return (self.answers + together) / self.answers**2


def variance_of(design: Design, found: Components, *, base: bool) -> tuple[float, float, float]:
    """Of the average difference of two systems, in squared points: from examples, from seeds, and the chance within seeds.

    Args:
        base: whether one of the two is the base model, which no seed moves.
    """
    items = found.base if base else found.pair
    ids = items.item * design.clustering + (items.cell + items.residual / design.seeds) / design.answers
    own = found.seed + found.seed_language / design.languages
    seeds = (own + found.shared if base else 2 * own) / design.seeds
    return ids, seeds, items.residual / design.seeds / design.answers


def detectable(design: Design, found: Components, contrasts: int, *, base: bool) -> float:
    """The difference in points that the corrected test finds in 80% of studies; infinite where even 100 points are not."""
    from scipy.optimize import brentq

    def lack(points: float) -> float:
        return power(design, found, points, ALPHA / contrasts, base=base) - POWER

    return float(brentq(lack, 0.0, MOST_POINTS, xtol=1e-3)) if lack(MOST_POINTS) > 0 else float("inf")


def power(design: Design, found: Components, points: float, alpha: float, *, base: bool) -> float:
    """How often the test finds a true difference of so many points."""
    from scipy.stats import norm

    ids, seeds, _ = variance_of(design, found, base=base)
    error = sqrt(ids + (seeds if design.seeds > 1 else 0.0))
    critical = _critical(design, found, alpha, base)
    return float(np.mean(norm.sf((critical - points) / error) + norm.cdf((-critical - points) / error)))


@lru_cache(maxsize=512)
def _critical(
    design: Design, found: Components, alpha: float, base: bool
) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """What an observed difference must exceed, in simulated studies, `[SIMULATIONS]`."""
    from scipy.stats import t

    random = np.random.default_rng(SEED)
    true_ids, _, within = variance_of(design, found, base=base)
    free = max(1, min(design.ids - 1, design.answers - design.languages))
    ids = true_ids * random.chisquare(free, SIMULATIONS) / free
    if design.seeds < 2:
        critical: np.ndarray[tuple[int], np.dtype[np.float64]] = t.ppf(1 - alpha / 2, free) * np.sqrt(ids)
        return critical
    chance = found.pair.residual / 2 / design.answers  # of one run of one system
    own = sqrt(found.seed + found.seed_language / design.languages + chance)
    shape = SIMULATIONS, design.seeds, design.systems
    means = own * random.normal(size=shape) + sqrt(found.shared) * random.normal(size=(*shape[:2], 1))
    shares = np.zeros(design.systems)
    shares[: 1 if base or design.systems == 1 else 2] = [1.0] if base or design.systems == 1 else [1.0, -1.0]
    between, degrees, _ = seed_mean_square(means, shares)
    total = ids + np.maximum(0.0, between - within)
    known = np.array(within), np.array(float(design.systems * free))
    freedom = total_degrees(ids, np.array(float(free)), between, degrees, *known)
    critical = t.ppf(1 - alpha / 2, freedom) * np.sqrt(total)
    return critical


@dataclass(frozen=True, slots=True)
class Cost:
    """Of one setting, in seconds."""

    training: float
    """One seed of every trained system."""
    testing: float
    """The same; all examples of the present design."""
    base: float
    """The base model's run."""

    def of(self, design: Design, present: Design) -> float:
        """Of a design; testing takes time in proportion to answers."""
        share = design.answers / present.answers
        return design.seeds * (self.training + self.testing * share) + self.base * share


@dataclass(frozen=True, slots=True)
class Found:
    """The cheapest design that sees a difference."""

    points: float
    design: Design | None
    """None where none of those that were tried does."""
    detectable: float
    seconds: float


def cheapest(
    present: Design, found: Components, contrasts: int, cost: Cost, kinds: Sequence[bool], points: float
) -> Found:
    """The cheapest of many designs in which every contrast of a setting can see a difference of so many points.

    Args:
        kinds: for each kind of contrast that there is, whether it is one with the base model.
    """
    most = present.pool
    tried = (
        replace(present, seeds=seeds, languages=max(2, round(present.languages * share)), each=each)
        for seeds, factor, share in product(SEEDS, EXAMPLES, (0.5, 1.0))
        if 2 <= (each := round(present.each * factor)) <= most
    )
    for design in sorted(tried, key=lambda one: cost.of(one, present)):
        # the normal approximation is a lower bound, which spares most simulations
        if max(_least(design, found, contrasts, base=base) for base in kinds) > points:
            continue
        worst = max(detectable(design, found, contrasts, base=base) for base in kinds)
        if worst <= points:
            return Found(points, design, worst, cost.of(design, present))
    return Found(points, None, float("inf"), float("inf"))


def _least(design: Design, found: Components, contrasts: int, *, base: bool) -> float:
    """What is detectable if the variance were known."""
    from scipy.stats import norm

    ids, seeds, _ = variance_of(design, found, base=base)
    return float((norm.isf(ALPHA / contrasts / 2) + norm.ppf(POWER)) * sqrt(ids + seeds)) * 0.9
