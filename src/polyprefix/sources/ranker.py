"""A linear ranker of source languages, fitted on transfer matrices.

    score(source, target) - mean over sources = w · (features(source, target) - mean over sources)

Only differences within a target count: how hard a target is says nothing about which source to take. Ridge regression on standardised
features; a fit is kept as its sums of products, from which the weights of any part of the features follow, so that what is not known of any
candidate is left out of the model and not imputed.

One feature is measured: a source's mean over the other targets of its matrix, less that of all sources.

N candidates, P features, C cells of all matrices.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce

import numpy as np

from polyprefix.scoring.bootstrap import Floats
from polyprefix.sources.features import BASE, FEATURES, LANGUAGE, NAMES, TOKENIZER
from polyprefix.statistics.answers import Bools
from polyprefix.statistics.transfer import TransferMatrix

MEASURED = "mean in the matrices"
ALL_NAMES = (*NAMES, MEASURED)
PENALTIES = tuple(float(x) for x in np.logspace(-3, 2, 11))
"""Of ridge, relative to the number of cells."""
VARIANTS: Mapping[str, tuple[str, ...]] = {
    "languages": (LANGUAGE,),
    "languages and tokenizer": (LANGUAGE, TOKENIZER),
    "languages, tokenizer and base model": (LANGUAGE, TOKENIZER, BASE),
}
"""What may be known before training -> the kinds of features that it gives; the measured one is always there."""


def names_of(variant: str) -> tuple[str, ...]:
    """The features of a variant."""
    return (*(name for name in NAMES if FEATURES[name][0] in VARIANTS[variant]), MEASURED)


@dataclass(frozen=True, slots=True)
class Observed:
    """A transfer matrix with the features of its cells."""

    matrix: TransferMatrix
    features: Floats
    """`[N, T, P]` of `NAMES`; NaN where unknown."""


@dataclass(frozen=True, slots=True)
class Sums:
    """Sums of products over the targets of a fit: all that weights need."""

    gram: Floats
    """`[P, P]`."""
    moment: Floats
    """`[P]`."""
    square: float
    cells: int

    def minus(self, other: Sums) -> Sums:
        """Without the cells of another."""
        return Sums(
            self.gram - other.gram, self.moment - other.moment, self.square - other.square, self.cells - other.cells
        )

    def plus(self, other: Sums) -> Sums:
        """With the cells of another."""
        return Sums(
            self.gram + other.gram, self.moment + other.moment, self.square + other.square, self.cells + other.cells
        )

    def weights(self, penalty: float, places: Sequence[int]) -> Floats:
        """Ridge weights of some of the features, `[P]`, 0 for the others."""
        found = np.zeros(len(self.moment))
        if places and self.cells:
            gram = self.gram[np.ix_(places, places)] + penalty * self.cells * np.eye(len(places))
            found[list(places)] = np.linalg.solve(gram, self.moment[list(places)])
        return found

    def error(self, weights: Floats) -> float:
        """The sum of squared errors of weights on these cells."""
        return float(self.square - 2 * weights @ self.moment + weights @ self.gram @ weights)


@dataclass(frozen=True, slots=True)
class Penalty:
    """How much ridge draws the weights of a variant to 0."""

    value: float
    """Relative to the number of cells."""
    error: float
    """Standard deviation of a cell's error when its target is left out, as a share."""


@dataclass(frozen=True, slots=True)
class Ranker:
    """A fit."""

    means: Floats
    """`[P]` of `ALL_NAMES`, over all cells."""
    scales: Floats
    sums: Sums
    penalties: Mapping[str, Penalty]
    """Variant -> its penalty."""
    measured: Mapping[str, float]
    """Source -> its mean over targets, less that of all sources of its matrix."""

    def predict(self, features: Floats, sources: Sequence[str], variant: str) -> Floats:
        """How much higher each candidate is expected to score than an average source of the matrices, as a share, `[N]`.

        A candidate's figure does not depend on which others there are, as long as the same features are known.

        Args:
            features: `[N, P]` of `NAMES`; NaN where unknown, which counts as an average source.
            sources: codes of the candidates.
            variant: one of `penalties`.
        """
        standard = (with_measured(features, sources, self.measured) - self.means) / self.scales
        places = [i for i in places_of(variant) if not np.isnan(standard[:, i]).all()]
        found: Floats = np.nan_to_num(standard) @ self.sums.weights(self.penalties[variant].value, places)
        return found


def places_of(variant: str) -> list[int]:
    """The features of a variant, by their places in `ALL_NAMES`."""
    return [i for i, name in enumerate(ALL_NAMES) if name in names_of(variant)]


