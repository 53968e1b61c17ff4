"""Predictions: which of its choices a model finds likeliest after each prompt.

A prompt is computed once, whatever the number of its choices: choices of one token need the head at one position and nothing else, longer
ones branch off. What the prompts of a set begin with is computed once for the whole set.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial

import torch

from polyprefix.adapters.adapted import AdaptedModel, ComputedPrefix
from polyprefix.engine import batch as tensors
from polyprefix.engine import memory
from polyprefix.engine.flop_counter import Meter, Work
from polyprefix.errors import ModelError
from polyprefix.evaluation.eval_context import reading
from polyprefix.models.head import most_positions
from polyprefix.prefix import KVPrefix, MixedPrefix, TokenTree
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
    told = advance if whole else lambda count: None
    ranked: dict[int, tuple[Scored, ...]] = {}
    for rows in model.hook.lengths.passes([_lengths(part) for part in parts]):
        values = _log_likelihoods(model, [parts[row] for row in rows], token_budget, work, told, greedy)
        ranked.update(zip(rows, values, strict=True))
    if not whole:
        advance(len(encoded))
    return _of_prompts(encoded, scored, ranked, greedy)


@torch.no_grad()
def loglikelihood_mixed(
    models: Sequence[AdaptedModel],
    encoded: Sequence[TokenizedPrompt],
    owners: Sequence[int],
    token_budget: int | None,
    prefixes: PrefixOf | None = None,
    begins: Sequence[tuple[int, ...]] = (),
) -> list[Ranked]:
    """The same for prompts of several adapters of one base model, which share forward passes (polyprefix.prefix.mixed).

    Args:
        models: in eval mode, on one base model that none of them has changed.
        encoded: prompts.
        owners: of each prompt, the place of its adapter.
        prefixes: gives an adapter's prefix; by default it is computed.
        begins: of each adapter, the tokens that most of its prompts begin with. Where a prompt does, and the model allows it, they are part
            of the prefix and are not computed again.

    Raises:
        ValueError: if prompts of several adapters come to a model that takes one prefix a pass (`supports_mixed_prefixes`).
    """
    model = models[0]
    if len(set(owners)) > 1 and not model.hook.supports_mixed_prefixes():
        raise ValueError(
            f"{model.base.name}: its attention has one prefix for all rows of a pass; ask each adapter by itself"
        )
    scored = [_each_alone(model, item) for item in encoded]
    parts = [(part, owner) for items, owner in zip(scored, owners, strict=True) for part in items]
    ranked: dict[int, tuple[Scored, ...]] = {}
    for rows in model.hook.lengths.passes([_lengths(part) for part, _ in parts]):
        items, whose = [parts[row][0] for row in rows], [parts[row][1] for row in rows]
        most = max(_lengths(item)[1] for item in items)
        longest = most if model.hook.lengths.rope.switches else None
        shares = bool(begins) and model.hook.supports_packing() and model.hook.lengths.shares(most)
        keys = [
            (owner, _begin(item, begins[owner]) if shares else ()) for item, owner in zip(items, whose, strict=True)
        ]
        there = sorted(set(keys))
        own = [(prefixes or partial(_prefix_of, models))(owner, longest, begin) for owner, begin in there]
        regime = model.hook.lengths.regime(longest or 0)
        trees = [TokenTree(item.ids[len(begin) :], item.choices) for item, (_, begin) in zip(items, keys, strict=True)]
        budget = memory.token_budget(model, token_budget, training=False)
        if len(there) == 1:  # one prefix for all rows, of which no row needs a copy
            [kv], [(_, begin)] = own, there
            values = _score(model, items, trees, budget, partial(_always, ComputedPrefix(kv, len(begin), regime)))
        else:
            rows_of = partial(_mixed, MixedPrefix.of(own, model.hook.heads), regime)
            places = [there.index(key) for key in keys]
            starts = [len(begin) for _, begin in there] if shares else []
            values = _score(model, items, trees, budget, rows_of, places, starts)
        ranked.update(zip(rows, values, strict=True))
    return _of_prompts(encoded, scored, ranked)


PrefixOf = Callable[[int, int | None, tuple[int, ...]], KVPrefix]
"""The prefix of the adapter at a place, for sequences of a length (None where it plays no part), followed by the tokens that these begin
with."""


def _prefix_of(models: Sequence[AdaptedModel], owner: int, length: int | None, begin: tuple[int, ...]) -> KVPrefix:
    return models[owner].compute_prefix(torch.tensor(begin, dtype=torch.long), length).kv


def _always(prefix: ComputedPrefix, _: tensors.Batch) -> ComputedPrefix:
    """The same for every batch."""
    return prefix


def _mixed(prefixes: MixedPrefix, regime: int, inputs: tensors.Batch) -> ComputedPrefix:
    """To each row of a batch its own."""
    return ComputedPrefix(prefixes.rows(inputs.owners), 0, regime)


def _begin(item: TokenizedPrompt, begin: tuple[int, ...]) -> tuple[int, ...]:
    """The tokens that a prompt shares with the others of its adapter; none if it begins otherwise, or has no token more."""
    return begin if len(item.ids) > len(begin) and item.ids[: len(begin)] == begin else ()


def _of_prompts(
    encoded: Sequence[TokenizedPrompt],
    scored: Sequence[Sequence[TokenizedPrompt]],
    ranked: Mapping[int, tuple[Scored, ...]],
    greedy: bool = False,
) -> list[Ranked]:
    """The log-likelihoods of each prompt's parts in a row."""
    found = iter(ranked[n] for n in range(sum(map(len, scored))))
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
    with reading(model, encoded, min(lengths)[0], max(longest for _, longest in lengths)) as (common_length, prefix):
        meter = Meter(model, common_length)
        budget = memory.token_budget(model, token_budget, training=False)
        rests = [TokenTree(item.ids[common_length:], item.choices) for item in encoded]
        found = _score(
            model, encoded, rests, budget, partial(_always, prefix), meter=meter, advance=advance, greedy=greedy,
            common=encoded[0].ids[:common_length],
        )  # fmt: skip
    if work is not None:
        work += meter.work
    return found


