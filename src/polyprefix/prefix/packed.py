"""Packed sequences: one row [1, N] without padding for every token-wise operation, padded rows only inside attention.

The matrix products of a layer, nearly all of its work, see N tokens and no padding. Attention alone sees the row as [R, W]: W is the longest
sequence, and shorter sequences share a row. Each token attends to the tokens of its own sequence. A sequence may be a tree: branches that
continue the same tokens and do not see each other, such as a passage, its questions and their choices.

The common prefix of all sequences is stored once, at the start of the row: in training
a product of its 19 rows by themselves would take a third as long as one of 700.

Memory. No mask is [N, N]: laid out as rows of W tokens it has N (W + S + P) values, S tokens of the common prefix and P virtual ones.

    sdpa (default)    one bias tensor for all layers of a pass, in the model's precision and aligned for the kernels; from booleans sdpa would
                      keep one in each layer for the backward pass, N (W + S + P) L values
    flex_attention    no bias: a block mask skips blocks, and their inside is computed from positions
    varlen            FlashAttention's is not used: it knows no prefix that all sequences attend to, and none runs on a CPU, to compare
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from polyprefix.prefix.token_tree import TokenTree


@dataclass(frozen=True, slots=True)
class Packed:
    """Which token of a row of N continues which, and where it stands while attention is computed."""

    position: Tensor
    """[N], in its own sequence, from 0."""
    node: Tensor
    """[N], the number of its tree node, depth first."""
    last: Tensor
    """[N], the highest node number among its node's descendants."""
    index: Tensor
    """[R, W], the token at each place of attention's rows; 0 on padding."""
    real: Tensor
    """[R, W], False on padding."""
    place: Tensor
    """[N], the flat index of each token in [R, W]."""
    common_prefix: int = 0
    """S, the length of the common prefix at the start of the row."""
    lengths: tuple[int, ...] = ()
    """Tokens of each root-to-leaf sequence, common prefix included."""
    owners: tuple[int, ...] = ()
    """[R], whose sequences each of attention's rows holds, where sequences have owners."""

    @classmethod
    def of(
        cls,
        trees: Sequence[TokenTree],
        device: torch.device,
        common_prefix: int = 0,
        owners: Sequence[int] = (),
        starts: Sequence[int] = (),
    ) -> Packed:
        """The layout of sequences in this order, each tree depth first, after a common prefix of so many tokens.

        Args:
            owners: of each tree, such as the number of its adapter; a row of attention then holds trees of one owner. Not with a common
                prefix.
            starts: position of the first token of each tree, where an owner's common prefix is part of its computed prefix; by default 0.
        """
        position: list[int] = []
        node: list[int] = []
        ends: list[int] = []
        lengths: list[int] = []

        def add(tokens: int, nodes: Sequence[TokenTree], start: int) -> None:
            number, end = len(ends), start + tokens
            ends.append(number)
            position.extend(range(start, end))
            node.extend([number] * tokens)
            for inner in nodes:
                add(len(inner.ids), inner.nodes, end)
            if not nodes:
                lengths.append(end)
            ends[number] = len(ends) - 1

        if starts:
            for start, tree in zip(starts, trees, strict=True):
                add(len(tree.ids), tree.nodes, start)
        else:
            add(common_prefix, trees, 0)
        sizes = [*([common_prefix] if common_prefix else []), *(tree.size for tree in trees)]
        rows, width = rows_of(sizes, owners), max(sizes)
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
        whose = tuple(owners[row[0]] for row in rows) if owners else ()
        return cls(positions, nodes, last, *layout, common_prefix, tuple(lengths), whose)

    def scatter_to_rows(self, states: Tensor) -> Tensor:
        """Queries, keys or values [1, H, N, K] as attention's rows, [R, H, W, K]."""
        rows = _Move.apply(states[0].transpose(0, 1), self.index.flatten(), self.place, None)
        return rows.view(*self.index.shape, *rows.shape[1:]).transpose(1, 2)

    def common(self, states: Tensor) -> Tensor:
        """Keys or values of the common prefix for each of attention's rows, [R, H, S, K], without a copy."""
        return states[:, :, : self.common_prefix].expand(len(self.index), -1, -1, -1)

    def gather_from_rows(self, out: Tensor) -> Tensor:
        """Attention output [R, W, H, K] as a packed row, [1, N, H, K]."""
        return _Move.apply(out.flatten(0, 1), self.place, self.index.flatten(), self.real.flatten())[None]

    def visible(self, mask_mod: Callable[..., Tensor]) -> Callable[..., Tensor]:
        """A mask_mod over attention's rows, [R, W] by [R, S + W].

        It allows what the layer's own `mask_mod` allows by position, among the tokens of one sequence. The first S columns are the common
        prefix. Padding sees itself alone, since a softmax over nothing is NaN.
        """
        columns, there = self.index, self.real
        if self.common_prefix:
            head = torch.arange(self.common_prefix, device=columns.device).expand(len(columns), -1)
            columns = torch.cat([head, columns], 1)
            there = torch.cat([torch.ones_like(head, dtype=torch.bool), there & (self.index >= self.common_prefix)], 1)

        def mask(b: Tensor, h: Tensor, q: Tensor, kv: Tensor) -> Tensor:
            asks, seen = self.index[b, q], columns[b, kv]
            together = (self.node[seen] <= self.node[asks]) & (self.node[asks] <= self.last[seen])
            allowed = mask_mod(b * 0, h, self.position[asks], self.position[seen])
            itself = (kv == q + self.common_prefix) & ~self.real[b, q]
            return itself | (self.real[b, q] & there[b, kv] & together & allowed)

        return mask


