"""Activations of the frozen layers below an adapter, computed once for each training sequence and kept for later passes over the data.

Below the lowest adapted layer l nothing is trained and nothing of the adapter is seen, and trees of a pass do not see each other. What
layer l - 1 gives for a sequence, hidden states [T, D], is therefore always the same:

    first visit    embeddings -> layers 0 .. l - 1 -> kept -> layers l .. L - 1 -> head
    later                                             kept -> layers l .. L - 1 -> head

No architecture is named. The model's own forward pass runs, with its masks and positions, but layers that are skipped hand on what they
receive, and the last of them returns what was kept. A probe tries that once, as a prefix is tried (polyprefix.prefix.hook).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.engine import batch as tensors
from polyprefix.engine.flop_counter import decoder_layers
from polyprefix.engine.memory import free_bytes
from polyprefix.engine.processes import processes
from polyprefix.errors import ConfigError
from polyprefix.prefix import TokenTree
from polyprefix.prefix.probe import normalized_rmse, probe_ids

SHARE = 0.25
"""Of the free memory at most, for what is kept; a pass takes half of it (polyprefix.engine.memory)."""
LEAST_BELOW = 0.25
"""Of the layers at least must lie below; fewer save less than their memory is worth."""
SAME = 0.01
"""Two passes over the same tokens differ by less, in standard deviations; dropout moves hidden states by tenths."""


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
        self.layers: list[nn.Module] = list(decoder_layers(model.model)[:lowest])
        self.trees = trees
        self.place = place
        """Where hidden states are kept."""
        self.groups: list[list[int]] = []
        """Numbers of trees that crossed the layers together. Rounding depends on that: after an interruption they do so again."""
        self._group: dict[int, int] = {}
        self._states: dict[int, Tensor] = {}
        """Index of the sequence -> [T, D]."""
        with torch.no_grad(), self._listening(stop=False) as outputs:
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
        with self._handing_out([*self._apart, states]):
            yield

    def works(self) -> bool:
        """Whether these layers are frozen and use no random numbers, and the model's logits stay its own without them."""
        ids, prefix = probe_ids(self.adapted.model), self.adapted.compute_prefix()
        was_training = self.adapted.training
        try:
            self.adapted.train()  # autograd itself says whether anything below is trained, and dropout would show
            first, again = (self._output(ids, prefix=prefix) for _ in range(2))
            if not isinstance(first, Tensor) or first.shape[:2] != ids.shape or first.requires_grad:
                return False
            self.adapted.eval()
            with torch.no_grad():
                whole = self.adapted(ids, prefix=prefix).logits
                self.adapted(
                    ids.flip(1), prefix=prefix
                )  # whatever else lower layers leave behind is now another sequence's
                with self._handing_out([first]):
                    short = self.adapted(ids, prefix=prefix).logits
            return max(normalized_rmse(first, again), normalized_rmse(whole, short)) < SAME
        except (RuntimeError, TypeError, ValueError, AttributeError):  # its layers are called in a way of their own
            return False
        finally:
            self.adapted.hook.set(None)
            self.adapted.train(was_training)

    @torch.no_grad()
    def _cross(self, rows: Sequence[int]) -> None:
        trees = [self.trees[row] for row in rows]
        inputs = tensors.batch(trees, self.adapted)
        mask = inputs.attention_mask
        states = self._output(
            inputs.input_ids, mask, packed=inputs.packed, prefix=self._prefix if self._shared else None
        )
        kept = (states[0] if mask is None else states[mask.bool()]).to(self.place)
        self._states.update(zip(rows, kept.split([tree.size for tree in trees]), strict=True))

    def _output(self, *args: Any, **kwargs: Any) -> Any:
        """What the last of the layers gives in a forward pass that ends there, [B, T, D]."""
        with self._listening(stop=True) as outputs:
            self.adapted(*args, **kwargs)
        return outputs[0]

    @contextmanager
    def _listening(self, *, stop: bool) -> Iterator[list[Any]]:
        """What the last of the layers gives inside the block, call by call; the first output ends the block if `stop`."""
        found: list[Any] = []

        def keep(module: nn.Module, args: Any, output: Any) -> None:
            found.append(output)
            if stop:
                raise _EnoughError

        handle = self.layers[-1].register_forward_hook(keep)
        try:
            with suppress(_EnoughError):
                yield found
        finally:
            handle.remove()

    @contextmanager
    def _handing_out(self, states: Iterable[Tensor]) -> Iterator[None]:
        """The next forward passes of the model go on with these states [B, T, D] in turn, in place of what the layers give."""
        waiting = iter(states)
        own = [vars(layer).get("forward") for layer in self.layers]  # of a layer whose forward is wrapped by others
        for layer in self.layers:
            layer.forward = _hand_on
        self.layers[-1].forward = lambda *args, **kwargs: next(waiting)
        try:
            yield
        finally:
            for layer, forward in zip(self.layers, own, strict=True):
                del layer.forward
                if forward is not None:
                    layer.forward = forward


class _EnoughError(Exception):
    """What was asked of a forward pass is there; the rest of it is not needed."""


def _hand_on(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return hidden_states


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
        with torch.random.fork_rng(
            [model.device] if model.device.type == "cuda" else []
        ):  # dropout above stays as it is
            lower = ActivationCache(model, lowest, trees, common_prefix, in_row, place or torch.device("cpu"))
            works = lower.works()
        if works:
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
