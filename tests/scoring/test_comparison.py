"""Law: a difference is paired, its interval is clustered by example id, and both keep their promises in simulations."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.stats import bootstrap, permutation_test

from polyprefix.scoring.comparison import (
    average,
    average_difference,
    grouped,
    holm,
    paired_difference,
    transfer_gap,
)


def by_id(values: object) -> dict[str, float]:
    return {f"id{i}": float(value) for i, value in enumerate(np.asarray(values))}


def simulate(random: np.random.Generator, ids: int, languages: int) -> dict[str, dict[str, float]]:
    """Correctness with a shared difficulty per id; the true average is 1/2."""
    easiness = random.normal(size=(ids, 1))
    correct = random.normal(size=(ids, languages)) + easiness > 0
    return {f"l{column}": by_id(correct[:, column]) for column in range(languages)}


def test_mcnemar_counts_only_examples_that_one_side_got_right() -> None:
    a, b = [1, 1, 1, 1, 1, 1, 0, 1, 0], [0, 0, 0, 0, 0, 1, 0, 1, 1]
    difference = paired_difference(by_id(a), by_id(b))
    assert difference.value == pytest.approx(4 / 9)
    assert difference.p_value == pytest.approx(2 * (1 + 6) / 2**6)  # 5 of 6 fair coins, two-sided


def test_no_disagreement_is_no_evidence() -> None:
    difference = paired_difference(by_id([1, 0, 1]), by_id([1, 0, 1]))
    assert (difference.value, difference.ci95, difference.p_value) == (0, (0, 0), 1)
    assert not difference.excludes_zero()


def test_paired_difference_ignores_the_order_of_ids() -> None:
    a, b = {"x": 1.0, "y": 0.0, "z": 1.0}, {"z": 0.0, "x": 1.0, "y": 0.0}
    assert paired_difference(a, b) == paired_difference(dict(sorted(a.items())), dict(sorted(b.items())))


def test_paired_interval_and_p_value_agree_with_scipy() -> None:
    random = np.random.default_rng(3)
    a, b = random.random(80), random.random(80) * 0.9
    ours = paired_difference(by_id(a), by_id(b))
    theirs = bootstrap((a - b,), np.mean, method="percentile", rng=np.random.default_rng(0)).confidence_interval
    test = permutation_test((a, b), lambda x, y, axis: np.mean(x - y, axis=axis), permutation_type="samples",
                            vectorized=True, rng=np.random.default_rng(0))  # fmt: skip
    assert ours.ci95 == pytest.approx((theirs.low, theirs.high), abs=0.01)
    assert ours.p_value == pytest.approx(test.pvalue, abs=0.02)


def test_different_examples_are_refused_with_their_numbers() -> None:
    with pytest.raises(ValueError, match="3 and 2, 2 in common"):
        paired_difference(by_id([1, 0, 1]), by_id([1, 0]))
    with pytest.raises(ValueError, match="swh: the examples differ: 1 and 2"):
        average_difference({"swh": by_id([1])}, {"swh": by_id([1, 0])})
    with pytest.raises(ValueError, match="languages differ"):
        average_difference({"swh": by_id([1])}, {"eng": by_id([1])})


def test_average_weighs_languages_equally_and_counts_answers() -> None:
    score = average({"eng": by_id([1, 1, 1, 1]), "swh": by_id([0, 1])})
    assert (score.value, score.n) == (0.75, 6)


@pytest.mark.parametrize("bad", [{}, {"eng": {}}, {"eng": {"id0": float("nan")}}])
def test_average_of_nothing_is_refused(bad: dict[str, dict[str, float]]) -> None:
    with pytest.raises(ValueError):
        average(bad)


def test_average_interval_is_that_of_resampled_clusters() -> None:
    random = np.random.default_rng(5)
    correctness = simulate(random, ids=60, languages=4)
    del correctness["l1"]["id7"], correctness["l2"]["id0"]
    ids = sorted(correctness["l0"])
    brute = []
    for _ in range(1500):
        draw = random.choice(ids, size=len(ids))
        brute.append(np.mean([np.mean([c[key] for key in draw if key in c]) for c in correctness.values()]))
    assert average(correctness).ci95 == pytest.approx(tuple(np.percentile(brute, (2.5, 97.5))), abs=0.015)


def test_parallel_ids_widen_the_interval() -> None:
    """Copies of one language bring no new information; the same answers under other ids do."""
    answers = np.random.default_rng(2).integers(0, 2, size=100)
    copies = {f"l{i}": by_id(answers) for i in range(9)}
    independent = {f"l{i}": {f"{i}-{key}": v for key, v in by_id(answers).items()} for i in range(9)}
    low, high = average(copies).ci95
    other_low, other_high = average(independent).ci95
    assert high - low == pytest.approx(3 * (other_high - other_low), rel=0.15)
    assert average(copies).ci95 == pytest.approx(average({"l0": copies["l0"]}).ci95)


def test_a_language_with_one_example_keeps_the_average_a_number() -> None:
    score = average({"eng": by_id([0, 1] * 20), "swh": {"id0": 1.0}})
    assert score.value == 0.75 and np.isfinite(score.ci95).all()


def test_intervals_cover_the_truth() -> None:
    random = np.random.default_rng(11)
    covered = gaps = false_claims = 0
    for _ in range(300):
        a, b = simulate(random, 80, 5), simulate(random, 80, 5)
        low, high = average(a).ci95
        covered += low <= 0.5 <= high
        low, high = transfer_gap(a, "l0").ci95
        gaps += low <= 0 <= high
        false_claims += (average_difference(a, b).p_value or 0) < 0.05
    assert 0.91 <= covered / 300 <= 0.985
    assert 0.91 <= gaps / 300 <= 0.985
    assert 0.015 <= false_claims / 300 <= 0.09


def test_average_difference_is_the_mean_of_paired_differences() -> None:
    random = np.random.default_rng(4)
    a, b = simulate(random, 50, 3), simulate(random, 50, 3)
    expected = np.mean([paired_difference(a[code], b[code]).value for code in a])
    difference = average_difference(a, b)
    assert difference.value == pytest.approx(expected) and difference.n == 150
    assert average_difference(b, a).p_value == difference.p_value


def test_transfer_gap_is_reference_minus_the_rest() -> None:
    gap = transfer_gap({"swh": by_id([0, 1]), "eng": by_id([1, 1]), "fra": by_id([1, 1])}, "eng")
    assert gap.value == 0.25 and gap.p_value is None
    with pytest.raises(ValueError, match="needs eng"):
        transfer_gap({"swh": by_id([1])}, "eng")


def test_groups_name_their_languages() -> None:
    correctness = {"swh": by_id([1, 0]), "zul": by_id([1, 1]), "fra": by_id([0, 0])}
    groups = grouped(correctness, {"swh": "Bantu", "zul": "Bantu", "fra": "Romance"})
    assert list(groups) == ["Bantu", "Romance"]
    assert groups["Bantu"].languages == ("swh", "zul")
    assert groups["Bantu"].score.value == 0.75
    with pytest.raises(ValueError, match="without a group: fra"):
        grouped(correctness, {"swh": "Bantu", "zul": "Bantu"})


def test_holm_on_the_textbook_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.9, 0.8]) == [1, 1]
    with pytest.raises(ValueError):
        holm([1.5])


def test_79_languages_with_300_ids_take_less_than_half_a_second() -> None:
    random = np.random.default_rng(0)
    a, b = simulate(random, 300, 79), simulate(random, 300, 79)
    average_difference({"l0": by_id([1, 0])}, {"l0": by_id([0, 0])})  # loads what is loaded once
    start = time.perf_counter()
    average(a)
    average_difference(a, b)
    assert time.perf_counter() - start < 0.5
