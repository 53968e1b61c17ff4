"""Which examples a run takes, so that runs can be compared example by example."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Sequence

from polyprefix.types import Example


def evaluation_subset(examples: Sequence[Example], size: int | None, of: str = "") -> list[Example]:
    """The same ids for every run, seed and method: those with the smallest hash of their id.

    Subsets are nested: the 100 are among the 300. The order of the source is kept. The hash has a salt of its own: a task may have
    split its data by the hash of the id, and the smallest of those would be no fair sample.

    Args:
        of: a name that has ids of its own, such as a language.
    """
    if size is None or size >= len(examples):
        return list(examples)
    return [examples[i] for i in sorted(by_hash([example.id for example in examples], of)[:size])]


def by_hash(ids: Sequence[str], of: str = "") -> list[int]:
    """Places of ids in the order of their hashes: the order in which examples come into a subset.

    Args:
        of: as `evaluation_subset`.
    """
    salt = f"subset {of} " if of else "subset "
    return sorted(range(len(ids)), key=lambda i: hashlib.sha256(f"{salt}{ids[i]}".encode()).digest())


def training_sample(examples: Sequence[Example], size: int | None, seed: int, of: str = "") -> list[Example]:
    """A random sample without replacement, in random order; the seed decides.

    Args:
        of: a name that has draws of its own, such as a language.
    """
    shuffled = list(examples)
    random.Random(f"{seed} {of}" if of else seed).shuffle(shuffled)
    return shuffled[:size]
