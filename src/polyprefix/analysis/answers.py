"""What several systems answered to the same examples, as one array.

M systems, S seeds, L languages, I example ids. A system is a method with its settings; its seeds are runs that differ in
nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
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

    @cached_property
    def moved(self) -> Bools:
        """Whether any answer of a system depends on its seed, `[M]`; none of the unadapted model does."""
        moved: Bools = np.ptp(self.values, axis=1).any(axis=(1, 2))
        return moved

    def index(self, language: str) -> int | None:
        """Place of a language; None where it is not among them."""
        return self.languages.index(language) if language in self.languages else None


@dataclass(frozen=True)
class Layout:
    """Places of languages and ids in an array."""

    languages: tuple[str, ...]
    ids: tuple[str, ...]
    present: Bools
    """`[L, I]`."""
    keys: Mapping[str, tuple[str, ...]]
    """Language -> its ids."""

    def values(self, run: ByLanguage) -> Floats:
        """The answers of a run to these examples, `[L, I]`; it may have more.

        Raises:
            KeyError: if the run lacks one.
            ValueError: if an answer is not between 0 and 1.
        """
        values_LI = np.zeros(self.present.shape)
        for row, (language, keys) in enumerate(self.keys.items()):
            answers = run[language]
            values_LI[row, self.present[row]] = [answers[key] for key in keys]
        if not np.all((values_LI >= 0) & (values_LI <= 1)):
            raise ValueError("correctness must lie between 0 and 1")
        return values_LI


def layout(keys: Mapping[str, Collection[str]]) -> Layout:
    """Places for these ids in each language, in alphabetical order.

    Raises:
        ValueError: if there is none.
    """
    if not keys or not all(keys.values()):
        raise ValueError("no answers to compare")
    ids = tuple(sorted(set().union(*keys.values())))
    members = {language: set(chosen) for language, chosen in keys.items()}
    present = np.array([[key in chosen for key in ids] for chosen in members.values()], dtype=bool)
    ordered = {language: tuple(key for key in ids if key in chosen) for language, chosen in members.items()}
    return Layout(tuple(keys), ids, present, ordered)


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
    seeds = tuple(sorted(next(iter(correctness.values()))))
    first = next(iter(correctness.values()))[seeds[0]]
    places = layout(first)
    for system, runs in correctness.items():
        if tuple(sorted(runs)) != seeds:
            raise ValueError(f"{system}: the seeds differ")
        for seed, run in runs.items():
            if run.keys() != first.keys():
                raise ValueError(f"{system}, seed {seed}: the languages differ")
            if odd := [language for language in first if run[language].keys() != first[language].keys()]:
                raise ValueError(f"{system}, seed {seed}: the examples in {odd[0]} differ")
    values = np.array([[places.values(runs[seed]) for seed in seeds] for runs in correctness.values()])
    return Answers(tuple(correctness), seeds, places.languages, values, places.present, places.ids)
