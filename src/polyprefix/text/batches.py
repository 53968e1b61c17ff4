"""Which examples go through the model together.

A batch holds as many rows of similar length as a budget of tokens allows. How many examples make an optimiser step does not depend on the
budget, and which examples make it is random: where length says something about the answer, as it often does, steps that are sorted by
length would teach it.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence


def by_token_budget(
    lengths: Sequence[int], budget: int, most_rows: int | None = None, least_share: float = 0.0
) -> list[list[int]]:
    """Indices in batches of similar length, longest first.

    Args:
        lengths: tokens of each row.
        budget: tokens of a batch at most, padding included (a longer row is a batch by itself).
        most_rows: rows of a batch at most.
        least_share: a row goes with others only if it has at least this share of the longest one's tokens.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    batches: list[list[int]] = []
    for index in order:
        longest = lengths[batches[-1][0]] if batches else 0
        fits = batches and longest * (len(batches[-1]) + 1) <= budget and lengths[index] >= least_share * longest
        if fits and len(batches[-1]) != most_rows:
            batches[-1].append(index)
        else:
            batches.append([index])
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
    """Share of the tokens computed that are padding."""
    computed = sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)
    return 1 - sum(lengths[i] for batch in batches for i in batch) / computed if computed else 0.0
