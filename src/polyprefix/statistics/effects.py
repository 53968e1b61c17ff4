"""Effect sizes that do not depend on the number of examples."""

from __future__ import annotations

from math import asin, sqrt


def cohens_h(a: float, b: float) -> float:
    """Difference of two proportions where a point near 0 or 1 counts for more than one in the middle.

    `h = 2 asin(sqrt a) - 2 asin(sqrt b)`; 0.2 is called small, 0.5 medium, 0.8 large (J. Cohen, *Statistical Power
    Analysis for the Behavioral Sciences*, 2nd edition, 1988, chapter 6).

    >>> round(cohens_h(0.9, 0.8), 3)
    0.284
    """
    return 2 * asin(sqrt(min(1.0, a))) - 2 * asin(sqrt(min(1.0, b)))
