"""Activations of the frozen layers below an adapter, computed once for each training sequence and kept for later passes over the data.

Trees of a pass do not see each other, so that the hidden states of a sequence are the same whatever crosses the layers with it; rounding
aside, they are what engine.layer_skipping says:

    first visit    the sequence crosses layers 0 .. l - 1, and what comes out is kept
    later          its passes begin at layer l
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.engine import batch as tensors
from polyprefix.engine.layer_skipping import SkippableLayers
from polyprefix.engine.memory import free_bytes
from polyprefix.engine.processes import processes
from polyprefix.errors import ConfigError
from polyprefix.prefix import TokenTree

SHARE = 0.25
"""Of the free memory at most, for what is kept; a pass takes half of it (polyprefix.engine.memory)."""
LEAST_BELOW = 0.25
"""Of the layers at least must lie below; fewer save less than their memory is worth."""


class ActivationCache:
    """The layers below the lowest adapted one, and their output for each sequence. Use `activation_cache` to make one."""

    def __init__(
        self,
        model: AdaptedModel,
        lowest: int,
        trees: Sequence[TokenTree],
        common_prefix: Tensor,
        in_row: bool,
        place: torch.device,
    ) -> None:
        self.adapted = model
        self.layers = SkippableLayers(model, lowest)
        self.trees = trees
        self.place = place
        """Where hidden states are kept."""
        self.groups: list[list[int]] = []
        """Numbers of trees that crossed the layers together. Rounding depends on that: after an interruption they do so again."""
        self._group: dict[int, int] = {}
        self._states: dict[int, Tensor] = {}
        """Index of the sequence -> [T, D]."""
        with torch.no_grad(), self.layers.recorded() as outputs:
            longest = common_prefix.numel() + max((tree.size for tree in trees), default=0)
            self._prefix = model.compute_prefix(common_prefix, longest if model.hook.lengths.rope.switches else None)
        self._shared = common_prefix.numel() > 0
        shared = outputs[-1:] if common_prefix.numel() else []
        self._head, self._apart = ([states[0] for states in shared], []) if in_row else ([], shared)
        """Of the shared tokens, [S, D] or [1, S, D]; their keys and values in these layers never change either."""

    def load(self, groups: list[list[int]]) -> None:
        """Go on with the `groups` of an interrupted training."""
        self.groups = groups
        self._group = {row: number for number, rows in enumerate(groups) for row in rows}
        self._states.clear()

    def visit(self, rows: Sequence[int]) -> list[int]:
        """Let those of these trees that are not kept yet cross the layers; returns those that nobody had seen before."""
        absent = [row for row in dict.fromkeys(rows) if row not in self._states]
        for number in sorted({self._group[row] for row in absent if row in self._group}):
            self._cross(self.groups[number])
        if new := [row for row in absent if row not in self._group]:
            self._cross(new)
            self._group.update(dict.fromkeys(new, len(self.groups)))
            self.groups.append(new)
        return new

    @contextmanager
    def skipped(self, rows: Sequence[int], inputs: tensors.Batch) -> Iterator[None]:
        """One forward pass over these trees, with what they share in its row or before it, begins at layer l.

        Args:
            rows: visited before.
            inputs: the trees as tensors.
        """
        trees = torch.cat([self._states[row] for row in rows])
        kept = torch.cat([*self._head, trees.to(self.adapted.device)])
        if inputs.attention_mask is None:
            states = kept[None]
        else:
            states = kept.new_zeros(*inputs.input_ids.shape, kept.shape[-1])
            states[inputs.attention_mask.bool()] = kept
        with self.layers.skipped([*self._apart, states]):
            yield

    @torch.no_grad()
    def _cross(self, rows: Sequence[int]) -> None:
        trees = [self.trees[row] for row in rows]
        inputs = tensors.batch(trees, self.adapted)
        mask = inputs.attention_mask
        states = self.layers.output(
            inputs.input_ids, mask, packed=inputs.packed, prefix=self._prefix if self._shared else None
        )
        kept = (states[0] if mask is None else states[mask.bool()]).to(self.place)
        self._states.update(zip(rows, kept.split([tree.size for tree in trees]), strict=True))


def activation_cache(
    model: AdaptedModel,
    trees: Sequence[TokenTree],
    common_prefix: Tensor,
    *,
    in_row: bool,
    lowest: int,
    again: bool,
    wanted: bool | None,
) -> ActivationCache | None:
    """The layers below the lowest adapted one, where keeping what they give is possible and pays; else None.

    Hidden states stay on the model's device, or in main memory where that has no room for them: a pass of a few thousand tokens takes
    a few megabytes along, which is nothing beside the layers that they spare.

    Args:
        common_prefix: [S], tokens before each sequence.
        in_row: whether they stand at the head of each packed row of trees, or are read before each pass.
        lowest: l.
        again: whether trees are seen more than once.
        wanted: None asks whether it pays, in time and memory; True does not.

    Raises:
        ConfigError: if it is wanted and not possible.
    """
    pays = again and lowest >= LEAST_BELOW * model.hook.layers
    place = _place(model, sum(tree.size for tree in trees))
    if wanted is False or (wanted is None and not (pays and place)):
        return None
    if not 0 < lowest < model.hook.layers:
        reason = "the method adapts the model from its first layer on"
    elif processes().count > 1:
        reason = "several processes share the trees out anew in each step"
    else:
        lower = ActivationCache(model, lowest, trees, common_prefix, in_row, place or torch.device("cpu"))
        if lower.layers.can_be_skipped():
            return lower
        reason = f"the layers of {model.base.name} cannot be skipped"
    if wanted:
        raise ConfigError(f"train.cache_lower_layers is true, but {reason}; leave it out")
    return None


def _place(model: AdaptedModel, tokens: int) -> torch.device | None:
    """Where the hidden states of so many tokens take no more than their share; None where nowhere."""
    needed = tokens * model.hook.width * model.hook.dtype.itemsize
    for device in (model.device, torch.device("cpu")):
        free = free_bytes(device)
        if free is None or needed <= SHARE * free:
            return device
    return None
