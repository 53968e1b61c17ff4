"""The layers of a model below the lowest adapted one: what they give can be kept, and a later pass over the same tokens skips them.

Below the lowest adapted layer l nothing is trained and nothing of the adapter is seen, so that layer l - 1 gives the same hidden states
[T, D] for the same tokens, whatever the adapter holds:

    recorded    embeddings -> layers 0 .. l - 1 -> kept -> layers l .. L - 1 -> head
    skipped                                        kept -> layers l .. L - 1 -> head

No architecture is named. The model's own forward pass runs, with its masks and positions, but layers that are skipped hand on what they
receive, and the last of them returns what was kept. A probe tries that once, as a prefix is tried (polyprefix.prefix.hook).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import torch
from torch import Tensor, nn

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.engine.flop_counter import decoder_layers
from polyprefix.prefix.probe import normalized_rmse, probe_ids

SAME = 0.01
"""Two passes over the same tokens differ by less, in standard deviations; dropout moves hidden states by tenths."""


class SkippableLayers:
    """The first layers of an adapted model.

    Args:
        count: l of them, at least one and not all.
    """

    def __init__(self, model: AdaptedModel, count: int) -> None:
        self.adapted = model
        self.layers: list[nn.Module] = list(decoder_layers(model.model)[:count])

    def output(self, *args: Any, **kwargs: Any) -> Any:
        """What the last of them gives in a forward pass of the model that ends there, [B, T, D]."""
        with self.recorded(stop=True) as outputs:
            self.adapted(*args, **kwargs)
        return outputs[0]

    @contextmanager
    def recorded(self, *, stop: bool = False) -> Iterator[list[Any]]:
        """What the last of them gives inside the block, call by call; the first output ends the block if `stop`."""
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
    def skipped(self, states: Iterable[Tensor]) -> Iterator[None]:
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

    def can_be_skipped(self) -> bool:
        """Whether they are frozen and use no random numbers, and the model's logits stay its own without them."""
        was_training, device = self.adapted.training, self.adapted.device
        try:
            with torch.random.fork_rng([device] if device.type == "cuda" else []):  # dropout above stays as it is
                return self._can_be_skipped()
        except (RuntimeError, TypeError, ValueError, AttributeError):  # its layers are called in a way of their own
            return False
        finally:
            self.adapted.hook.set(None)
            self.adapted.train(was_training)

    def _can_be_skipped(self) -> bool:
        ids, prefix = probe_ids(self.adapted.model), self.adapted.compute_prefix()
        self.adapted.train()  # autograd itself says whether anything below is trained, and dropout would show
        first, again = (self.output(ids, prefix=prefix) for _ in range(2))
        if not isinstance(first, Tensor) or first.shape[:2] != ids.shape or first.requires_grad:
            return False
        self.adapted.eval()
        with torch.no_grad():
            whole = self.adapted(ids, prefix=prefix).logits
            self.adapted(
                ids.flip(1), prefix=prefix
            )  # whatever else lower layers leave behind is now another sequence's
            with self.skipped([first]):
                short = self.adapted(ids, prefix=prefix).logits
        return max(normalized_rmse(first, again), normalized_rmse(whole, short)) < SAME


class _EnoughError(Exception):
    """What was asked of a forward pass is there; the rest of it is not needed."""


def _hand_on(hidden_states: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    return hidden_states
