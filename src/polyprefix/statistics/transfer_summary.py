"""What a transfer matrix says of sources, targets and pairs of languages, with intervals and corrected p-values.

p-values of single cells, of sources and of pairs are three families of each matrix, corrected by Benjamini and Hochberg's method.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations
from typing import Literal

import numpy as np

from polyprefix.config import ENGLISH
from polyprefix.errors import OutputError
from polyprefix.scoring.bootstrap import Floats
from polyprefix.statistics.comparisons import PairedComparison, adjusted
from polyprefix.statistics.contrasts import Contrast, contrasts, language_contrasts, score_interval, tested, weights
from polyprefix.statistics.effects import cohens_h
from polyprefix.statistics.settings import Setting
from polyprefix.statistics.transfer import LanguageMean, TransferMatrix, mean_over_languages, transfer_matrices
from polyprefix.statistics.variance import MeanSquare, Variances, influence, mean_language_variance
from polyprefix.types import Score

MARGIN = 0.05
"""Two languages are as good for each other where the interval of the difference lies within this."""
Symmetry = Literal["asymmetric", "symmetric", "not clear"]


@dataclass(frozen=True, slots=True)
class TransferCell:
    """One source tested in one target."""

    source: str
    target: str
    score: Score
    difference: PairedComparison | None
    """To the reference; None for the reference itself, and in languages that either was trained in."""


@dataclass(frozen=True, slots=True)
class SourceSummary:
    """What training in one language does for the others."""

    source: str
    score: Contrast
    """Average over the targets that are no source."""
    difference: PairedComparison | None
    """To the reference, on the same."""
    regret: LanguageMean | None
    """Of taking it for every target but itself, on the same items: too high on average."""
    cross_fitted: LanguageMean | None
    """The same, cross-fitted: too low on average."""
    best_in: int
    """Targets in which no other source scored higher."""


@dataclass(frozen=True, slots=True)
class TargetSummary:
    """Which source is the best for one target."""

    target: str
    best: tuple[str, ...]
    """Those with the highest score."""
    score: float
    reference: float | None
    """Score of the reference; None where that is the target itself."""
    own: float | None
    """Score of the adapter that was trained in the target; None where there is none."""
    difference: PairedComparison | None
    """The best (the first of several) minus the reference; None where they are one."""
    regret: float | None
    """Of the reference, on the same items."""
    cross_fitted: float | None


@dataclass(frozen=True, slots=True)
class LanguagePair:
    """Two sources that were tested in each other."""

    a: str
    b: str
    forth: float
    """Score in `b` after training in `a`."""
    back: float
    """Score in `a` after training in `b`."""
    difference: Contrast
    """`forth - back`: how hard the two targets are counts in it."""
    net: PairedComparison | None
    """The same after the mean of all other sources is taken off each target: what is left is of the pair; None with two sources."""

    @property
    def symmetry(self) -> Symmetry:
        """By the net difference, corrected over all pairs of the matrix."""
        if self.net is None:
            return "not clear"
        low, high = self.net.difference.ci95
        if self.net.significance:
            return "asymmetric"
        return "symmetric" if low >= -MARGIN and high <= MARGIN else "not clear"


@dataclass(frozen=True)
class Transfer:
    """A transfer matrix with all of its figures."""

    matrix: TransferMatrix = field(repr=False)
    reference: str | None
    """English, where it is a source."""
    cells: tuple[TransferCell, ...]
    """Targets of the first source, then of the second."""
    by_source: tuple[SourceSummary, ...]
    """The highest average first."""
    by_target: tuple[TargetSummary, ...]
    pairs: tuple[LanguagePair, ...]
    """The largest net difference first."""

    @cached_property
    def by_place(self) -> dict[tuple[str, str], TransferCell]:
        """(source, target) -> cell."""
        return {(cell.source, cell.target): cell for cell in self.cells}

    @cached_property
    def of_reference(self) -> SourceSummary | None:
        """What taking the reference for every target gives."""
        return next((one for one in self.by_source if one.source == self.reference), None)

    @property
    def better(self) -> int:
        """Targets in which some source is significantly better than the reference."""
        found = {c.target for c in self.cells if c.difference and c.difference.significance and _above(c.difference)}
        return len(found)


def _above(pair: PairedComparison) -> bool:
    return pair.difference.value > 0


def summarise(matrix: TransferMatrix, reference: str = ENGLISH) -> Transfer:
    """All figures of a matrix.

    Args:
        reference: the source that others are compared with, where it is one of the matrix.
    """
    known = reference if reference in matrix.sources else None
    cells = _cells(matrix, known)
    return Transfer(matrix, known, cells, _by_source(matrix, known), _by_target(matrix, known, cells), _pairs(matrix))


def transfers(setting: Setting) -> tuple[Transfer, ...]:
    """Every transfer matrix of a setting with all of its figures; none where its systems have no example in common."""
    try:
        return tuple(map(summarise, transfer_matrices(setting)))
    except OutputError:
        return ()


def _cells(matrix: TransferMatrix, reference: str | None) -> tuple[TransferCell, ...]:
    answers = matrix.answers
    differences: dict[tuple[int, int], PairedComparison] = {}
    if reference is not None:
        place = matrix.sources.index(reference)
        found = language_contrasts(answers, place)
        keys = [(m, t) for m, t in found if matrix.candidates[m, t] and matrix.candidates[place, t]]
        compared = [_compared(matrix, m, place, [t], found[m, t], matrix.targets[t]) for m, t in keys]
        differences = dict(zip(keys, adjusted(compared, "fdr_bh"), strict=True))
    cells = []
    for m, source in enumerate(matrix.sources):
        columns = [answers.values[m, :, t][:, present] for t, present in enumerate(answers.present)]
        moved = bool(answers.moved[m])
        for t, (values_SI, variance) in enumerate(zip(columns, mean_language_variance(columns), strict=True)):
            value = float(values_SI.mean())
            interval = score_interval(value, variance if moved else variance.without_seeds)
            score = Score(value, values_SI.shape[1], interval)
            cells.append(TransferCell(source, matrix.targets[t], score, differences.get((m, t))))
    return tuple(cells)


def _compared(
    matrix: TransferMatrix, m: int, base: int, columns: Sequence[int], difference: Contrast, name: str
) -> PairedComparison:
    score, other = (float(matrix.scores[row, columns].mean()) for row in (m, base))
    grouping = "language" if len(columns) == 1 else "average"
    codes = tuple(matrix.targets[column] for column in columns)
    return PairedComparison(
        matrix.sources[m], grouping, name, codes, score, other, difference, cohens_h(score, other),
        baseline=matrix.sources[base],
    )  # fmt: skip


def _by_source(matrix: TransferMatrix, reference: str | None) -> tuple[SourceSummary, ...]:
    answers, columns, count = matrix.answers, matrix.others, len(matrix.sources)
    variances = Variances(answers, alike=True)
    scores = contrasts(answers, [weights(answers, m, columns) for m in range(count)], variances)
    differences: dict[int, PairedComparison] = {}
    if reference is not None:
        base = matrix.sources.index(reference)
        rows = [m for m in range(count) if m != base]
        found = contrasts(answers, [weights(answers, m, columns, minus=base) for m in rows], variances)
        pairs = [_compared(matrix, m, base, columns, d, "targets") for m, d in zip(rows, found, strict=True)]
        differences = dict(zip(rows, adjusted(pairs, "fdr_bh"), strict=True))
    top = matrix.candidates & (matrix.scores >= matrix.best - 1e-9)
    summaries = [
        SourceSummary(
            source, scores[m], differences.get(m), _mean(matrix, matrix.regret[m]),
            _mean(matrix, matrix.cross_fitted_regret[m]), int(top[m].sum()),
        )
        for m, source in enumerate(matrix.sources)
    ]  # fmt: skip
    return tuple(sorted(summaries, key=lambda one: -one.score.value))


def _mean(matrix: TransferMatrix, values_T: Floats) -> LanguageMean | None:
    there = {code: float(x) for code, x in zip(matrix.targets, values_T, strict=True) if not np.isnan(x)}
    return mean_over_languages(there)


def _by_target(
    matrix: TransferMatrix, reference: str | None, cells: Sequence[TransferCell]
) -> tuple[TargetSummary, ...]:
    base = None if reference is None else matrix.sources.index(reference)
    differences = {(cell.source, cell.target): cell.difference for cell in cells}
    found = []
    for t, target in enumerate(matrix.targets):
        rows = [m for m in np.flatnonzero(matrix.candidates[:, t]) if matrix.scores[m, t] >= matrix.best[t] - 1e-9]
        best = tuple(matrix.sources[m] for m in rows)
        own = matrix.sources.index(target) if target in matrix.sources else None
        there = base is not None and base != own
        found.append(
            TargetSummary(
                target,
                best,
                float(matrix.best[t]),
                float(matrix.scores[base, t]) if base is not None and there else None,
                None if own is None else float(matrix.scores[own, t]),
                None if reference in best else differences.get((best[0], target)),
                _figure(matrix.regret[base, t]) if base is not None and there else None,
                _figure(matrix.cross_fitted_regret[base, t]) if base is not None and there else None,
            )
        )
    return tuple(found)


def _figure(value: float) -> float | None:
    return None if np.isnan(value) else float(value)


def _pairs(matrix: TransferMatrix) -> tuple[LanguagePair, ...]:
    """Every two sources that were tested in each other."""
    place = {code: t for t, code in enumerate(matrix.targets)}
    rows = [(m, place[code]) for m, code in enumerate(matrix.sources) if code in place]
    both = [(*a, *b) for a, b in combinations(rows, 2)]
    raw = _of_pairs(matrix, [_pair_weights(matrix, pair, net=False) for pair in both])
    net: list[PairedComparison | None] = [None] * len(both)
    if len(matrix.sources) > 2:
        found = _of_pairs(matrix, [_pair_weights(matrix, pair, net=True) for pair in both])
        net = [
            replace(_compared(matrix, m, k, [s, t], one, "net"), score=float(matrix.scores[m, t]), baseline_score=float(matrix.scores[k, s]))
            for (m, s, k, t), one in zip(both, found, strict=True)
        ]  # fmt: skip
        net = list(adjusted([one for one in net if one is not None], "fdr_bh"))
    pairs = [
        LanguagePair(matrix.sources[m], matrix.sources[k], float(matrix.scores[m, t]), float(matrix.scores[k, s]), d, n)
        for (m, s, k, t), d, n in zip(both, raw, net, strict=True)
    ]
    return tuple(sorted(pairs, key=lambda one: -abs((one.net or one).difference.value)))


def _pair_weights(matrix: TransferMatrix, pair: tuple[int, int, int, int], *, net: bool) -> Floats:
    """Of `forth - back`, `[N, T]`.

    Args:
        pair: source a, its column, source b, its column.
        net: whether the mean of all other sources is taken off each target.
    """
    m, s, k, t = pair
    found = np.zeros_like(matrix.scores)
    found[m, t], found[k, s] = 1.0, -1.0
    if net:
        rest = [u for u in range(len(matrix.sources)) if u not in (m, k)]
        found[rest, t], found[rest, s] = -1 / len(rest), 1 / len(rest)
    return found


def _of_pairs(matrix: TransferMatrix, weights_KNT: Sequence[Floats]) -> list[Contrast]:
    """Contrasts of pairs; what seeds do is the mean over all of them, as over languages in `mean_language_variance`."""
    answers = matrix.answers
    nothing = np.zeros((len(answers.seeds), answers.present.shape[1]))
    tables = [
        sum((influence(answers, int(m), weights_NT[m]) for m in np.flatnonzero(weights_NT.any(axis=1))), start=nothing)
        for weights_NT in weights_KNT
    ]
    variances = mean_language_variance(tables) if tables else []
    found = []
    for weights_NT, variance in zip(weights_KNT, variances, strict=True):
        columns = weights_NT.any(axis=0)
        ids = int(answers.present[columns].any(axis=0).sum())
        n = int(answers.counts[columns].sum())
        free = max(1, min(ids - 1, n - int(columns.sum())))
        counted = replace(variance, ids=MeanSquare(variance.ids.value, free), count=ids)
        value = float(np.sum(weights_NT * answers.scores))
        found.append(tested(value, n, counted, len(answers.seeds) > 1))
    return found
