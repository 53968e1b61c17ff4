"""Law: counts and scores of labels are scikit-learn's; absent is never zero; intervals hold their level, clustered by example."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, f1_score, precision_recall_fscore_support

from polyprefix.statistics.classes import classes

ANSWERS = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40)


@settings(max_examples=60, deadline=None)
@given(ANSWERS)
def test_scores_are_those_of_scikit_learn(answers: list[tuple[int, int]]) -> None:
    right, said = np.array(answers).T
    found = classes(said, right, np.arange(len(right)), "abcd", resamples=20)
    assert np.array_equal(found.counts, confusion_matrix(right, said, labels=range(4)))
    precision, recall, f1, n = precision_recall_fscore_support(right, said, labels=range(4), zero_division=np.nan)
    for k, one in enumerate(found.labels):
        assert (one.n, one.predicted) == (n[k], int((said == k).sum()))
        assert (one.precision is None) == (one.predicted == 0) and (one.recall is None) == (one.n == 0)
        assert one.precision is None or one.precision.value == pytest.approx(precision[k])
        assert one.recall is None or one.recall.value == pytest.approx(recall[k])
        assert one.f1 is None or one.f1.value == pytest.approx(np.nan_to_num(f1[k]))
    assert found.macro_f1.value == pytest.approx(f1_score(right, said, average="macro", zero_division=0))
    for one in (
        found.macro_f1,
        *(score for label in found.labels for score in (label.precision, label.recall, label.f1) if score),
    ):
        assert 0 <= one.ci95[0] <= one.ci95[1] <= 1


def test_intervals_cover_the_truth_where_languages_repeat_an_example() -> None:
    """Three languages that share how hard an example is: as single answers they would be too sure."""
    rng, covered, without = np.random.default_rng(0), 0, 0
    truth = 0.7  # recall of each of two labels, and so macro F1
    for _ in range(150):
        right = np.repeat(rng.integers(0, 2, 120), 3)
        hit = np.repeat(rng.random(120) < truth, 3)
        said, units = np.where(hit, right, 1 - right), np.repeat(np.arange(120), 3)
        low, high = classes(said, right, units, "ab", resamples=200).macro_f1.ci95
        covered += low <= truth <= high
        low, high = classes(said, right, np.arange(360), "ab", resamples=200).macro_f1.ci95
        without += low <= truth <= high
    assert covered >= 0.89 * 150 > without


def test_no_answers_is_an_error() -> None:
    with pytest.raises(ValueError, match="no answers"):
        classes(np.array([], int), np.array([], int), np.array([], int), "ab")
