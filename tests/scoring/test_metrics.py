"""Law: a metric equals its published definition, its interval covers what it should, and nothing is never zero."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.stats import binomtest
from sklearn.metrics import f1_score

from polyprefix.scoring.metrics import accuracy, macro_f1, weighted_f1

LABELS = ["country", "language", "currency"]


@pytest.mark.parametrize(("hits", "n"), [(0, 1), (0, 20), (3, 7), (150, 300), (300, 300)])
def test_accuracy_has_scipys_wilson_interval(hits: int, n: int) -> None:
    score = accuracy([1.0] * hits + [0.0] * (n - hits))
    expected = binomtest(hits, n).proportion_ci(method="wilson")
    assert (score.value, score.n) == (hits / n, n)
    assert score.ci95 == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_fractional_accuracy_has_a_bootstrap_interval_of_the_expected_width() -> None:
    values = np.random.default_rng(1).beta(0.5, 0.5, size=400)
    score = accuracy(list(values))
    half = 1.96 * values.std() / 20
    assert score.value == pytest.approx(values.mean())
    assert score.ci95 == pytest.approx((score.value - half, score.value + half), abs=0.1 * half)


@pytest.mark.parametrize("values", [[], [0.5, 1.01], [-0.1], [float("nan")]])
def test_accuracy_refuses_what_has_no_mean(values: list[float]) -> None:
    with pytest.raises(ValueError):
        accuracy(values)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("answers", [LABELS, [*LABELS, "no label"], LABELS[:2]])
def test_mean_f1_is_sklearns(seed: int, answers: list[str]) -> None:
    random = np.random.default_rng(seed)
    gold = [str(label) for label in random.choice(LABELS[: 2 + seed % 2], size=40)]
    predicted = [str(label) for label in random.choice(answers, size=40)]
    expected = f1_score(gold, predicted, labels=LABELS, average="macro", zero_division=0)
    assert macro_f1(gold, predicted, LABELS).value == pytest.approx(expected, abs=1e-12)
    weighted = f1_score(gold, predicted, labels=LABELS, average="weighted", zero_division=0)
    assert weighted_f1(gold, predicted, LABELS).value == pytest.approx(weighted, abs=1e-12)


def test_macro_f1_counts_a_class_that_never_occurs_as_zero() -> None:
    assert macro_f1(["country"] * 4, ["country"] * 4, LABELS).value == pytest.approx(1 / 3)


def test_macro_f1_interval_is_that_of_resampled_examples() -> None:
    random = np.random.default_rng(7)
    gold = random.choice(LABELS, size=120)
    predicted = np.where(random.random(120) < 0.6, gold, random.choice(LABELS, size=120))
    picks = random.integers(0, 120, size=(400, 120))
    brute = [f1_score(gold[i], predicted[i], labels=LABELS, average="macro", zero_division=0) for i in picks]
    ours = macro_f1([*map(str, gold)], [*map(str, predicted)], LABELS).ci95
    assert ours == pytest.approx(tuple(np.percentile(brute, (2.5, 97.5))), abs=0.02)


@pytest.mark.parametrize(
    ("gold", "predicted", "labels"),
    [([], [], LABELS), (["country"], [], LABELS), (["river"], ["country"], LABELS), (["a"], ["a"], ["a", "a"])],
)
def test_macro_f1_refuses_what_cannot_be_scored(gold: list[str], predicted: list[str], labels: list[str]) -> None:
    with pytest.raises(ValueError):
        macro_f1(gold, predicted, labels)


def test_macro_f1_of_300_examples_is_quick() -> None:
    random = np.random.default_rng(0)
    gold, predicted = ([str(label) for label in random.choice(LABELS, size=300)] for _ in range(2))
    seconds = []
    for _ in range(20):
        start = time.perf_counter()
        macro_f1(gold, predicted, LABELS)
        seconds.append(time.perf_counter() - start)
    assert min(seconds) < 0.005
