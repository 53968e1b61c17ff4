"""Predictions: which of its choices a model finds likeliest after each prompt.

A prompt is computed once, whatever the number of its choices: choices of one token need the head at one position and nothing else, longer
ones branch off. What the prompts of a set begin with is computed once for the whole set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.engine import batch as tensors
from polyprefix.engine import memory
from polyprefix.engine.flop_counter import Meter, Work
from polyprefix.errors import ModelError
from polyprefix.evaluation.eval_context import reading
from polyprefix.models.head import most_positions
from polyprefix.prefix import TokenTree
from polyprefix.text.batches import by_token_budget, group_by_common_prefix
from polyprefix.text.tokens import TokenizedPrompt


@dataclass(frozen=True, slots=True)
class Ranked:
    """The log-likelihood of each choice of one prompt, in nats."""

    encoded: TokenizedPrompt
    log_likelihoods: tuple[float, ...]
    greedy: tuple[bool, ...] = ()
    """Of each choice, whether every token of it is the likeliest at its place; empty where that was not asked for."""

    @property
    def best(self) -> int:
        """Index of the likeliest choice; the first of equals."""
        return max(range(len(self.log_likelihoods)), key=self.log_likelihoods.__getitem__)


Scored = tuple[float, bool]
"""The log-likelihood of a choice, and whether it is the greedy one; False where that was not asked for."""


@torch.no_grad()
def loglikelihood(
    model: AdaptedModel,
    encoded: Sequence[TokenizedPrompt],
    token_budget: int | None,
    advance: Callable[[int], None] = lambda count: None,
    work: Work | None = None,
    *,
    greedy: bool = False,
) -> list[Ranked]:
    """Rank the choices of every prompt, in the order given.

    Args:
        greedy: also say which choices greedy generation would write; a pass over the logits more.
        token_budget: tokens in one forward pass; None means as many as memory holds.
        advance: called with the number of prompts that are done.
        work: what is done is added to it.
    """
    scored = [_each_alone(model, item) for item in encoded]
    parts = [part for items in scored for part in items]
    whole = len(parts) == len(encoded)
    ranked: dict[int, tuple[Scored, ...]] = {}
    for rows in model.hook.lengths.passes([_lengths(part) for part in parts]):
        told = advance if whole else lambda count: None
        values = _log_likelihoods(model, [parts[row] for row in rows], token_budget, work, told, greedy)
        ranked.update(zip(rows, values, strict=True))
    if not whole:
        advance(len(encoded))
    found = iter(ranked[n] for n in range(len(parts)))
    joined = [tuple(choice for _ in items for choice in next(found)) for items in scored]
    return [
        Ranked(item, tuple(value for value, _ in choices), tuple(best for _, best in choices) if greedy else ())
        for item, choices in zip(encoded, joined, strict=True)
    ]


def not_finite(name: str, what: str) -> ModelError:
    """The error for a model that answers with something that is no number: nothing of it can be ranked, scored or written."""
    return ModelError(
        f"{name}: {what} are not finite numbers; weights or an adapter are damaged, or too large for this precision: "
        "try --set runtime.dtype=float32, or train with a lower learning rate"
    )


def _lengths(item: TokenizedPrompt) -> tuple[int, int]:
    """Tokens that go through the model with the shortest and with the longest choice, whose last token does not."""
    sizes = [len(choice) - 1 for choice in item.choices]
    return len(item.ids) + min(sizes), len(item.ids) + max(sizes)


def _each_alone(model: AdaptedModel, item: TokenizedPrompt) -> list[TokenizedPrompt]:
    """The prompt with all its choices; where these may not share a pass, once with each."""
    shortest, longest = _lengths(item)
    size = TokenTree(item.ids, item.choices).size
    if len(item.choices) == 1 or model.hook.lengths.branches(shortest, longest, size):
        return [item]
    return [replace(item, choices=(choice,)) for choice in item.choices]


def _log_likelihoods(
    model: AdaptedModel,
    encoded: Sequence[TokenizedPrompt],
    token_budget: int | None,
    work: Work | None,
    advance: Callable[[int], None],
    greedy: bool,
) -> list[tuple[Scored, ...]]:
    """Of each choice of prompts that may share passes."""
    lengths = [_lengths(item) for item in encoded]
    ranked: dict[int, tuple[Scored, ...]] = {}
    with reading(model, encoded, min(lengths)[0], max(longest for _, longest in lengths)) as (common_length, prefix):
        meter = Meter(model, common_length)
        budget = memory.token_budget(model, token_budget, training=False)
        rests = [TokenTree(item.ids[common_length:], item.choices) for item in encoded]
        groups = _groups(model, rests, budget)
        trees = [TokenTree.joined([rests[i] for i in group], common) for common, group in groups]

        def rank(rows: list[int]) -> list[list[Scored]]:
            chosen = [trees[n] for n in rows]
            inputs = tensors.batch(chosen, model)
            logits = inputs.logits(model, prefix=prefix)
            sums = inputs.sums(inputs.log_likelihoods(logits)).tolist()
            values = list(zip(sums, inputs.are_greedy(logits) if greedy else [False] * len(sums), strict=True))
            meter.count(chosen, inputs.input_ids.numel())
            return [[values.pop(0) for _ in rests[i].continuations] for n in rows for i in groups[n][1]]

        sizes = [tree.size for tree in trees]
        for rows, values in memory.retry_on_oom(_batches(model, trees, sizes, budget), rank, sizes, model.device):
            done = [i for n in rows for i in groups[n][1]]
            for i, found in zip(done, values, strict=True):
                if not all(math.isfinite(value) for value, _ in found):
                    prompt = encoded[i].prompt
                    where = f"the log-likelihoods of example {prompt.example_id} ({prompt.language})"
                    raise not_finite(model.base.name, where)
                ranked[i] = tuple(found)
            advance(len(done))
    if work is not None:
        work += meter.work
    return [ranked[i] for i in range(len(encoded))]


def _groups(model: AdaptedModel, trees: Sequence[TokenTree], budget: int) -> list[tuple[int, list[int]]]:
    if not model.hook.supports_packing():
        return [(0, [n]) for n in range(len(trees))]
    return group_by_common_prefix([tuple(tree.ids) for tree in trees], [tree.size for tree in trees], budget)


def _batches(model: AdaptedModel, trees: Sequence[TokenTree], sizes: Sequence[int], budget: int) -> list[list[int]]:
    padded = None if model.hook.supports_packing() else tensors.SIMILAR
    if padded is not None:  # a row for each choice
        budget //= max(len(tree.continuations) for tree in trees)
    answers = [tree.logit_positions for tree in trees]
    return by_token_budget(sizes, budget, answers=answers, most_answers=most_positions(model.model), padded=padded)
