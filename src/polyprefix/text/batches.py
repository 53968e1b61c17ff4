"""Which examples go through the model together.

Rows of similar length share a batch, so that little of it is padding; a batch holds as many as a budget of tokens allows. How many
examples make an optimiser step does not depend on the budget.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence

BLOCK = 64
"""Optimiser steps whose examples are drawn together and then sorted by length: large enough for little padding, small enough for
random batches (with 16 examples a step, 1,024 examples a block)."""


def by_token_budget(lengths: Sequence[int], budget: int, most_rows: int | None = None) -> list[list[int]]:
    """Indices in batches of similar length, longest first.

    Args:
        lengths: tokens of each row.
        budget: tokens of a batch at most, padding included (a longer row is a batch by itself).
        most_rows: rows of a batch at most.
    """
    order = sorted(range(len(lengths)), key=lambda i: (-lengths[i], i))
    batches: list[list[int]] = []
    for index in order:
        fits = batches and lengths[batches[-1][0]] * (len(batches[-1]) + 1) <= budget
        if fits and len(batches[-1]) != most_rows:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches


def steps(lengths: Sequence[int], batch_size: int, total: int, seed: int) -> Iterator[list[int]]:
    """`total` optimiser steps of exactly `batch_size` examples each, pass after pass over shuffled data.

    Within a block of steps, examples are grouped by length and the groups are shuffled.
    """
    rng = random.Random(seed)
    stream = _endless(len(lengths), rng)
    done = 0
    while done < total:
        count = min(BLOCK, total - done)
        block = sorted((next(stream) for _ in range(count * batch_size)), key=lambda i: lengths[i])
        groups = [block[n * batch_size : (n + 1) * batch_size] for n in range(count)]
        rng.shuffle(groups)
        yield from groups
        done += count


def _endless(count: int, rng: random.Random) -> Iterator[int]:
    while True:
        order = list(range(count))
        rng.shuffle(order)
        yield from order


def padding_share(lengths: Sequence[int], batches: Sequence[Sequence[int]]) -> float:
    """Share of the tokens computed that are padding."""
    computed = sum(max(lengths[i] for i in batch) * len(batch) for batch in batches)
    return 1 - sum(lengths[i] for batch in batches for i in batch) / computed if computed else 0.0
