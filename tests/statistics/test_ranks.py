"""Law: agreement and rank correlation are scipy's, and a ranking is stable exactly where the systems are apart."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats
from tests.statistics.test_contrasts import make

from polyprefix.statistics.contrasts import resampled_scores
from polyprefix.statistics.ranks import _mean_tau, kendalls_w, rank_stability


@pytest.mark.parametrize("decimals", [1, 8])
def test_kendalls_w_is_friedmans_statistic_also_with_ties(decimals: int) -> None:
    scores = np.round(np.random.default_rng(0).random((4, 30)), decimals)
    friedman = stats.friedmanchisquare(*scores).statistic
    assert kendalls_w(scores) == pytest.approx(friedman / (30 * 3))


def test_kendalls_w_at_its_ends() -> None:
    assert kendalls_w(np.array([[3.0, 5, 9], [2, 4, 8], [1, 3, 7]])) == pytest.approx(1)
    assert kendalls_w(np.array([[1.0, 2], [2, 1]])) == 0
    assert kendalls_w(np.ones((3, 4))) == 0


def test_tau_is_scipys() -> None:
    random = np.random.default_rng(1)
    observed = stats.rankdata(random.random(6))
    ranks = np.array([stats.rankdata(np.round(random.random(6), 1)) for _ in range(20)])
    expected = [stats.kendalltau(observed, row).statistic for row in ranks]
    assert _mean_tau(observed, ranks) == pytest.approx(np.mean(expected))


def test_clear_systems_keep_their_places_and_equal_ones_share_them() -> None:
    random = np.random.default_rng(2)
    p = np.array([0.2, 0.5, 0.8])[:, None, None, None]
    answers = make((random.random((3, 2, 8, 300)) < p).astype(float))
    clear = rank_stability(answers, resampled_scores(answers, 1000), list(range(8)))
    assert [rank.rank for rank in clear.ranks] == [3, 2, 1]
    assert clear.ranks[2].best > 0.95 and clear.tau > 0.95  # two seeds leave a little doubt
    assert clear.kendalls_w == pytest.approx(1)
    same = make(np.repeat(answers.values[:1], 2, axis=0)[:, :1])
    tied = rank_stability(same, resampled_scores(same, 1000), list(range(8)))
    assert [rank.rank for rank in tied.ranks] == [1.5, 1.5]
    assert [rank.best for rank in tied.ranks] == [0.5, 0.5]


def test_too_little_to_rank_is_refused() -> None:
    answers = make(np.ones((1, 1, 2, 3)))
    with pytest.raises(ValueError, match="two systems"):
        rank_stability(answers, resampled_scores(answers, 100), [0, 1])
