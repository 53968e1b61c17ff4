"""Subsets are nested, the same for everybody, in the source's order, and fair to the classes of a task that is split by hash."""

from __future__ import annotations

from collections import Counter

from polyprefix.data.select import evaluation_subset, training_sample
from polyprefix.tasks.base import Source
from polyprefix.tasks.terms import TASK

ROWS = TASK.examples("test", "eng_Latn", Source())


def test_subsets_are_nested_and_in_order() -> None:
    small, large = evaluation_subset(ROWS, 45), evaluation_subset(ROWS, 120)
    assert len(small) == 45 and {e.id for e in small} <= {e.id for e in large}
    assert [e.id for e in large] == [e.id for e in ROWS if e in large]
    assert evaluation_subset(ROWS, None) == list(ROWS) == evaluation_subset(ROWS, 10_000)


def test_subsets_keep_the_balance_of_classes_roughly() -> None:
    counts = Counter(e.references[0] for e in evaluation_subset(ROWS, 120))
    assert len(counts) == 3 and min(counts.values()) >= 25


def test_training_samples_follow_the_seed() -> None:
    assert training_sample(ROWS, 20, 1) == training_sample(ROWS, 20, 1) != training_sample(ROWS, 20, 2)
    assert len({e.id for e in training_sample(ROWS, 20, 1)}) == 20
