"""What several systems answered to the same examples, as one array.

M systems, S seeds, L languages, I example ids. A system is a method with its settings; its seeds are runs that differ in
nothing else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from polyprefix.scoring.bootstrap import Floats

Bools = NDArray[np.bool_]
ByLanguage = Mapping[str, Mapping[str, float]]
"""Language -> example id -> correctness between 0 and 1."""


@dataclass(frozen=True)
class Answers:
    """Correctness of every system, with every seed, on the same examples."""

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

    def index(self, language: str) -> int | None:
        """Place of a language; None where it is not among them."""
        return self.languages.index(language) if language in self.languages else None


def stack(correctness: Mapping[str, Mapping[int, ByLanguage]]) -> Answers:
    """Put the answers of systems and seeds side by side.

    Args:
        correctness: system -> seed -> language -> example id -> correctness. All systems have the same seeds, and all
            runs the same languages and ids.

    Raises:
        ValueError: if there is nothing, or if seeds, languages or ids differ.
    """
    if not correctness or not all(correctness.values()):
        raise ValueError("no answers to compare")
    systems = tuple(correctness)
    seeds = tuple(sorted(correctness[systems[0]]))
    first = correctness[systems[0]][seeds[0]]
    if not first or not all(first.values()):
        raise ValueError("no answers to compare")
    ids = sorted(set().union(*first.values()))
    column = {key: i for i, key in enumerate(ids)}
    present = np.zeros((len(first), len(ids)), dtype=bool)
    for row, answers in enumerate(first.values()):
        present[row, [column[key] for key in answers]] = True
    values = np.zeros((len(systems), len(seeds), *present.shape))
    for m, system in enumerate(systems):
        if tuple(sorted(correctness[system])) != seeds:
            raise ValueError(f"{system}: the seeds differ")
        for s, seed in enumerate(seeds):
            _fill(values[m, s], correctness[system][seed], first, column, f"{system}, seed {seed}")
    return Answers(systems, seeds, tuple(first), values, present, tuple(ids))


def _fill(place_LI: Floats, run: ByLanguage, first: ByLanguage, column: Mapping[str, int], where: str) -> None:
    if run.keys() != first.keys():
        raise ValueError(f"{where}: the languages differ")
    for row, (language, expected) in enumerate(first.items()):
        if run[language].keys() != expected.keys():
            raise ValueError(f"{where}: the examples in {language} differ")
        keys: Sequence[str] = list(expected)
        place_LI[row, [column[key] for key in keys]] = [run[language][key] for key in keys]
    if not np.all((place_LI >= 0) & (place_LI <= 1)):
        raise ValueError(f"{where}: correctness must lie between 0 and 1")