class _Move(torch.autograd.Function):
    """Gather tokens by index; the gradient gathers by the inverse index.

    index_select's own gradient is a scatter-add, which is slower. It is not needed: every token is taken once, and padding has no gradient.
    """

    @staticmethod
    def forward(ctx: Any, states: Tensor, there: Tensor, back: Tensor, holds: Tensor | None) -> Tensor:
        ctx.save_for_backward(back, holds)
        return states.index_select(0, there)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        back, holds = ctx.saved_tensors
        moved = gradient.index_select(0, back)
        return (moved if holds is None else moved * holds.view(-1, *[1] * (moved.ndim - 1))), None, None, None


def rows_of(sizes: Sequence[int], owners: Sequence[int] = ()) -> list[list[int]]:
    """Sequences packed into rows as long as the longest: longest first, each into the first row with room, and of its owner.

    >>> rows_of([5, 2, 9, 4]), rows_of([5, 2, 9, 4], [0, 1, 1, 1])
    ([[2], [0, 3], [1]], [[2], [0], [3, 1]])
    """
    width = max(sizes)
    rows: list[list[int]] = []
    room: list[int] = []
    for n in sorted(range(len(sizes)), key=lambda n: (-sizes[n], n)):
        alike = (r for r, held in enumerate(rows) if not owners or owners[held[0]] == owners[n])
        row = next((r for r in alike if room[r] >= sizes[n]), len(rows))
        if row == len(rows):
            rows.append([])
            room.append(width)
        rows[row].append(n)
        room[row] -= sizes[n]
    return rows


_CURRENT: ContextVar[Packed | None] = ContextVar("packed", default=None)


@contextmanager
def packing(packed: Packed | None) -> Iterator[None]:
    """Attention masks that are made inside the block are those of this layout."""
    token = _CURRENT.set(packed)
    try:
        yield
    finally:
        _CURRENT.reset(token)


def packed_mask(make: Callable[..., Any]) -> Callable[..., Any]:
    """A mask function of transformers that makes the mask of the current packed layout, where there is one."""

    def mask(*args: Any, **kwargs: Any) -> Any:
        packed = _CURRENT.get()
        if packed is None:
            return make(*args, **kwargs)
        rows, width = packed.index.shape
        seen = packed.common_prefix + width
        given = {"batch_size": rows, "q_length": width, "kv_length": seen, "q_offset": 0, "kv_offset": 0}
        mask_mod = packed.visible(kwargs["mask_function"])
        return make(
            **{**kwargs, **given, "mask_function": mask_mod, "attention_mask": None, "allow_is_causal_skip": False}
        )

    return mask
