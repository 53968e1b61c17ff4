"""Predictions: which of its choices a model finds likeliest after each prompt.

Choices of one token each need one forward pass per example, and the head at one position; longer ones are scored by the log-likelihood of
all their tokens. What the prompts of a set begin with is computed once for the whole set.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch

from polyprefix.engine.reading import reading
from polyprefix.engine.tensors import batch, continuation_log_likelihoods
from polyprefix.methods.adapted import AdaptedModel, Context
from polyprefix.models.head import most_rows
from polyprefix.text.batches import by_token_budget
from polyprefix.text.tokens import Encoded

SIMILAR = 0.85
"""Rows share a forward pass if none is shorter than this share of the longest: padding stays near 5%."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """The log-likelihood of each choice of one prompt, in nats."""

    encoded: Encoded
    log_likelihoods: tuple[float, ...]

    @property
    def best(self) -> int:
        """Index of the likeliest choice; the first of equals."""
        return max(range(len(self.log_likelihoods)), key=self.log_likelihoods.__getitem__)


@torch.no_grad()
def rank_choices(
    model: AdaptedModel,
    encoded: Sequence[Encoded],
    token_budget: int,
    advance: Callable[[int], None] = lambda count: None,
) -> list[Ranked]:
    """Rank the choices of every prompt, in the order given.

    Args:
        token_budget: tokens in one forward pass, padding included.
        advance: told how many prompts are done.
    """
    if not encoded:
        return []
    answer = max(len(choice) for item in encoded for choice in item.choices)
    with reading(model, encoded, answer) as (shared, context):
        rank = _rank_single if answer == 1 else _rank_longer
        return rank(model, encoded, context, shared, token_budget, advance)


def _rank_single(
    model: AdaptedModel,
    encoded: Sequence[Encoded],
    context: Context,
    shared: int,
    budget: int,
    advance: Callable[[int], None],
) -> list[Ranked]:
    """One row an example: the logits after its prompt tell the log-likelihood of every choice."""
    ranked: dict[int, Ranked] = {}
    pad = model.base.tokenizer.pad_token_id
    lengths = [len(item.ids) - shared for item in encoded]
    for rows in by_token_budget(lengths, budget, most_rows(model.model, 1), SIMILAR):
        items = [encoded[i] for i in rows]
        inputs = batch([(item.ids[shared:], item.choices[0]) for item in items], pad, model.device)
        logits = model(inputs.input_ids, inputs.attention_mask, context=context, logits_to_keep=1).logits[:, -1].float()
        normaliser = logits.logsumexp(-1)
        for row, (index, item) in enumerate(zip(rows, items, strict=True)):
            tokens = torch.tensor([choice[0] for choice in item.choices], device=logits.device)
            ranked[index] = Ranked(item, tuple((logits[row, tokens] - normaliser[row]).tolist()))
        advance(len(rows))
    return [ranked[i] for i in range(len(encoded))]


def _rank_longer(
    model: AdaptedModel,
    encoded: Sequence[Encoded],
    context: Context,
    shared: int,
    budget: int,
    advance: Callable[[int], None],
) -> list[Ranked]:
    """One row a choice: the sum of the log-likelihoods of its tokens."""
    pairs = [(i, c) for i, item in enumerate(encoded) for c in range(len(item.choices))]
    lengths = [len(encoded[i].ids) - shared + len(encoded[i].choices[c]) - 1 for i, c in pairs]
    longest = max(len(choice) for item in encoded for choice in item.choices)
    scores: dict[tuple[int, int], float] = {}
    pad = model.base.tokenizer.pad_token_id
    done = 0
    for rows in by_token_budget(lengths, budget, most_rows(model.model, longest), SIMILAR):
        chosen = [pairs[r] for r in rows]
        inputs = batch([(encoded[i].ids[shared:], encoded[i].choices[c]) for i, c in chosen], pad, model.device)
        keep = inputs.labels.shape[1]
        logits = model(inputs.input_ids, inputs.attention_mask, context=context, logits_to_keep=keep).logits
        values = continuation_log_likelihoods(logits[:, -keep:], inputs.labels).tolist()
        scores.update(zip(chosen, values, strict=True))
        finished = len(scores) * len(encoded) // len(pairs)
        advance(finished - done)
        done = finished
    return [Ranked(item, tuple(scores[i, c] for c in range(len(item.choices)))) for i, item in enumerate(encoded)]
