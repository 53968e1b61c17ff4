"""How stable is the ranking of systems: over examples, seeds and languages?

M systems, L languages, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polyprefix.scoring.bootstrap import SEED, Floats, Reals
from polyprefix.statistics.answers import Answers
from polyprefix.statistics.variance import Variances


@dataclass(frozen=True, slots=True)
class Rank:
    """Place of one system in the ranking by average score; 1 is the best."""

    rank: float
    """Systems with equal scores share the mean of their places."""
    ci95: tuple[float, float]
    """Of the ranks in resamples of languages, examples and seeds."""
    best: float
    """Share of resamples in which the system is the best; those tied for it share it."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """All systems."""

    systems: tuple[str, ...]
    """That were ranked: those with all of the main seeds."""
    ranks: tuple[Rank, ...]
    tau: float
    """Mean of Kendall's tau-b between the ranking and those of resamples: 1 where it never changes."""
    kendalls_w: float
    """Agreement of languages on the ranking, 0 to 1."""


def rank_stability(answers: Answers, scores_RML: Reals, columns: Sequence[int]) -> Ranking:
    """Rank systems by their average over some languages, and draw languages, examples and seeds again.

    Args:
        scores_RML: `resampled_scores(answers)`.
        columns: places of the languages.

    Raises:
        ValueError: if there are fewer than two systems, or no language.
    """
    M, L, R = len(answers.systems), len(columns), len(scores_RML)
    if M < 2 or not columns:
        raise ValueError(f"a ranking needs two systems and a language, found {M} and {L}")
    random = np.random.default_rng(SEED + 2)
    drawn_RL = random.multinomial(L, np.full(L, 1 / L), size=R) / L
    averages_RM = np.matmul(scores_RML[:, :, columns], drawn_RL.astype(scores_RML.dtype)[..., None])[..., 0]
    if len(answers.seeds) > 1:
        variances = Variances(answers)
        for m in range(M):
            weights = np.zeros((M, len(answers.languages)))
            weights[m, columns] = 1 / L
            found = variances.of(weights)
            averages_RM[:, m] += np.sqrt(max(0.0, found.seeds)) * random.standard_t(found.between.degrees, R)
    from scipy.stats import rankdata

    observed = rankdata(-answers.scores[:, columns].mean(axis=1))
    ranks_RM = rankdata(-averages_RM, axis=1)
    first = averages_RM >= averages_RM.max(axis=1, keepdims=True)
    best = (first / first.sum(axis=1, keepdims=True)).mean(axis=0)
    low, high = np.percentile(ranks_RM, (2.5, 97.5), axis=0)
    ranks = tuple(Rank(float(observed[m]), (float(low[m]), float(high[m])), float(best[m])) for m in range(M))
    return Ranking(answers.systems, ranks, _mean_tau(observed, ranks_RM), kendalls_w(answers.scores[:, columns]))


def kendalls_w(scores_ML: Floats) -> float:
    """Kendall's coefficient of concordance with ties (M. G. Kendall, *Rank Correlation Methods*, 1948, chapter 6).

    `W = 12 sum_m (R_m - mean R)^2 / (L^2 (M^3 - M) - L sum_l T_l)`, R_m the sum of a system's ranks over languages and
    `T_l = sum (t^3 - t)` over groups of t equal scores. 0 where every language sees all systems as equal.
    """
    from scipy.stats import rankdata

    M, L = scores_ML.shape
    ranks = rankdata(scores_ML, axis=0)
    ties = 0
    for column in ranks.T:
        t = np.unique(column, return_counts=True)[1]
        ties += int(np.sum(t**3 - t))
    sums = ranks.sum(axis=1)
    scale = L**2 * (M**3 - M) - L * ties
    return float(12 * np.sum((sums - sums.mean()) ** 2) / scale) if scale else 0.0


def _mean_tau(observed_M: Floats, ranks_RM: Floats) -> float:
    """Kendall's tau-b with each row, averaged; a row without any order counts as 0."""
    a, b = np.triu_indices(len(observed_M), 1)
    ours = np.sign(observed_M[a] - observed_M[b])
    theirs = np.sign(ranks_RM[:, a] - ranks_RM[:, b])
    scale = np.sqrt(np.sum(ours != 0) * np.sum(theirs != 0, axis=1))
    taus = np.divide(theirs @ ours, scale, out=np.zeros(len(theirs)), where=scale > 0)
    return float(taus.mean())
