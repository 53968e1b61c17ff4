"""Law: calibrated probabilities are those of plain references, on fixed and on drawn vectors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import log_softmax, softmax

from polyprefix.calibration import probabilities as ours
from polyprefix.calibration.temperature import fit_temperature, negative_log_likelihood

FIXED = np.log([[0.7, 0.2, 0.1], [0.5, 0.3, 0.2], [0.6, 0.1, 0.3], [0.2, 0.5, 0.3]])
TABLES = st.integers(2, 6).flatmap(
    lambda K: arrays(np.float64, st.tuples(st.integers(1, 12), st.just(K)), elements=st.floats(-60, 0))
)


def test_batch_calibration_of_a_fixed_table_is_that_of_a_calculation_by_hand() -> None:
    prior = ours.mean_probability(FIXED)
    assert prior == pytest.approx([0.5, 0.275, 0.225])
    first = np.exp(ours.calibrated(FIXED, prior))[0]
    by_hand = np.array([0.7 / 0.5, 0.2 / 0.275, 0.1 / 0.225])
    assert first == pytest.approx(by_hand / by_hand.sum())
    assert ours.calibrated(FIXED, prior).argmax(axis=1).tolist() == [0, 1, 2, 1]  # raw: 0, 0, 0, 1


def test_contextual_calibration_is_the_affine_form_of_its_paper() -> None:
    """Zhao et al.: softmax of W p + b with W = diag(p_cf)^-1 and b = 0 orders labels as p / p_cf does."""
    free = np.log([[0.5, 0.3, 0.2], [0.7, 0.2, 0.1]])
    p_cf = softmax(free, axis=1).mean(axis=0)
    assert ours.content_free(free) == pytest.approx(p_cf)
    affine = (np.diag(1 / p_cf) @ softmax(FIXED, axis=1).T).T
    assert (ours.calibrated(FIXED, p_cf).argsort(axis=1) == affine.argsort(axis=1)).all()


def test_pmi_is_the_difference_of_log_likelihoods() -> None:
    premise = np.array([-1.0, -2.0, -4.0])
    pmi = FIXED - premise
    scores = ours.calibrated(FIXED, ours.domain_premise(premise))
    assert scores - scores[:, :1] == pytest.approx(pmi - pmi[:, :1])


@given(TABLES)
def test_batch_calibration_is_that_of_scipy(ll: np.ndarray) -> None:
    expected = log_softmax(log_softmax(ll, axis=1) - np.log(softmax(ll, axis=1).mean(axis=0)), axis=1)
    assert ours.calibrated(ll, ours.mean_probability(ll)) == pytest.approx(expected)


@given(TABLES, st.floats(0.2, 5))
def test_a_uniform_prior_and_a_temperature_change_no_order(ll: np.ndarray, temperature: float) -> None:
    done = ours.calibrated(ll, ours.uniform(ll.shape[1]), temperature)
    assert np.exp(done).sum(axis=1) == pytest.approx(1)
    assert np.take_along_axis(done, ll.argmax(axis=1)[:, None], 1)[:, 0] == pytest.approx(done.max(axis=1))


@given(TABLES, st.floats(-3, 3))
def test_what_a_language_adds_to_a_label_everywhere_is_divided_out(ll: np.ndarray, shift: float) -> None:
    """A constant preference for a label, in the direction in which the prior is linear: PMI removes it to the last bit of rounding."""
    moved = ll.copy()
    moved[:, 0] += shift
    premise = np.zeros(ll.shape[1])
    premise_moved = premise.copy()
    premise_moved[0] += shift
    before = ours.calibrated(ll, ours.domain_premise(premise))
    assert ours.calibrated(moved, ours.domain_premise(premise_moved)) == pytest.approx(before, abs=1e-6)


def test_others_are_the_mean_of_all_but_one() -> None:
    means = {"a": np.array([0.8, 0.2]), "b": np.array([0.4, 0.6]), "c": np.array([0.6, 0.4])}
    found = ours.of_other_languages(means)
    assert found["a"] == pytest.approx([0.5, 0.5]) and found["b"] == pytest.approx([0.7, 0.3])
    assert ours.of_other_languages({"a": means["a"]}) == {}


def test_no_probability_of_a_label_is_no_reason_to_fail() -> None:
    ll = np.array([[0.0, -5000.0], [0.0, -4000.0]])
    assert np.isfinite(ours.calibrated(ll, ours.mean_probability(ll))).all()


def test_the_temperature_is_the_one_that_made_the_scores() -> None:
    random = np.random.default_rng(0)
    true = log_softmax(random.normal(0, 2, (20_000, 5)), axis=1)
    targets = np.array([random.choice(5, p=row) for row in np.exp(true)])
    assert fit_temperature(true * 3, targets) == pytest.approx(3, rel=0.05)
    assert negative_log_likelihood(true * 3, targets, 3.0) <= negative_log_likelihood(true * 3, targets)


def test_a_temperature_needs_answers() -> None:
    with pytest.raises(ValueError, match="right labels"):
        fit_temperature(np.zeros((0, 3)), np.zeros(0, dtype=int))
