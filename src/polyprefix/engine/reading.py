"""How a set of prompts is read for prediction: eval mode, adapter merged where exact, what all prompts begin with computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from polyprefix.methods.adapted import AdaptedModel, Context
from polyprefix.text.tokens import Encoded, shared_length


@contextmanager
def reading(model: AdaptedModel, encoded: Sequence[Encoded], answer: int) -> Iterator[tuple[int, Context]]:
    """The number of shared tokens, and the context that stands before the rest of every prompt.

    Args:
        answer: the most tokens that follow a prompt.
    """
    was_training = model.training
    model.eval()
    model.adapter.merge()
    try:
        longest = max(len(item.ids) for item in encoded) + answer
        shared = model.shareable(shared_length([item.ids for item in encoded]), longest)
        yield shared, model.context(torch.tensor(encoded[0].ids[:shared]))
    finally:
        model.adapter.unmerge()
        model.train(was_training)
