"""The model as prediction uses it: eval mode, adapter merged where that is exact, common prefix computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from polyprefix.adapters.adapted import AdaptedModel, ComputedPrefix
from polyprefix.text.tokens import TokenizedPrompt, common_prefix_length


@contextmanager
def reading(
    model: AdaptedModel, encoded: Sequence[TokenizedPrompt], shortest: int, longest: int
) -> Iterator[tuple[int, ComputedPrefix]]:
    """The length of the common prefix, and the computed prefix of the rest of every prompt.

    Args:
        shortest, longest: tokens of a prompt, and of one with its answer, that go through the model.
    """
    was_training, was_merged = model.training, model.adapter.merged
    model.eval()
    model.adapter.merge()
    try:
        several = len(encoded) > 1 and model.hook.lengths.branches(shortest, longest)  # one prompt shares with nobody
        common = common_prefix_length([item.ids for item in encoded]) if several else 0
        shared = model.shareable(common, longest)
        yield (
            shared,
            model.compute_prefix(
                torch.tensor(encoded[0].ids[:shared]), longest if model.hook.lengths.rope.switches else None
            ),
        )
    finally:
        if not was_merged:
            model.adapter.unmerge()
        model.train(was_training)
