"""Law: a threshold keeps the surest answers, and as many of them as the wanted accuracy allows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyprefix.calibration.abstention import LEAST_KEPT, accuracy_by_coverage, price, threshold_for

ANSWERS = st.lists(st.tuples(st.sampled_from([0.2, 0.35, 0.5, 0.8, 0.99]), st.booleans()), min_size=1, max_size=80)


@given(ANSWERS, st.floats(0.1, 1))
def test_the_threshold_is_that_of_a_search(answers: list[tuple[float, bool]], wanted: float) -> None:
    confidence, right = (np.array(side, dtype=float) for side in zip(*answers, strict=True))
    fits = [
        level
        for level in sorted(set(confidence.tolist()))
        if (confidence >= level).sum() >= LEAST_KEPT and right[confidence >= level].mean() >= wanted
    ]
    assert threshold_for(confidence, right, wanted) == (fits[0] if fits else None)


@given(ANSWERS)
def test_with_everything_kept_accuracy_is_that_of_all_answers(answers: list[tuple[float, bool]]) -> None:
    confidence, right = (np.array(side, dtype=float) for side in zip(*answers, strict=True))
    coverage, accuracy, threshold = accuracy_by_coverage(confidence, right)
    assert coverage[-1] == 1 and accuracy[-1] == pytest.approx(right.mean()) and (np.diff(threshold) < 0).all()
    whole = price(confidence, right, 0.0)
    assert whole.coverage == 1 and whole.accuracy == pytest.approx(right.mean())


def test_nothing_kept_has_no_accuracy() -> None:
    nothing = price(np.array([0.4, 0.5]), np.array([1.0, 0.0]), 0.9)
    assert (nothing.kept, nothing.coverage, nothing.accuracy, nothing.ci95) == (0, 0.0, None, None)


def test_what_is_bought_on_one_half_is_had_on_the_other() -> None:
    random = np.random.default_rng(0)
    confidence = random.uniform(0.3, 1, 4000)
    right = (random.random(4000) < confidence).astype(float)
    threshold = threshold_for(confidence[:2000], right[:2000], 0.85)
    assert threshold is not None
    kept = price(confidence[2000:], right[2000:], threshold)
    assert kept.accuracy == pytest.approx(0.85, abs=0.03) and 0.2 < kept.coverage < 0.8
