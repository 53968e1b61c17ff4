"""Which examples go through the model together.

A batch holds as many texts of similar length as a budget of tokens allows. How many examples make an optimiser step does not depend on the
budget, and which examples make it is random: where length says something about the answer, as it often does, steps that are sorted by
length would teach it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence


def by_token_budget(
    lengths: Sequence[int],
    budget: int,
    *,
    answers: Sequence[int] = (),
    most_answers: int | None = None,
    padded: float | None = None,
) -> list[list[int]]:
    """Indices in batches of similar length, longest first.

    Args:
        lengths: tokens of each text.
        budget: tokens of a batch at most (a longer text is a batch by itself).
        answers: positions of each text at which the head is needed; by default one.
        most_answers: such positions of a batch at most.
        padded: None where texts are packed and only their own tokens count; else rows are padded to the longest, padding counts, and a text
            goes with others only if it has at least this share of the longest one's tokens.
    """
    batches: list[list[int]] = []
    tokens = positions = longest = 0
    for index in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        length, heads = lengths[index], answers[index] if answers else 1
        wanted = tokens + length if padded is None else longest * (len(batches[-1]) + 1 if batches else 1)
        fits = batches and wanted <= budget and (most_answers is None or positions + heads <= most_answers)
        if fits and (padded is None or length >= padded * longest):
            batches[-1].append(index)
            tokens, positions = tokens + length, positions + heads
        else:
            batches.append([index])
            tokens, positions, longest = length, heads, length
    return batches


def steps(count: int, batch_size: int, total: int, seed: int) -> Iterator[list[int]]:
    """`total` optimiser steps of exactly `batch_size` of `count` examples each, pass after pass over shuffled data."""
    rng = random.Random(seed)
    stream = _endless(count, rng)
    for _ in range(total):
        yield [next(stream) for _ in range(batch_size)]


def _endless(count: int, rng: random.Random) -> Iterator[int]:
    while True:
        order = list(range(count))
        rng.shuffle(order)
        yield from order


def padding_share(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """Share of the tokens computed that are padding, where the rows of a batch are padded to its longest."""
    computed = sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)
    return 1 - sum(lengths[i] for batch in batches for i in batch) / computed if computed else 0.0
