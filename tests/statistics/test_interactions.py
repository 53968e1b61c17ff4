"""Law: with two systems the test is scipy's one-way analysis of variance; without an interaction it rejects 5 times in 100."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest, f_oneway

from polyprefix.statistics.groups import UNKNOWN
from polyprefix.statistics.interactions import interaction, interactions

SIZES = (9, 14, 5)
GROUPS = np.split(np.arange(sum(SIZES)), np.cumsum(SIZES)[:-1])


def test_two_systems_are_an_analysis_of_variance_of_differences() -> None:
    scores = np.random.default_rng(0).random((2, sum(SIZES)))
    found = interaction("resources", scores, GROUPS)
    theirs = f_oneway(*(scores[1, group] - scores[0, group] for group in GROUPS))
    assert (
        found is not None
        and found.f == pytest.approx(theirs.statistic)
        and found.p_value == pytest.approx(theirs.pvalue)
    )
    assert found.degrees == pytest.approx((2, 25)) and (found.groups, found.languages) == (3, 28)


@pytest.mark.parametrize("systems", [2, 3, 8])
def test_the_level_is_kept_where_systems_vary_unequally_and_real_interactions_are_found(systems: int) -> None:
    random = np.random.default_rng(1)
    sds, false, true, studies = np.geomspace(0.3, 3, systems)[:, None], 0, 0, 400
    for _ in range(studies):
        scores = random.normal(size=(1, sum(SIZES))) + sds * random.normal(size=(systems, sum(SIZES)))
        null = interaction("family", scores, GROUPS)
        scores[0, GROUPS[0]] += 5
        found = interaction("family", scores, GROUPS)
        assert null is not None and found is not None
        false += null.p_value < 0.05
        true += found.p_value < 0.05
    assert binomtest(false, studies).proportion_ci(0.999).low <= 0.05 and true / studies > 0.5


def test_what_shifts_all_systems_or_all_languages_is_no_interaction() -> None:
    random = np.random.default_rng(2)
    scores = random.random((4, sum(SIZES)))
    found = interaction("script", scores, GROUPS)
    moved = interaction("script", scores + random.random((4, 1)) + random.random((1, sum(SIZES))), GROUPS)
    assert found is not None and moved is not None and moved.f == pytest.approx(found.f)


def test_single_languages_and_what_is_not_known_are_left_out() -> None:
    scores = np.random.default_rng(3).random((2, 6))
    groups = {("family", "a"): [0, 1], ("family", "b"): [2, 3], ("family", "c"): [4]}
    groups |= {("distance", "near"): [0, 1], ("distance", UNKNOWN): [2, 3]}
    (one,) = interactions(scores, groups)
    assert (one.grouping, one.groups, one.languages) == ("family", 2, 4)
    assert (
        interaction("x", np.zeros((2, 6)), [[0, 1], [2, 3]]) is None
        and interaction("x", scores[:1], GROUPS[:1]) is None
    )