def with_measured(features: Floats, sources: Sequence[str], measured: Mapping[str, float]) -> Floats:
    """Features of `NAMES` with the measured one beside them, `[N, P]`."""
    own = np.array([[measured.get(code, np.nan)] for code in sources])
    found: Floats = np.concatenate([features, own], axis=1)
    return found


def fit(
    observed: Sequence[Observed],
    variants: Collection[str],
    without: Collection[str] = (),
    unseen: Collection[str] = (),
) -> Ranker:
    """Fit on the cells of some matrices.

    Args:
        observed: with one cell at least.
        variants: what may be known of candidates; the penalty of each is that with the least error when each target is left out in turn.
        without: languages that are no target and no source of the fit.
        unseen: languages that are no source of it.
    """
    cells = [cell for one in observed for cell in cells_of(one, without, unseen)]
    means, scales = _moments(np.concatenate([x for _, x, _ in cells]))
    parts: dict[str, Sums] = {}
    for target, x, y in cells:
        z = np.nan_to_num((x - means) / scales)
        z, y = z - z.mean(axis=0), y - y.mean()
        one = Sums(z.T @ z, z.T @ y, float(y @ y), len(y))
        parts[target] = one if target not in parts else parts[target].plus(one)
    total = reduce(Sums.plus, parts.values())
    chosen = {variant: _penalty(total, parts, variant) for variant in variants}
    return Ranker(means, scales, total, chosen, _measured(observed, without, unseen))


def cells_of(
    one: Observed, without: Collection[str] = (), unseen: Collection[str] = ()
) -> list[tuple[str, Floats, Floats]]:
    """Target, features with the measured one, `[N, P]`, and scores, `[N]`, of its candidates.

    The measured feature of a cell is over the other targets.

    Args:
        without, unseen: as `fit`.
    """
    matrix = one.matrix
    rows, columns = _kept(matrix, without, unseen)
    centred, there = _centred(matrix, rows, columns)
    sums, counts = centred.sum(axis=1), there.sum(axis=1)
    found = []
    for t in np.flatnonzero(columns):
        here = there[:, t]
        if here.sum() > 1:
            others = (sums - centred[:, t])[here] / np.maximum(1, counts[here] - 1)
            own = np.where(counts[here] > 1, others, np.nan)[:, None]
            x = np.concatenate([one.features[here, t], own], axis=1)
            found.append((matrix.targets[t], x, matrix.scores[here, t]))
    return found


def _kept(matrix: TransferMatrix, without: Collection[str], unseen: Collection[str]) -> tuple[Bools, Bools]:
    rows = np.array([source not in without and source not in unseen for source in matrix.sources])
    return rows, np.array([target not in without for target in matrix.targets])


def _centred(matrix: TransferMatrix, rows: Bools, columns: Bools) -> tuple[Floats, Bools]:
    """Scores less the mean of all sources in the target, `[N, T]`, 0 outside of some sources and targets and in a source itself; and where
    they are."""
    there = matrix.candidates & rows[:, None] & columns[None]
    scores = np.where(there, matrix.scores, 0.0)
    found: Floats = np.where(there, scores - scores.sum(axis=0) / np.maximum(1, there.sum(axis=0)), 0.0)
    return found, there


def _measured(observed: Sequence[Observed], without: Collection[str], unseen: Collection[str]) -> dict[str, float]:
    """The mean over matrices of each source's mean."""
    found: dict[str, list[float]] = {}
    for one in observed:
        centred, there = _centred(one.matrix, *_kept(one.matrix, without, unseen))
        for source, total, count in zip(one.matrix.sources, centred.sum(axis=1), there.sum(axis=1), strict=True):
            if count:
                found.setdefault(source, []).append(float(total / count))
    return {source: float(np.mean(values)) for source, values in found.items()}


def _moments(cells: Floats) -> tuple[Floats, Floats]:
    """Mean and standard deviation of each feature over the cells that know it; 0 and 1 of one that none knows, or that is constant."""
    known = ~np.isnan(cells)
    counts = np.maximum(1, known.sum(axis=0))
    means = np.nansum(cells, axis=0) / counts
    scales = np.sqrt(np.nansum((cells - means) ** 2, axis=0) / counts)
    return means, np.where(scales > 1e-9, scales, 1.0)


def _penalty(total: Sums, parts: Mapping[str, Sums], variant: str) -> Penalty:
    """The penalty with the least error when each target is left out in turn."""
    places = places_of(variant)
    errors = [
        sum(part.error(total.minus(part).weights(penalty, places)) for part in parts.values()) for penalty in PENALTIES
    ]
    best = int(np.argmin(errors))
    return Penalty(PENALTIES[best], float(np.sqrt(max(0.0, errors[best]) / total.cells)))
