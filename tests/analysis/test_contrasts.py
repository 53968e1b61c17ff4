"""Law: differences, their errors and p-values are those of scipy, statsmodels or a loop, on fixed vectors."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from polyprefix.analysis.answers import Answers, stack
from polyprefix.analysis.contrasts import (
    Spread,
    contrast,
    contrast_spread,
    contrasts,
    crossed_spread,
    intervals,
    language_contrasts,
    mcnemar,
    ratio,
    resampled_scores,
    weights,
)
from polyprefix.scoring.bootstrap import Floats


def make(values: Floats, present: np.ndarray | None = None) -> Answers:
    M, S, L, ids = values.shape
    here = np.ones((L, ids), dtype=bool) if present is None else present
    names = tuple(f"s{m}" for m in range(M)), tuple(range(S)), tuple(f"l{i}" for i in range(L))
    return Answers(*names, values * here, here)


def fractional(seed: int, *shape: int) -> Floats:
    return np.random.default_rng(seed).random(shape)


def difference_weights(answers: Answers) -> Floats:
    return weights(answers, 1, range(len(answers.languages)), minus=0)


@pytest.mark.parametrize(("higher", "lower"), [(0, 0), (5, 1), (1, 5), (7, 7), (0, 12), (40, 21), (300, 260)])
def test_mcnemar_is_statsmodels_exact_test(higher: int, lower: int) -> None:
    theirs = statsmodels_mcnemar([[10, higher], [lower, 20]], exact=True).pvalue if higher + lower else 1.0
    assert mcnemar(higher, lower) == pytest.approx(theirs, rel=1e-9)


def test_one_seed_of_right_and_wrong_is_mcnemars_test_in_each_language() -> None:
    values = (fractional(1, 3, 1, 4, 90) < 0.6).astype(float)
    answers = make(values)
    found = language_contrasts(answers, resampled_scores(answers, 200), baseline=0)
    for m in (1, 2):
        for column in range(4):
            a, b = values[m, 0, column], values[0, 0, column]
            table = [[0, np.sum(a > b)], [np.sum(a < b), 0]]
            assert found[m, column].p_runs == pytest.approx(statsmodels_mcnemar(table, exact=True).pvalue)
            assert found[m, column].value == pytest.approx(np.mean(a - b))
            assert found[m, column].p_seeds is None


def test_one_seed_of_fractions_is_scipys_paired_t_test() -> None:
    values = fractional(2, 2, 1, 3, 50)
    answers = make(values)
    found = language_contrasts(answers, resampled_scores(answers, 200), baseline=0)
    for column in range(3):
        theirs = stats.ttest_rel(values[1, 0, column], values[0, 0, column]).pvalue
        assert found[1, column].p_runs == pytest.approx(theirs)


def test_an_average_is_tested_over_ids_not_answers() -> None:
    values = fractional(3, 2, 1, 6, 80)
    answers = make(values)
    ours = contrast(answers, resampled_scores(answers, 4000), difference_weights(answers))
    by_id = (values[1, 0] - values[0, 0]).mean(axis=0)
    assert ours.value == pytest.approx(by_id.mean()) and ours.n == 480
    assert ours.p_runs == pytest.approx(stats.ttest_1samp(by_id, 0).pvalue)
    theirs = stats.bootstrap((by_id,), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    assert ours.ci95 == pytest.approx((theirs.low, theirs.high), abs=0.004)


def test_parallel_ids_widen_the_interval() -> None:
    """Copies of one language bring no new information; the same answers under other ids do."""
    one = np.random.default_rng(2).integers(0, 2, 100).astype(float)
    copies = make(np.tile(one, (1, 1, 9, 1)))
    apart, present = np.zeros((1, 1, 9, 900)), np.zeros((9, 900), dtype=bool)
    for column in range(9):
        place = slice(100 * column, 100 * (column + 1))
        apart[0, 0, column, place], present[column, place] = one, True
    independent = make(apart, present)
    widths = []
    for answers in (copies, independent):
        low, high = contrast(answers, resampled_scores(answers, 2000), np.full((1, 9), 1 / 9)).ci95
        widths.append(high - low)
    assert widths[0] == pytest.approx(3 * widths[1], rel=0.15)


def test_many_contrasts_at_once_are_those_one_by_one() -> None:
    answers = make(fractional(12, 3, 2, 4, 50), np.random.default_rng(1).random((4, 50)) < 0.8)
    scores = resampled_scores(answers, 500)
    wanted = [weights(answers, 1, [0, 2], minus=0), weights(answers, 2, [3]), weights(answers, 0, range(4), minus=2)]
    for one, together in zip(wanted, contrasts(answers, scores, wanted), strict=True):
        alone = contrast(answers, scores, one)
        assert alone.value == together.value and alone.n == together.n
        assert alone.ci95 == pytest.approx(together.ci95, abs=1e-6)
        assert alone.p_seeds == pytest.approx(together.p_seeds)


def test_missing_ids_are_a_loop_over_the_draws() -> None:
    random = np.random.default_rng(4)
    present = random.random((3, 40)) < 0.8
    answers = make(fractional(4, 2, 2, 3, 40), present)
    scores = resampled_scores(answers, 1500)
    expected = [[answers.values[m, :, c][:, present[c]].mean() for c in range(3)] for m in range(2)]
    assert answers.scores == pytest.approx(np.array(expected))
    brute = []
    for _ in range(1500):
        draw = random.integers(0, 40, 40)
        brute.append([answers.values[1, :, c][:, draw[present[c][draw]]].mean() for c in range(3)])
    assert scores[:, 1].std(axis=0) == pytest.approx(np.std(brute, axis=0), rel=0.1)
    assert scores.mean(axis=0) == pytest.approx(answers.scores, abs=0.01)


def test_crossed_spread_is_the_analysis_of_variance() -> None:
    """Mean squares of a two-way table, from statsmodels."""
    import pandas as pd
    import statsmodels.formula.api as smf
    from statsmodels.stats.anova import anova_lm

    random = np.random.default_rng(5)
    d = random.normal(size=(3, 1)) + random.normal(size=20) + random.normal(size=(3, 20))
    frame = pd.DataFrame([(s, i, d[s, i]) for s in range(3) for i in range(20)], columns=["s", "i", "d"])
    table = anova_lm(smf.ols("d ~ C(s) + C(i)", frame).fit())
    ms_s, ms_i, ms_r = (table["mean_sq"][row] for row in ("C(s)", "C(i)", "Residual"))
    spread = crossed_spread(d)
    assert spread.examples == pytest.approx(np.sqrt(ms_i / 60))
    assert spread.seeds == pytest.approx(np.sqrt((ms_s - ms_r) / 60))


def test_the_p_value_over_seeds_is_the_tail_of_a_sum_of_student_and_normal() -> None:
    random = np.random.default_rng(6)
    values = fractional(6, 2, 3, 2, 60)
    values[1] += np.array([0.0, 0.1, 0.35])[:, None, None]
    answers = make(values)
    ours = contrast(answers, resampled_scores(answers, 4000), difference_weights(answers))
    parts = [crossed_spread(values[m].mean(axis=1)).seed_variance for m in (0, 1)]
    examples = crossed_spread((values[1] - values[0]).mean(axis=1)).examples
    spread = Spread(examples, sum(parts), 60, 4)  # no pairs: two degrees of freedom of either system
    draws = spread.seeds * random.standard_t(4, 10**6) + spread.examples * random.normal(size=10**6)
    assert ours.p_seeds == pytest.approx(np.mean(np.abs(draws) >= ours.value), abs=0.003)
    assert ours.p_runs < ours.p_seeds  # type: ignore[operator]
    variance = spread.examples**2 + spread.seeds**2
    degrees = variance**2 / (spread.examples**4 / 59 + spread.seeds**4 / 4)
    half = stats.t.ppf(0.975, degrees) * np.sqrt(variance)
    assert ours.ci95 == pytest.approx((ours.value - half, ours.value + half), rel=0.05, abs=0.01)


def test_a_system_whose_seeds_agree_has_the_part_of_the_others() -> None:
    """But not one whose answers no seed can change, and a system that seeds move more than others keeps its own part."""
    values = fractional(8, 4, 3, 2, 60) * 0.4
    values[1] += np.array([0.0, 0.2, 0.5])[:, None, None]
    values[3] = values[3, :1]
    answers = make(values)
    own = [crossed_spread(values[m].mean(axis=1)).seed_variance for m in range(3)]

    def of(system: int) -> Spread:
        return contrast_spread(answers, weights(answers, system, [0, 1]))

    assert of(0).seed_variance == pytest.approx(np.mean(own)) and of(0).seed_degrees == 2
    assert of(1).seed_variance == pytest.approx(own[1])
    assert of(3).seed_variance == of(3).seed_degrees == 0
    both = contrast_spread(answers, weights(answers, 2, [0, 1], minus=3))
    assert both.seed_variance == pytest.approx(np.mean(own)) and both.seed_degrees == 2


def test_seeds_widen_the_interval_only_where_they_differ() -> None:
    same = np.repeat(fractional(7, 2, 1, 2, 60), 3, axis=1)
    answers = make(same)
    one = make(same[:, :1])
    weights = difference_weights(answers)
    ours = contrast(answers, resampled_scores(answers), weights)
    assert ours.ci95 == pytest.approx(contrast(one, resampled_scores(one), weights).ci95, abs=1e-6)
    assert ours.p_seeds == pytest.approx(ours.p_runs)
    assert intervals(np.zeros((10, 1)), [crossed_spread(np.zeros((3, 5)))]).tolist() == [[0, 0]]
    only_seeds = crossed_spread(np.array([[1.0] * 5, [2.0] * 5, [3.0] * 5]))
    assert tuple(intervals(np.full((10, 1), 2.0), [only_seeds])[0]) == pytest.approx(
        stats.t.interval(0.95, 2, 2, np.sqrt(1 / 3))
    )


def test_no_difference_is_no_evidence() -> None:
    values = np.repeat(fractional(8, 1, 1, 2, 30), 2, axis=0)
    answers = make(values)
    found = contrast(answers, resampled_scores(answers, 200), difference_weights(answers))
    assert (found.value, found.p_runs) == (0, 1)
    assert found.ci95 == pytest.approx((0, 0), abs=1e-6)


def test_a_ratio_is_that_of_the_scores_and_none_over_a_divisor_around_zero() -> None:
    random = np.random.default_rng(9)
    values = (random.random((2, 1, 3, 400)) < np.array([[0.3], [0.8]])[..., None, None]).astype(float)
    values[1, 0, 1:] = random.random((2, 400)) < 0.55
    answers = make(values)
    scores = resampled_scores(answers, 2000)
    over, under = np.zeros((2, 3)), np.zeros((2, 3))
    over[1, 1:], over[0, 1:], under[1, 0], under[0, 0] = 0.5, -0.5, 1, -1
    share = ratio(answers, scores, over, under)
    assert share is not None
    gains = answers.scores[1] - answers.scores[0]
    assert share.value == pytest.approx(gains[1:].mean() / gains[0])
    by_id = values[1, 0] - values[0, 0]
    draws = random.integers(0, 400, (2000, 400))
    brute = by_id[1:].mean(axis=0)[draws].mean(axis=1) / by_id[0][draws].mean(axis=1)
    assert share.ci95 == pytest.approx(tuple(np.percentile(brute, (2.5, 97.5))), abs=0.015)
    assert ratio(answers, scores, over, np.zeros((2, 3))) is None


def test_stack_puts_every_answer_in_its_place_and_refuses_what_does_not_match() -> None:
    one = {"eng": {"a": 1.0, "b": 0.0}, "swh": {"b": 0.5}}
    two = {"swh": {"b": 1.0}, "eng": {"b": 1.0, "a": 0.0}}
    answers = stack({"x": {3: one}, "y": {3: two}})
    assert answers.values[:, 0].tolist() == [[[1, 0], [0, 0.5]], [[0, 1], [0, 1]]]
    assert answers.present.tolist() == [[True, True], [False, True]]
    assert answers.scores.tolist() == [[0.5, 0.5], [0.5, 1]]
    assert not answers.binary
    with pytest.raises(ValueError, match="examples in eng differ"):
        stack({"x": {3: one}, "y": {3: {"eng": {"a": 1.0}, "swh": {"b": 1.0}}}})
    with pytest.raises(ValueError, match="seeds differ"):
        stack({"x": {3: one}, "y": {4: one}})
    with pytest.raises(ValueError, match="languages differ"):
        stack({"x": {3: one}, "y": {3: {"eng": {"a": 1.0, "b": 0.0}}}})
    with pytest.raises(ValueError, match="between 0 and 1"):
        stack({"x": {3: {"eng": {"a": 2.0}}}})
    with pytest.raises(ValueError, match="no answers"):
        stack({})


def test_10000_resamples_of_200_languages_and_6_systems_take_seconds() -> None:
    answers = make((fractional(11, 6, 1, 200, 200) < 0.6).astype(float))
    start = time.process_time()
    language_contrasts(answers, resampled_scores(answers), baseline=0)
    assert time.process_time() - start < 10
