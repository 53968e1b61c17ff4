"""Texts of different length in one row, without padding: [1, N] for everything that works token by token, rows only inside attention.

The products of a layer - nearly all of its work - see N tokens and not one more. For attention alone the row is laid out as [R, W], W the
longest text, shorter texts sharing a row; each token sees what its own text allows and nothing else. A text may be a tree: a trunk and
branches that continue it, each blind to the others, such as a passage, its questions, and their possible answers. What branches have in
common is then computed once.

What all texts begin with may stand at the head of the row, once: every text sees it, and goes on where it ends.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Tree(NamedTuple):
    """A text by its lengths."""

    tokens: int
    """Of the trunk."""
    branches: Sequence[Tree] = ()
    """What continues it."""

    @property
    def size(self) -> int:
        """Tokens of the trunk and all branches."""
        return self.tokens + sum(branch.size for branch in self.branches)

    def pairs(self, before: int = 0) -> int:
        """Pairs of a token and a token that it sees, itself too.

        Args:
            before: tokens that stand before the trunk and are seen by all.
        """
        own = self.tokens * before + self.tokens * (self.tokens + 1) // 2
        return own + sum(branch.pairs(before + self.tokens) for branch in self.branches)


@dataclass(frozen=True, slots=True)
class Packed:
    """Which token of a row of N continues which, and where it stands while attention is computed."""

    position: Tensor
    """[N], in its own text, from 0; branches go on where the trunk ends."""
    node: Tensor
    """[N], the number of its trunk or branch: each before those that continue it, these before the next one."""
    last: Tensor
    """[N], the highest number among those that continue it."""
    index: Tensor
    """[R, W], the token at each place of attention's rows; 0 where there is none."""
    real: Tensor
    """[R, W], whether there is one."""
    place: Tensor
    """[N], the place of each token, counted through [R, W]."""
    shared: int = 0
    """S, the tokens at the head of the row that every text begins with."""
    lengths: tuple[int, ...] = ()
    """Tokens of each sequence, from its first token to the last of a branch that nothing continues."""

    @classmethod
    def of(cls, trees: Sequence[Tree], device: torch.device, shared: int = 0) -> Packed:
        """The layout of texts that stand in a row in this order, each trunk before its branches, all of them after `shared` tokens."""
        position: list[int] = []
        node: list[int] = []
        ends: list[int] = []
        lengths: list[int] = []

        def lay(tree: Tree, start: int) -> None:
            number = len(ends)
            ends.append(number)
            position.extend(range(start, start + tree.tokens))
            node.extend([number] * tree.tokens)
            for branch in tree.branches:
                lay(branch, start + tree.tokens)
            if not tree.branches:
                lengths.append(start + tree.tokens)
            ends[number] = len(ends) - 1

        lay(Tree(shared, trees), 0)
        sizes = [*([shared] if shared else []), *(tree.size for tree in trees)]
        rows, width = rows_of(sizes), max(sizes)
        index = torch.zeros(len(rows), width, dtype=torch.long)
        real = torch.zeros(len(rows), width, dtype=torch.bool)
        starts = torch.tensor([0, *sizes]).cumsum(0).tolist()
        for r, row in enumerate(rows):
            tokens = torch.cat([torch.arange(starts[n], starts[n + 1]) for n in row])
            index[r, : len(tokens)], real[r, : len(tokens)] = tokens, True
        place = torch.empty(starts[-1], dtype=torch.long)
        place[index[real]] = real.flatten().nonzero()[:, 0]
        columns = (position, node, [ends[number] for number in node])
        positions, nodes, last = (torch.tensor(values, device=device) for values in columns)
        layout = index.to(device), real.to(device), place.to(device)
        return cls(positions, nodes, last, *layout, shared, tuple(lengths))

    def spread(self, states: Tensor) -> Tensor:
        """Queries, keys or values [1, H, N, K] in attention's rows, [R, H, W, K]."""
        rows = _Move.apply(states[0].transpose(0, 1), self.index.flatten(), self.place, None)
        return rows.view(*self.index.shape, *rows.shape[1:]).transpose(1, 2)

    def ahead(self, states: Tensor) -> Tensor:
        """Keys or values of what all texts begin with, in front of each of attention's rows, [R, H, S, K], without a copy."""
        return states[:, :, : self.shared].expand(len(self.index), -1, -1, -1)

    def gather(self, out: Tensor) -> Tensor:
        """What attention gave, [R, W, H, K], back in the row, [1, N, H, K]."""
        return _Move.apply(out.flatten(0, 1), self.place, self.index.flatten(), self.real.flatten())[None]

    def visible(self, mask_mod: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """A mask function over attention's rows, [R, W] to [R, S + W].

        It allows what the layer's own `mask_mod` allows by position, within a text and its branch.

        The first S columns are what all texts begin with; its own tokens see themselves there, too. A place without a
        token sees itself, for a softmax over nothing is no number; nobody else sees it.
        """
        columns, there = self.index, self.real
        if self.shared:
            head = torch.arange(self.shared, device=columns.device).expand(len(columns), -1)
            columns = torch.cat([head, columns], 1)
            there = torch.cat([torch.ones_like(head, dtype=torch.bool), there & (self.index >= self.shared)], 1)

        def mask(b: Tensor, h: Tensor, q: Tensor, kv: Tensor) -> Tensor:
            asks, seen = self.index[b, q], columns[b, kv]
            together = (self.node[seen] <= self.node[asks]) & (self.node[asks] <= self.last[seen])
            allowed = mask_mod(b * 0, h, self.position[asks], self.position[seen])
            itself = (kv == q + self.shared) & ~self.real[b, q]
            return itself | (self.real[b, q] & there[b, kv] & together & allowed)

        return mask


class _Move(torch.autograd.Function):
    """Tokens by index. The way back is the other index and not a sum: each token is taken once, and what fills a gap has no gradient."""

    @staticmethod
    def forward(ctx: Any, states: Tensor, there: Tensor, back: Tensor, holds: Tensor | None) -> Tensor:
        ctx.save_for_backward(back, holds)
        return states.index_select(0, there)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        back, holds = ctx.saved_tensors
        moved = gradient.index_select(0, back)
        return (moved if holds is None else moved * holds.view(-1, *[1] * (moved.ndim - 1))), None, None, None


def rows_of(sizes: Sequence[int]) -> list[list[int]]:
    """Texts in rows as long as the longest, longest first, each into the first row with room.

    >>> rows_of([5, 2, 9, 4])
    [[2], [0, 3], [1]]
    """
    width = max(sizes)
    rows: list[list[int]] = []
    room: list[int] = []
    for n in sorted(range(len(sizes)), key=lambda n: (-sizes[n], n)):
        row = next((r for r, free in enumerate(room) if free >= sizes[n]), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(width)
        rows[row].append(n)
        room[row] -= sizes[n]
    return rows


_CURRENT: ContextVar[Packed | None] = ContextVar("packed", default=None)


@contextmanager
def packing(packed: Packed | None) -> Iterator[None]:
    """Masks that are made inside the block are those of this layout."""
    token = _CURRENT.set(packed)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def packed_mask(make: Callable[..., Any]) -> Callable[..., Any]:
    """transformers' way to make a mask, for attention's rows where a layout is current."""

    def mask(*args: Any, **kwargs: Any) -> Any:
        packed = _CURRENT.get()
        if packed is None:
            return make(*args, **kwargs)
        rows, width = packed.index.shape
        seen = packed.shared + width
        given = {"batch_size": rows, "q_length": width, "kv_length": seen, "q_offset": 0, "kv_offset": 0}
        mask_mod = packed.visible(kwargs["mask_function"])
        return make(
            **{**kwargs, **given, "mask_function": mask_mod, "attention_mask": None, "allow_is_causal_skip": False}
        )

    return mask
