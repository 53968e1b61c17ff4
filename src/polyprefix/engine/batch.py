"""Token trees as tensors: one packed row where the model supports it, else one left-padded row a continuation.

The continuations of a prompt, the answer to learn or the choices to rank, follow the same tokens, which are computed once. Single-token
continuations add no input tokens. Logits are computed only where a continuation is predicted.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.models.head import largest, log_normaliser
from polyprefix.prefix import Packed, TokenTree

SIMILAR = 0.85
"""Where a model takes no packed rows: rows share a forward pass if none is shorter than this share of the longest."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Sequences of one forward pass."""

    input_ids: Tensor
    """[1, N] of a packed row, or [B, T], left-padded, one row a continuation."""
    attention_mask: Tensor | None
    """[B, T], 0 on padding; None where packed."""
    packed: Packed | None
    logit_positions: Tensor
    """[A], flat indices into input_ids of the tokens whose logits are needed."""
    position_index: Tensor
    """[M], for each token of each continuation: the index into `logit_positions` of the token that predicts it."""
    labels: Tensor
    """[M], the token."""
    continuation_id: Tensor
    """[M], the number of its continuation in the batch."""
    continuations: int
    """C, how many there are."""
    owners: tuple[int, ...] = ()
    """[R], whose sequences each of attention's rows holds, where trees have owners."""

    def logits(self, model: Any, **before: Any) -> Tensor:
        """[A, V] in float32 at least.

        Args:
            model: an adapted model, or what accelerate made of one.
            before: `prefix` or `common_prefix`, as the model takes them.
        """
        out = model(
            self.input_ids, self.attention_mask, packed=self.packed, logit_positions=self.logit_positions, **before
        )
        return out.logits[0].to(torch.promote_types(out.logits.dtype, torch.float32))

    def log_likelihoods(self, logits: Tensor) -> Tensor:
        """Log-likelihood of every token of every continuation, [M], in nats."""
        return logits[self.position_index, self.labels] - log_normaliser(logits)[self.position_index]

    def sums(self, values: Tensor) -> Tensor:
        """Values of tokens [M] added up by continuation, [C]."""
        return values.new_zeros(self.continuations).index_add(0, self.continuation_id, values)

    def are_greedy(self, logits: Tensor) -> list[bool]:
        """Of each continuation, whether no token is likelier than its own at any place; logits [A, V]."""
        misses = logits[self.position_index, self.labels] < largest(logits)[self.position_index]
        return [missed == 0 for missed in self.sums(misses.to(torch.float32)).tolist()]

    def counts(self) -> Tensor:
        """Tokens of each continuation, [C]; bincount would have a GPU wait for the CPU, to learn how long its result is."""
        return self.sums(torch.ones_like(self.continuation_id))


def batch(
    trees: Sequence[TokenTree],
    model: AdaptedModel,
    common_prefix: Sequence[int] = (),
    owners: Sequence[int] = (),
    starts: Sequence[int] = (),
) -> Batch:
    """One forward pass of these trees.

    Args:
        common_prefix: tokens that precede all of them, stored once at the start of a packed row; padded rows cannot hold them.
        owners: of each tree, where rows of attention are to hold the trees of one owner.
        starts: position of the first token of each tree, in a packed row; by default 0.
    """
    if model.hook.supports_packing():
        return _packed(trees, model.device, common_prefix, owners, starts)
    rows = [(row, n) for n, tree in enumerate(trees) for row in tree.sequences()]
    found = _padded([row for row, _ in rows], model)
    return replace(found, owners=tuple(owners[n] for _, n in rows)) if owners else found


def _packed(
    trees: Sequence[TokenTree],
    device: torch.device,
    common_prefix: Sequence[int],
    owners: Sequence[int],
    starts: Sequence[int],
) -> Batch:
    ids = list(common_prefix)
    targets = _Targets()

    def add(tree: TokenTree, before: Sequence[int]) -> None:
        path = [*before, *range(len(ids), len(ids) + len(tree.ids))]
        ids.extend(tree.ids)
        first = len(path) - tree.scored
        scored = [ids[place] for place in path[first:]]
        for tokens in tree.continuations:
            targets.add([*scored, *tokens], [*path[first - 1 :], *range(len(ids), len(ids) + len(tokens) - 1)])
            ids.extend(tokens[:-1])
        for branch in tree.branches:
            add(branch, path)

    for tree in trees:
        add(tree, range(len(common_prefix)))
    packed = Packed.of(trees, device, len(common_prefix), owners, starts)
    return replace(targets.batch(torch.tensor([ids], device=device), None, packed), owners=packed.owners)


def _padded(rows: Sequence[tuple[Sequence[int], Sequence[int]]], model: AdaptedModel) -> Batch:
    inputs = [[*before, *tokens[:-1]] for before, tokens in rows]
    ids, mask = pad_left(inputs, model.base.tokenizer.pad_token_id, model.device)
    targets = _Targets()
    for number, (_, tokens) in enumerate(rows, start=1):
        end = number * ids.shape[1]
        targets.add(tokens, range(end - len(tokens), end))
    return targets.batch(ids, mask, None)


class _Targets:
    """Which logits are needed, and what they predict, collected continuation by continuation."""

    def __init__(self) -> None:
        self.logit_positions: dict[int, int] = {}
        """Flat index of a token -> its place in this dict."""
        self.position_index: list[int] = []
        self.labels: list[int] = []
        self.continuation_id: list[int] = []
        self.continuations = 0

    def add(self, tokens: Sequence[int], predicted_at: Sequence[int]) -> None:
        """A continuation, and the flat index of the token that predicts each of its tokens."""
        for token, position in zip(tokens, predicted_at, strict=True):
            self.position_index.append(self.logit_positions.setdefault(position, len(self.logit_positions)))
            self.labels.append(token)
            self.continuation_id.append(self.continuations)
        self.continuations += 1

    def batch(self, ids: Tensor, mask: Tensor | None, packed: Packed | None) -> Batch:
        """All of it as tensors."""
        columns = (list(self.logit_positions), self.position_index, self.labels, self.continuation_id)
        positions, index, labels, owners = (torch.tensor(column, device=ids.device) for column in columns)
        return Batch(ids, mask, packed, positions, index, labels, owners, self.continuations)


def pad_left(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids [B, T] and their mask [B, T], every row at the right end."""
    width = max(map(len, rows))
    return (
        torch.tensor([[pad] * (width - len(row)) + list(row) for row in rows], device=device),
        torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device),
    )
