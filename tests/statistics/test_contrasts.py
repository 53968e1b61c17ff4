"""Law: differences, their errors and p-values are those of scipy, statsmodels or a loop, on fixed vectors."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar as statsmodels_mcnemar

from polyprefix.scoring.bootstrap import Floats
from polyprefix.statistics.answers import Answers
from polyprefix.statistics.contrasts import (
    contrast,
    contrasts,
    interval_of,
    language_contrasts,
    p_value,
    paired_proportions,
    ratio,
    resampled_scores,
    weights,
)
from polyprefix.statistics.variance import MeanSquare, Variance, Variances, influence, seed_mean_square, table_variance


def make(values: Floats, present: np.ndarray | None = None) -> Answers:
    M, S, L, ids = values.shape
    here = np.ones((L, ids), dtype=bool) if present is None else present
    names = tuple(f"s{m}" for m in range(M)), tuple(range(S)), tuple(f"l{i}" for i in range(L))
    return Answers(*names, values * here, here)


def fractional(seed: int, *shape: int) -> Floats:
    return np.random.default_rng(seed).random(shape)


def difference_weights(answers: Answers) -> Floats:
    return weights(answers, 1, range(len(answers.languages)), minus=0)


@pytest.mark.parametrize(("higher", "lower"), [(5, 1), (1, 5), (0, 12), (40, 21), (300, 260)])
def test_paired_shares_are_tested_by_mcnemars_statistic_with_the_correction_for_continuity(
    higher: int, lower: int
) -> None:
    theirs = statsmodels_mcnemar([[10, higher], [lower, 20]], exact=False, correction=True).pvalue
    (ours,) = paired_proportions(*np.array([[higher], [lower], [higher + lower + 30]]))
    assert ours.p_runs == pytest.approx(theirs, rel=1e-9)


def test_paired_shares_hold_every_difference_that_the_statistic_does_not_reject() -> None:
    """The statistic of a true difference takes the variance that is most likely under it, found here by a search."""
    from scipy.optimize import minimize_scalar

    from polyprefix.statistics.contrasts import _tango

    for b, c, n, true in ((9, 3, 44, 0.3), (9, 3, 44, -0.1), (1, 1, 44, 0.1), (0, 7, 20, 0.05)):
        low, high = max(0.0, -true), (1 - true) / 2

        def unlikely(q: float, b: int = b, c: int = c, n: int = n, true: float = true) -> float:
            return -(b * np.log(q + true) + c * np.log(q) + (n - b - c) * np.log(1 - 2 * q - true))

        q = minimize_scalar(unlikely, bounds=(low + 1e-9, high - 1e-9), method="bounded", options={"xatol": 1e-12}).x
        expected = (abs(b - c - n * true) - 1) / np.sqrt(n * (2 * q + true * (1 - true)))
        found = _tango(*(np.array([float(x)]) for x in (true, b, c, n)))
        assert found[0] == pytest.approx(expected, rel=1e-3)
    for b in range(12):
        for c in range(12):
            (one,) = paired_proportions(*(np.array([float(x)]) for x in (b, c, 30)))
            assert -1 <= one.ci95[0] <= one.value <= one.ci95[1] <= 1
            assert (one.ci95[0] > 0 or one.ci95[1] < 0) == (one.p_runs < 0.05), (b, c)


def test_one_seed_of_right_and_wrong_is_mcnemars_test_in_each_language() -> None:
    values = (fractional(1, 3, 1, 4, 90) < 0.6).astype(float)
    found = language_contrasts(make(values), baseline=0)
    for m in (1, 2):
        for column in range(4):
            a, b = values[m, 0, column], values[0, 0, column]
            table = [[0, np.sum(a > b)], [np.sum(a < b), 0]]
            theirs = statsmodels_mcnemar(table, exact=False, correction=True).pvalue
            assert found[m, column].p_runs == pytest.approx(theirs)
            assert found[m, column].value == pytest.approx(np.mean(a - b))
            assert found[m, column].p_seeds is None


def test_one_seed_of_fractions_is_scipys_paired_t_test() -> None:
    values = fractional(2, 2, 1, 3, 50)
    answers = make(values)
    found = language_contrasts(answers, baseline=0)
    for column in range(3):
        theirs = stats.ttest_rel(values[1, 0, column], values[0, 0, column]).pvalue
        assert found[1, column].p_runs == pytest.approx(theirs)


def test_an_average_is_tested_over_ids_not_answers() -> None:
    values = fractional(3, 2, 1, 6, 80)
    answers = make(values)
    ours = contrast(answers, difference_weights(answers))
    by_id = (values[1, 0] - values[0, 0]).mean(axis=0)
    assert ours.value == pytest.approx(by_id.mean()) and ours.n == 480
    theirs = stats.ttest_1samp(by_id, 0)
    assert ours.p_runs == pytest.approx(theirs.pvalue)
    interval = theirs.confidence_interval(0.95)
    assert ours.ci95 == pytest.approx((interval.low, interval.high))


def test_parallel_ids_widen_the_interval() -> None:
    """Copies of one language bring no new information; the same answers under other ids do."""
    one = np.random.default_rng(2).integers(0, 2, 100).astype(float)
    copies = make(np.tile(one, (1, 1, 9, 1)))
    apart, present = np.zeros((1, 1, 9, 900)), np.zeros((9, 900), dtype=bool)
    for column in range(9):
        place = slice(100 * column, 100 * (column + 1))
        apart[0, 0, column, place], present[column, place] = one, True
    widths = []
    for answers in (copies, make(apart, present)):
        low, high = contrast(answers, np.full((1, 9), 1 / 9)).ci95
        widths.append(high - low)
    assert widths[0] == pytest.approx(3 * widths[1], rel=0.05)


def test_many_contrasts_at_once_are_those_one_by_one() -> None:
    answers = make(fractional(12, 3, 2, 4, 50), np.random.default_rng(1).random((4, 50)) < 0.8)
    wanted = [weights(answers, 1, [0, 2], minus=0), weights(answers, 2, [3]), weights(answers, 0, range(4), minus=2)]
    assert contrasts(answers, wanted) == [contrast(answers, one) for one in wanted]


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


def test_a_tables_variance_is_the_analysis_of_variance() -> None:
    """Mean squares of a two-way table, from statsmodels."""
    import pandas as pd
    import statsmodels.formula.api as smf
    from statsmodels.stats.anova import anova_lm

    random = np.random.default_rng(5)
    d = random.normal(size=(3, 1)) + random.normal(size=20) + random.normal(size=(3, 20))
    frame = pd.DataFrame([(s, i, d[s, i]) for s in range(3) for i in range(20)], columns=["s", "i", "d"])
    table = anova_lm(smf.ols("d ~ C(s) + C(i)", frame).fit())
    ms_s, ms_i, ms_r = (table["mean_sq"][row] for row in ("C(s)", "C(i)", "Residual"))
    found = table_variance(d)
    assert [found.ids.value, found.between.value, found.within.value] == pytest.approx(
        [ms_i / 60, ms_s / 60, ms_r / 60]
    )
    assert [found.ids.degrees, found.between.degrees, found.within.degrees] == [19, 2, 38]
    between = (
        found.between.value / (1 - 1 / 9 - 0.6745 / 3) ** 3
    )  # as if it were the lower quartile, of two degrees of freedom
    total = found.ids.value + between - found.within.value
    expected = total**2 / (found.ids.value**2 / 19 + between**2 / 2 + found.within.value**2 / 38)
    assert found.degrees == pytest.approx(expected) and found.total == pytest.approx((ms_i + ms_s - ms_r) / 60)


def test_the_interval_of_a_difference_excludes_0_exactly_where_its_p_value_is_below_5_percent() -> None:
    """Of everything that is a difference: averages, groups, single languages, gaps, ratios; with one seed and with several, of right
    and wrong and of fractions, complete and with missing examples. Differences are moved until they are near the border."""
    random = np.random.default_rng(6)
    borders = checked = 0
    for _ in range(120):
        M, S, L, ids = (
            int(random.integers(2, 5)),
            int(random.integers(1, 5)),
            int(random.integers(2, 7)),
            int(random.integers(5, 40)),
        )
        shift = random.normal(size=(M, 1, 1, 1)) * random.choice([0.02, 0.1, 0.3])
        raw = 0.5 + shift + 0.1 * random.normal(size=(M, S, 1, 1)) + 0.3 * random.normal(size=(M, S, L, ids))
        values = (raw > 0.5).astype(float) if random.random() < 0.5 else np.clip(raw, 0, 1)
        present = random.random((L, ids)) < random.choice([0.6, 1.0])
        present[:, :2] = True
        answers = make(values, present)
        found = list(language_contrasts(answers, baseline=0).values())
        for m in range(1, M):
            found.append(contrast(answers, weights(answers, m, range(L), minus=0)))
            found.append(contrast(answers, weights(answers, m, [0]) - weights(answers, m, range(1, L))))
            share = ratio(answers, weights(answers, m, range(1, L), minus=0), weights(answers, m, [0], minus=0))
            found += [share] if share else []
        for one in found:
            assert (one.ci95[0] > 0 or one.ci95[1] < 0) == (one.p < 0.05), one
            borders += 0.02 < one.p < 0.1
            checked += 1
    assert checked > 700 and borders > 40


def test_seeds_of_systems_that_cancel_leave_what_is_their_own() -> None:
    """What a seed does to all systems at once is in no difference of two of them, and in every one to the base model."""
    random = np.random.default_rng(16)
    for shared in (0.0, 3.0):
        means = random.normal(size=(4000, 3, 6)) + shared * random.normal(size=(4000, 3, 1))
        pair, _, _ = seed_mean_square(means, np.array([1.0, -1, 0, 0, 0, 0]))
        base, _, pooled = seed_mean_square(means, np.array([1.0, 0, 0, 0, 0, 0]))
        assert pair.mean() == pytest.approx(2 / 3, rel=0.2)
        assert base[pooled].mean() == pytest.approx((1 + shared**2) / 3, rel=0.2)
        assert pooled.mean() > 0.6  # of all systems, which show the shared part as well as one does


def test_all_systems_lend_each_other_degrees_of_freedom_unless_one_varies_more() -> None:
    random = np.random.default_rng(17)
    means = random.normal(size=(1000, 3, 7))
    value, degrees, pooled = seed_mean_square(means, np.eye(7)[0])
    assert 0.8 < pooled.mean() < 0.9 and np.median(degrees) > 8
    assert (degrees[~pooled] == 2).all() and 0.3 < value.mean() < 0.45  # the larger of two: never too bold on average
    means[..., 0] *= 20
    value, degrees, pooled = seed_mean_square(means, np.eye(7)[0])
    assert pooled.mean() < 0.05 and value.mean() == pytest.approx(400 / 3, rel=0.1)


@pytest.mark.parametrize(("each", "ids"), [(3, 60), (10, 120), (30, 30)])
def test_standard_errors_over_examples_are_true(each: int, ids: int) -> None:
    """Also where each language has few examples of its own, where errors from uncorrected deviations are 5 to 18% too small; and
    those of the bootstrap, where that is not too small itself."""
    random = np.random.default_rng(18)
    ours, boot, values = [], [], []
    for number in range(700):
        present = random.random((12, ids)).argsort(axis=1).argsort(axis=1) < each
        answers = make(np.clip(0.5 + 0.15 * random.normal(size=(2, 1, 12, ids)), 0, 1), present)
        w = difference_weights(answers)
        ours.append(Variances(answers).of(w).ids.value)
        values.append(float(np.sum(w * answers.scores)))
        if number < 60:
            boot.append(np.sum(resampled_scores(answers, 400) * w, axis=(1, 2)).var())
    assert np.sqrt(np.mean(ours)) == pytest.approx(np.std(values), rel=0.08)
    if each >= 10:
        assert np.sqrt(np.mean(ours)) == pytest.approx(np.sqrt(np.mean(boot)), rel=0.03)


def test_a_language_with_one_example_is_no_certainty() -> None:
    present = np.eye(6, dtype=bool)
    answers = make(fractional(19, 2, 1, 6, 6), present)
    w = difference_weights(answers)
    d = (answers.scores[1] - answers.scores[0])[:, None]
    expected = float(d.var(ddof=1)) / 6
    assert Variances(answers).of(w).ids.value == pytest.approx(expected, rel=0.01)
    assert influence(answers, 1, np.full(6, 1 / 6)).std() > 0
    alone = contrast(answers, weights(answers, 1, [0], minus=0))
    assert alone.p_runs == 1 and alone.ci95 == (-1, 1)


def test_a_system_that_no_seed_moves_has_no_part_of_seeds() -> None:
    """And one whose seeds agree by chance has that of all systems."""
    values = fractional(8, 4, 3, 2, 60) * 0.4
    values[3] = values[3, :1]
    answers = make(values)
    found = Variances(answers)
    assert found.of(weights(answers, 3, [0, 1])).between.value == 0
    alone, both = (found.of(weights(answers, 2, [0, 1], minus=minus)) for minus in (None, 3))
    assert alone.between == both.between and both.between.degrees > 2


def test_seeds_widen_the_interval_only_where_they_differ() -> None:
    same = np.repeat(fractional(7, 2, 1, 2, 60), 3, axis=1)
    answers, one = make(same), make(same[:, :1])
    ours = contrast(answers, difference_weights(answers))
    assert ours.ci95 == pytest.approx(contrast(one, difference_weights(one)).ci95)
    assert ours.p_seeds == pytest.approx(ours.p_runs)
    only_seeds = table_variance(np.array([[1.0] * 5, [2.0] * 5, [3.0] * 5]))
    assert only_seeds.degrees == pytest.approx(2)
    assert interval_of(2.0, only_seeds) == pytest.approx(stats.t.interval(0.95, 2, 2, np.sqrt(1 / 3)))


def test_one_example_says_nothing() -> None:
    variance = Variance(MeanSquare(0.0, 1), count=1)
    assert p_value(0.4, variance) == 1 and interval_of(0.4, variance) == (-1, 1)


def test_no_difference_is_no_evidence() -> None:
    values = np.repeat(fractional(8, 1, 1, 2, 30), 2, axis=0)
    answers = make(values)
    found = contrast(answers, difference_weights(answers))
    assert (found.value, found.p_runs) == (0, 1)
    assert found.ci95 == pytest.approx((0, 0), abs=1e-6)


def test_a_ratio_is_that_of_the_scores_and_none_over_a_divisor_around_zero() -> None:
    random = np.random.default_rng(9)
    values = (random.random((2, 1, 3, 400)) < np.array([[0.3], [0.8]])[..., None, None]).astype(float)
    values[1, 0, 1:] = random.random((2, 400)) < 0.55
    answers = make(values)
    over, under = np.zeros((2, 3)), np.zeros((2, 3))
    over[1, 1:], over[0, 1:], under[1, 0], under[0, 0] = 0.5, -0.5, 1, -1
    share = ratio(answers, over, under)
    assert share is not None
    gains = answers.scores[1] - answers.scores[0]
    assert share.value == pytest.approx(gains[1:].mean() / gains[0])
    by_id = values[1, 0] - values[0, 0]
    draws = random.integers(0, 400, (2000, 400))
    brute = by_id[1:].mean(axis=0)[draws].mean(axis=1) / by_id[0][draws].mean(axis=1)
    assert share.ci95 == pytest.approx(tuple(np.percentile(brute, (2.5, 97.5))), abs=0.015)
    assert ratio(answers, over, np.zeros((2, 3))) is None


def test_10000_resamples_of_200_languages_and_6_systems_take_seconds() -> None:
    answers = make((fractional(11, 6, 1, 200, 200) < 0.6).astype(float))
    start = time.process_time()
    language_contrasts(answers, baseline=0)
    assert time.process_time() - start < 10
