"""Batches hold every row once, stay within their budget, and waste little on padding; steps have a fixed number of examples."""

from __future__ import annotations

import math
import random
from itertools import combinations, pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyprefix.engine.batch import SIMILAR
from polyprefix.prefix.token_tree import common_length
from polyprefix.text.batches import DEAR, LEAST_COMMON, by_token_budget, group_by_common_prefix, padding_share, steps

LENGTHS = st.lists(st.integers(1, 300), min_size=1, max_size=200)


@given(LENGTHS, st.integers(16, 4096), st.integers(1, 50), st.sampled_from([None, 0.0, 0.6, 1.0]))
def test_every_row_once_within_the_budget(lengths: list[int], budget: int, most: int, padded: float | None) -> None:
    batches = by_token_budget(lengths, budget, most_answers=most, padded=padded)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) <= most
        longest, rows = max(lengths[i] for i in batch), len(batch)
        if padded is not None:
            assert min(lengths[i] for i in batch) >= padded * longest
        computed = sum(lengths[i] for i in batch) if padded is None else longest * rows
        assert rows == 1 or computed <= budget


@given(LENGTHS, st.integers(1, 20))
def test_the_head_is_not_needed_at_more_positions_than_wanted(answers: list[int], most: int) -> None:
    for batch in by_token_budget([5] * len(answers), 10_000, answers=answers, most_answers=most):
        assert len(batch) == 1 or sum(answers[i] for i in batch) <= most


@given(st.integers(1, 40), st.integers(1, 16), st.integers(1, 60), st.integers(0, 5))
def test_steps_have_a_fixed_size_and_pass_over_all_examples(count: int, size: int, total: int, seed: int) -> None:
    drawn = list(steps(count, size, total, seed))
    assert [len(step) for step in drawn] == [size] * total
    assert {i for step in drawn for i in step} <= set(range(count))
    assert drawn == list(steps(count, size, total, seed))


def test_examples_are_seen_equally_often() -> None:
    drawn = [i for step in steps(30, 10, 9, seed=1) for i in step]
    assert all(drawn.count(i) == 3 for i in range(30))


def test_steps_do_not_sort_by_anything() -> None:
    """Steps in the order of the data, or of its length, would teach what order says of the answer."""
    means = [sum(step) / 16 for step in steps(1600, 16, 100, seed=0)]
    assert min(means) > 500 and max(means) < 1100


def test_padding_is_small_on_lengths_like_those_of_xnli() -> None:
    """Where a model takes padded rows only; packed rows have none."""
    rng = random.Random(0)
    lengths = [max(8, round(rng.lognormvariate(3.7, 0.45))) for _ in range(3000)]
    assert padding_share(lengths, by_token_budget(lengths, 8192, padded=SIMILAR)) < 0.06
    assert padding_share([5, 1], [[0, 1]]) == 0.4


def test_texts_that_begin_alike_stand_together_as_cheaply_as_any_division_allows() -> None:
    """Against all divisions of the texts in lexicographic order."""
    rng = random.Random(5)
    for _ in range(60):
        trunks = [tuple(rng.choices(range(3), k=rng.randint(4, 60))) for _ in range(3)]
        rows = [(*rng.choice(trunks), *rng.choices(range(9), k=rng.randint(1, 30))) for _ in range(rng.randint(1, 9))]
        sizes = [len(row) + rng.randint(0, 3) for row in rows]
        most = rng.choice([60, 200, 1000])
        order = sorted(range(len(rows)), key=lambda n: rows[n])

        def cost(groups: list[list[int]], rows: Any = rows, sizes: list[int] = sizes, most: int = most) -> float:
            total = 0.0
            for group in groups:
                common = min(common_length(rows[group[0]], rows[n]) for n in group) if len(group) > 1 else 0
                in_order = [rows[n] for n in group]
                tokens = sum(sizes[n] for n in group) - sum(map(common_length, in_order, in_order[1:]))
                if len(group) > 1 and (common < LEAST_COMMON or tokens > most):
                    return math.inf
                total += tokens + tokens**2 / DEAR
            return total

        found = group_by_common_prefix(rows, sizes, most)
        assert sorted(n for group in found for n in group) == list(range(len(rows)))
        assert all([rows[n] for n in group] == sorted(rows[n] for n in group) for group in found)
        divisions = [
            [order[a:b] for a, b in pairwise([0, *cuts, len(order)])]
            for count in range(len(order))
            for cuts in combinations(range(1, len(order)), count)
        ]
        assert cost(found) == pytest.approx(min(map(cost, divisions)))
