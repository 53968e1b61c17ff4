"""Variance components of answers: what a planned comparison of averages over languages will vary by.

The difference of two systems' answers to an example, d, varies with the example in all its translations (item), with the
example in a language (cell) and with chance in each run (residual); the score of a system varies with its seed, with the seed in
a language, and with what a seed does to all systems at once (shared). Estimated by equating mean squares with their
expectations (C. Henderson, Biometrics 9, 1953); estimates below 0 are 0. Units are squared points: 1 is a standard
deviation of one percentage point.

K systems that seeds move, S seeds, L languages, I ids.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from polyprefix.scoring.bootstrap import Floats
from polyprefix.statistics.answers import Answers
from polyprefix.statistics.variance import table_variance

POINTS = 100.0**2


@dataclass(frozen=True, slots=True)
class ItemComponents:
    """Of the difference of two systems, in squared points."""

    item: float
    cell: float
    residual: float
    """Of both systems' runs together; that of a base model, which has no seed, is part of `cell`."""


@dataclass(frozen=True, slots=True)
class Components:
    """Of one task and model, in squared points."""

    seed: float
    """Of one system's average, in every language alike."""
    shared: float
    """What a seed does to all systems at once."""
    seed_language: float
    pair: ItemComponents
    """Of two systems that are trained."""
    base: ItemComponents
    """Of a trained system and the base model."""


def components(answers: Answers, base: int | None, columns: Sequence[int]) -> Components:
    """Estimate all components.

    Args:
        base: place of the base model; None where it was not run, and the pair's components stand for its.
        columns: places of the languages that averages are over.

    Raises:
        ValueError: with fewer than two seeds or two systems that seeds move.
    """
    moved: list[int] = [int(m) for m in np.flatnonzero(answers.moved)]
    if len(answers.seeds) < 2 or len(moved) < 2:
        raise ValueError("variances take two seeds and two trained methods")
    pairs = [_items(answers, a, b, columns) for a, b in combinations(moved, 2)]
    bases = [_items(answers, a, base, columns) for a in moved] if base is not None else pairs
    return Components(*_seeds(answers, moved, columns), _mean(pairs), _mean(bases))


def _seeds(answers: Answers, moved: list[int], columns: Sequence[int]) -> tuple[float, float, float]:
    """Seed, shared, and seed in a language."""
    S, L, K = len(answers.seeds), len(columns), len(moved)
    means_KSL = answers.means[moved][:, :, columns]
    chance_KL = np.array([[_chance(answers, m, column) for column in columns] for m in moved])  # of one seed's mean
    average_SK = means_KSL.mean(axis=2).T
    noise = (
        float(chance_KL.mean()) / L
    )  # of an average of one seed; disjoint and shared ids alike, as chance is of each answer
    centre = average_SK.mean(axis=1)
    own = float((average_SK - centre[:, None]).var(axis=0, ddof=1).sum()) / (K - 1) - noise
    shared = float(centre.var(ddof=1)) - (own + noise) / K
    single = float(means_KSL.var(axis=1, ddof=1).mean()) - float(chance_KL.mean())
    both = max(0.0, own) + max(0.0, shared)
    language = max(0.0, (single - both) * L / (L - 1)) if L > 1 and S > 1 else 0.0
    return tuple(POINTS * max(0.0, x) for x in (own - language / L, shared, language))  # type: ignore[return-value]


def _chance(answers: Answers, m: int, column: int) -> float:
    """Variance of one seed's mean in a language from what is left of answers without their seed and example."""
    table = answers.values[m, :, column][:, answers.present[column]]
    return table_variance(table).within.value * len(answers.seeds) if table.shape[1] > 1 else 0.0


def _items(answers: Answers, a: int, b: int, columns: Sequence[int]) -> ItemComponents:
    S = len(answers.seeds)
    d_SLI = answers.values[a][:, columns] - answers.values[b][:, columns]
    present = answers.present[columns]
    kept = present[present.sum(axis=1) > 1]
    d_SLI = d_SLI[:, present.sum(axis=1) > 1]
    counts = kept.sum(axis=1)
    within, total = [], []
    for column, there in enumerate(kept):
        table = d_SLI[:, column][:, there]
        found = table_variance(table)
        within.append(found.within.value * S * len(table[0]))  # one answer's
        total.append(found.ids.value * len(table[0]))  # of the mean over seeds, one example's
    deviations = (d_SLI.mean(axis=0) - (d_SLI.mean(axis=0) * kept).sum(axis=1, keepdims=True) / counts[:, None]) * kept
    deviations *= np.sqrt(counts / (counts - 1))[:, None]
    k = kept.sum(axis=0)
    together = float(np.sum(k * (k - 1)))
    item = float(np.sum(deviations.sum(axis=0) ** 2 - (deviations**2).sum(axis=0))) / together if together else 0.0
    item, residual = max(0.0, item), float(np.mean(within))
    cell = max(0.0, float(np.mean(total)) - residual / S - item)
    return ItemComponents(POINTS * item, POINTS * cell, POINTS * residual)


def _mean(found: Sequence[ItemComponents]) -> ItemComponents:
    values: Floats = np.array([[one.item, one.cell, one.residual] for one in found]).mean(axis=0)
    return ItemComponents(*map(float, values))
