"""Laws of the confidence sequence: it equals a plain reading of its definition, whatever the parts in which values come; it covers the mean
at all times at once; and it reaches its aim about as soon as theory allows."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyprefix.scoring.confidence_sequence import CANDIDATES, ConfidenceSequence

VALUES = st.lists(st.sampled_from([0.0, 1.0, 0.25, 0.5]), min_size=1, max_size=60)


def reference(values: list[float], aim: float, most: int) -> tuple[float, float]:
    """Value by value and candidate by candidate, without arrays."""
    threshold, left = 1 / 0.05, []
    for m in CANDIDATES:
        above = below = 1.0
        total, squares, refuted_at = 0.0, 0.0, None
        for t, x in enumerate(values, start=1):
            variance = (0.25 + squares) / t
            stake = max(aim, sqrt(2 * variance * log(2 / 0.05) / most)) / variance
            above *= 1 + min(stake, 0.5 / m if m else stake) * (x - m)
            below *= 1 - min(stake, 0.5 / (1 - m) if m < 1 else stake) * (x - m)
            total += x
            squares += (x - (0.5 + total) / (t + 1)) ** 2
            if max(above, below) / 2 >= threshold:
                refuted_at = t
                break
        left.append(refuted_at or len(values) + 1)
    places = [i for i, t in enumerate(left) if t == max(left)]
    mean = sum(values) / len(values)
    lower, upper = CANDIDATES[max(places[0] - 1, 0)], CANDIDATES[min(places[-1] + 1, len(left) - 1)]
    return min(lower, mean), max(upper, mean)


@settings(max_examples=25, deadline=None)
@given(VALUES, st.sampled_from([0.02, 0.1, 0.3]), st.integers(60, 1000))
def test_equals_its_definition(values: list[float], aim: float, most: int) -> None:
    sequence = ConfidenceSequence(aim, most)
    sequence.extend(values)
    assert sequence.interval == pytest.approx(reference(values, aim, most), abs=1e-9)


@settings(max_examples=25, deadline=None)
@given(VALUES, st.lists(st.integers(0, 60), max_size=4))
def test_parts_do_not_matter(values: list[float], cuts: list[int]) -> None:
    whole, parts = ConfidenceSequence(0.1, 100), ConfidenceSequence(0.1, 100)
    whole.extend(values)
    for start, end in zip([0, *sorted(cuts)], [*sorted(cuts), 60], strict=True):
        parts.extend(values[start:end])
    assert parts.interval == pytest.approx(whole.interval, abs=1e-9)


@pytest.mark.parametrize("mean", [0.02, 0.5, 0.9])
def test_covers_at_all_times_at_once(mean: float) -> None:
    """300 sequences of 400 values, looked at after every 20: at most 5% ever miss (at this number, 7.6% or less is 5% by chance)."""
    rng, missed = np.random.default_rng(7), 0
    for _ in range(300):
        sequence, ever = ConfidenceSequence(0.05, 400), False
        for block in (rng.random((20, 20)) < mean).astype(float):
            sequence.extend(block)
            lower, upper = sequence.interval
            ever |= not lower <= mean <= upper
        missed += ever
    assert missed / 300 <= 0.076


@pytest.mark.parametrize(("mean", "aim"), [(0.5, 0.03), (0.33, 0.05), (0.9, 0.03)])
def test_reaches_its_aim_about_twice_as_late_as_a_fixed_number_would(mean: float, aim: float) -> None:
    """2 log(2 / 0.05) / 1.96² = 1.92 times is what a stake that knew the variance would take."""
    rng, counts = np.random.default_rng(3), []
    for _ in range(8):
        sequence, count = ConfidenceSequence(aim, 5000), 0
        while sequence.half_width > aim:
            sequence.extend((rng.random(32) < mean).astype(float))
            count += 32
        counts.append(count)
    fixed = 1.96**2 * mean * (1 - mean) / aim**2
    assert 1.0 < np.mean(counts) / fixed < 2.3


def test_all_alike_and_no_value() -> None:
    sequence = ConfidenceSequence(0.02, 1000)
    assert sequence.interval == (0.0, 1.0) and sequence.half_width == 0.5
    sequence.extend([1.0] * 600)
    lower, upper = sequence.interval
    assert upper == 1.0 and 0.98 < lower < 1.0


def test_only_values_between_0_and_1() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        ConfidenceSequence(0.02, 10).extend([1.5])
