"""Which examples go through the model together.

A batch holds as many texts of similar length as a budget of tokens allows. How many examples make an optimiser step does not depend on the
budget, and which examples make it is random: where length says something about the answer, as it often does, steps that are sorted by
length would teach it.

In evaluation, prompts that begin alike - questions about one passage, hypotheses about one premise - may stand together, so that what they
have in common is computed once.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import pairwise

from polyprefix.prefix.token_tree import common_length

LEAST_COMMON = 8
"""Tokens; a shorter common prefix is chance, and sharing it does not pay for a wider row."""
MOST_TOGETHER = 64
"""Texts."""
DEAR = 2048
"""Tokens of a row for which attention is reckoned to cost as much as all products of the layers; for Gemma 3 270M it is 2,700."""


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


def group_by_common_prefix(
    rows: Sequence[tuple[int, ...]],
    sizes: Sequence[int],
    most: int,
    *,
    answers: Sequence[int] = (),
    most_answers: int | None = None,
) -> list[list[int]]:
    """Indices of sequences that begin alike, each group in the lexicographic order of its sequences.

    Among all ways to divide the texts in that order, the one with the fewest tokens to compute where tokens that several begin with are
    computed once (`TokenTree.joined`), attention over wider rows reckoned in. A text that has nothing in common with another stands alone.

    Args:
        rows: the tokens of each text that others may have in common with it.
        sizes: tokens of each text with its continuations.
        most: tokens of texts together at most.
        answers: positions of each text at which the head is needed; by default one.
        most_answers: such positions of texts together at most.

    >>> passage = tuple(range(100))
    >>> group_by_common_prefix([(*passage, 7), (5, 6), (*passage, 8, 9)], [101, 2, 102], most=4096)
    [[0, 2], [1]]
    """
    order = sorted(range(len(rows)), key=lambda n: rows[n])
    common = [0, *(common_length(rows[a], rows[b]) for a, b in pairwise(order))]
    best = [(0.0, 0)]
    """For the first k texts in order: the least cost, and where the last of their groups begins."""
    for k in range(1, len(order) + 1):
        found = []
        prefix_length, tokens, heads = len(rows[order[k - 1]]), 0, 0
        for first in range(k - 1, max(-1, k - 1 - MOST_TOGETHER), -1):
            shared = common[first + 1] if first < k - 1 else 0
            tokens += sizes[order[first]] - shared
            heads += answers[order[first]] if answers else 1
            fits = tokens <= most and (most_answers is None or min(heads, tokens) <= most_answers)
            if first < k - 1 and not fits:
                break
            found.append((best[first][0] + tokens + tokens**2 / DEAR, first))
            prefix_length = min(prefix_length, common[first])
            if prefix_length < LEAST_COMMON:
                break
        best.append(min(found))
    groups, k = [], len(order)
    while k:
        first = best[k][1]
        groups.append(order[first:k])
        k = first
    return sorted(groups, key=min)
