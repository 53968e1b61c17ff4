"""Law: figures of calibration are those of scikit-learn and of plain loops; what is calibrated shows no error."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.calibration import calibration_curve
from sklearn.metrics import log_loss

from polyprefix.calibration.measures import curve, debiased_ece, expected_calibration_error, reliability


def drawn(n: int, temperature: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Log-probabilities `[n, 4]` that are true at temperature 1, and labels."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, 1.5, (n, 4))
    true = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    targets = (true.cumsum(axis=1) < random.random((n, 1))).sum(axis=1)
    shown = scores * temperature
    return shown - np.log(np.exp(shown).sum(axis=1, keepdims=True)), targets


def test_bins_of_equal_width_are_those_of_scikit_learn() -> None:
    log_p, targets = drawn(500)
    confidence, right = np.exp(log_p.max(axis=1)), (log_p.argmax(axis=1) == targets).astype(float)
    truth, mean = calibration_curve(right, confidence, n_bins=10, strategy="uniform")
    found = curve(confidence, right, "width")
    assert [one.confidence for one in found] == pytest.approx(mean) and [
        one.accuracy for one in found
    ] == pytest.approx(truth)
    truth, mean = calibration_curve(right, confidence, n_bins=10, strategy="quantile")
    found = curve(confidence, right, "mass")
    assert [one.accuracy for one in found] == pytest.approx(truth, abs=0.03)
    by_hand = sum(
        abs(confidence[rows].sum() - right[rows].sum())
        for low in np.arange(10) / 10
        if (rows := (confidence >= low) & (confidence < low + 0.1)).any()
    )
    assert expected_calibration_error(confidence, right, "width") == pytest.approx(by_hand / 500, abs=1e-9)


def test_log_loss_and_brier_are_those_of_scikit_learn() -> None:
    log_p, targets = drawn(300)
    found = reliability(log_p, targets)
    assert found.nll == pytest.approx(log_loss(targets, np.exp(log_p), labels=range(4)))
    assert found.brier == pytest.approx(((np.exp(log_p) - np.eye(4)[targets]) ** 2).sum() / 300)
    assert found.n == 300 and found.overconfidence == pytest.approx(found.confidence - found.accuracy)


@pytest.mark.parametrize("n", [10, 60, 200])
def test_a_calibrated_model_shows_no_error_once_the_bias_is_taken_off(n: int) -> None:
    plain, debiased = [], []
    for seed in range(150):
        log_p, targets = drawn(n, seed=seed)
        confidence, right = np.exp(log_p.max(axis=1)), (log_p.argmax(axis=1) == targets).astype(float)
        plain.append(expected_calibration_error(confidence, right))
        debiased.append(debiased_ece(confidence, right))
    assert np.mean(debiased) < 0.55 * np.mean(plain)


def test_intervals_of_overconfidence_hold_the_truth() -> None:
    log_p, targets = drawn(200_000, temperature=2)
    truth = float(np.exp(log_p.max(axis=1)).mean() - (log_p.argmax(axis=1) == targets).mean())
    assert truth > 0.08
    held = []
    for seed in range(200):
        low, high = reliability(*drawn(150, 2, seed=seed + 1)).overconfidence_ci95
        held.append(low <= truth <= high)
    assert 0.9 <= np.mean(held) <= 0.99


def test_of_nothing_there_is_no_error() -> None:
    with pytest.raises(ValueError, match="no answers"):
        reliability(np.zeros((0, 3)), np.zeros(0, dtype=int))


def test_answers_of_one_confidence_are_one_bin() -> None:
    (one,) = curve(np.full(40, 0.6), np.repeat([1.0, 0.0], 20))
    assert (one.confidence, one.accuracy, one.n) == (pytest.approx(0.6), 0.5, 40)