def _score(
    model: AdaptedModel,
    encoded: Sequence[TokenizedPrompt],
    rests: Sequence[TokenTree],
    budget: int,
    prefix_of: Callable[[tensors.Batch], ComputedPrefix],
    owners: Sequence[int] = (),
    starts: Sequence[int] = (),
    meter: Meter | None = None,
    advance: Callable[[int], None] = lambda count: None,
    greedy: bool = False,
    common: Sequence[int] = (),
) -> list[tuple[Scored, ...]]:
    """Of each choice of prompts that may share passes.

    Args:
        rests: what goes through the model of each prompt.
        prefix_of: the prefix of a batch.
        owners: of each prompt, where prompts have prefixes of their own.
        starts: of each owner, the position of the first token.
        common: the tokens before all of them, where there are no owners.
    """
    shared = None if owners else model.shared_activations
    groups = _groups(model, rests, budget, owners)
    trees = [TokenTree.joined([rests[i] for i in group]) for group in groups]
    whose = [owners[group[0]] for group in groups] if owners else []
    ranked: dict[int, tuple[Scored, ...]] = {}

    def rank(rows: list[int]) -> list[list[Scored]]:
        chosen = [trees[n] for n in rows]
        own = [whose[n] for n in rows] if owners else []
        inputs = tensors.batch(chosen, model, owners=own, starts=[starts[owner] for owner in own] if starts else ())
        with shared.skipping(chosen, common, inputs) if shared else nullcontext(0) as start:
            logits = inputs.logits(model, prefix=prefix_of(inputs))
        sums = inputs.sums(inputs.log_likelihoods(logits)).tolist()
        values = list(zip(sums, inputs.are_greedy(logits) if greedy else [False] * len(sums), strict=True))
        if meter is not None:
            meter.start = start
            meter.count(chosen, inputs.input_ids.numel())
        return [[values.pop(0) for _ in rests[i].continuations] for n in rows for i in groups[n]]

    sizes = [tree.size for tree in trees]
    for rows, values in memory.retry_on_oom(_batches(model, trees, sizes, budget), rank, sizes, model.device):
        done = [i for n in rows for i in groups[n]]
        for i, found in zip(done, values, strict=True):
            if not all(math.isfinite(value) for value, _ in found):
                prompt = encoded[i].prompt
                where = f"the log-likelihoods of example {prompt.example_id} ({prompt.language})"
                raise not_finite(model.base.name, where)
            ranked[i] = tuple(found)
        advance(len(done))
    return [ranked[i] for i in range(len(encoded))]


def _groups(
    model: AdaptedModel, trees: Sequence[TokenTree], budget: int, owners: Sequence[int] = ()
) -> list[list[int]]:
    """The places of prompts of one owner that begin alike."""
    if not model.hook.supports_packing():
        return [[n] for n in range(len(trees))]
    groups: list[list[int]] = []
    owners, most = owners or [0] * len(trees), most_positions(model.model)
    for owner in sorted(set(owners)):
        places = [n for n in range(len(trees)) if owners[n] == owner]
        trunks, sizes = [trees[n].trunk for n in places], [trees[n].size for n in places]
        answers = [trees[n].logit_positions for n in places]
        found = group_by_common_prefix(trunks, sizes, budget, answers=answers, most_answers=most)
        groups += [[places[n] for n in group] for group in found]
    return groups


def _batches(model: AdaptedModel, trees: Sequence[TokenTree], sizes: Sequence[int], budget: int) -> list[list[int]]:
    padded = None if model.hook.supports_packing() else tensors.SIMILAR
    if padded is not None:  # a row for each choice
        budget //= max(len(tree.continuations) for tree in trees)
    answers = [tree.logit_positions for tree in trees]
    return by_token_budget(sizes, budget, answers=answers, most_answers=most_positions(model.model), padded=padded)
