"""Law: what the report shows of seeds and pairs is what their definitions give; what cannot be paired has no difference."""

from __future__ import annotations

import math

import numpy as np
import pytest

from polyprefix.report import statistics


def answers(values: list[float]) -> dict[str, float]:
    return {f"q{i}": value for i, value in enumerate(values)}


def test_seeds_are_averaged_example_by_example() -> None:
    one, two = {"deu_Latn": answers([1, 0, 1])}, {"deu_Latn": answers([1, 1, 0]), "swh_Latn": answers([1])}
    means, odd = statistics.mean_over_seeds([one, two])
    assert means == {"deu_Latn": answers([1, 0.5, 0.5]), "swh_Latn": answers([1])} and odd == ()
    means, odd = statistics.mean_over_seeds([one, {"deu_Latn": answers([0, 0])}])
    assert means == one and odd == ((1, "deu_Latn"),)


def test_only_the_same_examples_are_compared() -> None:
    a, b = {"x": answers([1, 0]), "y": answers([1])}, {"x": answers([0, 0]), "y": answers([1, 1])}
    assert statistics.comparable(a, b) == ["x"]
    assert statistics.language_difference(a, b, "y") is None
    assert statistics.mean_difference(a, b) == statistics.mean_difference({"x": a["x"]}, {"x": b["x"]})
    assert statistics.mean_difference({"z": answers([1])}, b) is None


def test_a_large_difference_stays_certain_after_correction_over_many_languages() -> None:
    """200 languages, of which one differs: 1/2001 times 200 would not do."""
    random = np.random.default_rng(0)
    ours, theirs = random.choice([0.5, 1], 200), random.choice([0, 0.5], 200)
    found = statistics.language_difference({"x": answers(list(ours))}, {"x": answers(list(theirs))}, "x")
    assert found and found.p_value is not None
    z = abs((ours - theirs).sum()) / math.sqrt(((ours - theirs) ** 2).sum())
    assert found.p_value == pytest.approx(math.erfc(z / math.sqrt(2)))
    assert statistics.adjusted({"x": found.p_value, **{str(i): 0.9 for i in range(199)}})["x"] < 0.05


def test_pooling_keeps_examples_of_one_task_together() -> None:
    parts = {
        ("t", "small"): {"x": answers([1, 0])},
        ("t", "large"): {"x": answers([1, 1])},
        ("u", "small"): {"x": answers([0])},
    }
    table = statistics.pooled(parts)
    assert table["t small x"].keys() == table["t large x"].keys() == {"t q0", "t q1"}
    assert statistics.score(table).value == pytest.approx((0.5 + 1 + 0) / 3)
