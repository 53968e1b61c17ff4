"""What several systems answered to the same examples, as one array.

M systems, S seeds, L languages, I example ids. A system is a method with its settings; its seeds are runs that differ in
nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from polyprefix.scoring.bootstrap import Floats

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Answers:
    """The main metric of every system, with every seed, on the same examples."""

    systems: tuple[str, ...]
    seeds: tuple[int, ...]
    languages: tuple[str, ...]
    values: Floats
    """`[M, S, L, I]`, between 0 and 1; 0 where a language lacks an id."""
    present: Bools
    """`[L, I]`: which ids each language has: the same for all systems and seeds."""
    ids: tuple[str, ...] = ()
    """Names of the ids, where they matter: to join answers of one task."""

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Number of examples of each language, `[L]`."""
        counts: NDArray[np.int64] = self.present.sum(axis=1)
        return counts

    @cached_property
    def means(self) -> Floats:
        """Score of each system, seed and language, `[M, S, L]`."""
        means: Floats = self.values.sum(axis=-1) / self.counts
        return means

    @cached_property
    def scores(self) -> Floats:
        """The same, averaged over seeds, `[M, L]`."""
        scores: Floats = self.means.mean(axis=1)
        return scores

    @cached_property
    def binary(self) -> bool:
        """Whether every answer is right or wrong, and nothing between."""
        return bool(np.isin(self.values, (0, 1)).all())

    @cached_property
    def moved(self) -> Bools:
        """Whether any answer of a system depends on its seed, `[M]`; none of the base model does."""
        moved: Bools = np.ptp(self.values, axis=1).any(axis=(1, 2))
        return moved

    def index(self, language: str) -> int | None:
        """Place of a language; None where it is not among them."""
        return self.languages.index(language) if language in self.languages else None
