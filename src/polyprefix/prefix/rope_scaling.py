"""Rotary embeddings whose phases depend on the length of the sequence: longrope, dynamic NTK scaling and whatever behaves like them.

    longrope    short factors up to the original context, long ones beyond it            arXiv 2402.13753
    dynamic     the base grows with every token beyond the original context              arXiv 2306.15595, appendix

transformers takes the length from the longest position of a forward pass, so that a short sequence beside a long one gets the long one's
phases, and dynamic scaling remembers the longest sequence of earlier passes. Here every pass says how long its sequences are. Sequences
whose phases agree are of one *regime*; one forward pass serves one regime.

Nothing is known about a rotary module but that it takes positions: it is given one position more, the last one of a sequence of the wanted
length, and what it makes of that position is dropped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

FREQUENCIES = "inv_freq"
"""Part of the name of a buffer that every rotary module of transformers has."""
FEW = 8
"""Positions at which phases are compared."""

Call = tuple[tuple[Any, ...], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class RotaryCall:
    """How a model calls one of its rotary modules."""

    module: nn.Module
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]

    def at(self, positions: Tensor) -> list[Tensor]:
        """The phases at some positions [1, T]."""
        args, kwargs = _with_positions((self.args, dict(self.kwargs)), positions)
        out = self.module.forward(*args, **kwargs)
        return [out] if isinstance(out, Tensor) else list(out)


class RotaryRegimes:
    """The lengths at which a model's rotary phases change, and the length that its rotary modules are given."""

    def __init__(self, calls: Sequence[RotaryCall], lengths: Sequence[int]) -> None:
        """Compare phases on both sides of each length.

        Args:
            calls: of every rotary module.
            lengths: at which phases may change, such as the original context.
        """
        self.length: int | None = None
        """Tokens of the longest sequence of the pass under way; None leaves the modules to themselves."""
        self.switches: tuple[int, ...] = ()
        """Sequences of up to so many tokens have other phases than longer ones."""
        self.continuous_from: int | None = None
        """Every length beyond it has phases of its own."""
        found = {length for call in calls for length in lengths if length > FEW and _differ(call, length, length + 1)}
        self.switches = tuple(sorted(found))
        continuous = [n for n in self.switches if any(_differ(call, n + 1, 2 * n) for call in calls)]
        self.continuous_from = min(continuous, default=None)
        self._hooks: list[RemovableHandle] = []
        for module in dict.fromkeys(call.module for call in calls) if self.switches else ():
            self._hooks.append(module.register_forward_pre_hook(self._lengthen, with_kwargs=True))
            self._hooks.append(module.register_forward_hook(self._shorten, with_kwargs=True))

    def remove(self) -> None:
        """Leave the modules to themselves."""
        for hook in self._hooks:
            hook.remove()

    def regime(self, length: int) -> int:
        """Equal for sequences of this many tokens whose phases are the same."""
        if self.continuous_from is not None and length > self.continuous_from:
            return length
        return sum(switch < length for switch in self.switches)

    @contextmanager
    def at(self, length: int | None) -> Iterator[None]:
        """Inside the block, phases are those of sequences of `length` tokens."""
        before, self.length = self.length, length
        try:
            yield
        finally:
            self.length = before

    def _lengthen(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Call | None:
        if self.length is None:
            return None
        positions = _positions((args, kwargs))
        last = positions.new_full((*positions.shape[:-1], 1), self.length - 1)
        if self.continuous_from is not None:  # it remembers the longest sequence until it sees a short one
            zero_args, zero_kwargs = _with_positions((args, kwargs), positions[..., :1] * 0)
            module.forward(*zero_args, **zero_kwargs)
        return _with_positions((args, kwargs), torch.cat([positions, last], -1))

    def _shorten(self, module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> Any:
        if self.length is None:
            return None
        tokens = _positions((args, kwargs)).shape[-1] - 1
        if isinstance(out, Tensor):
            return out.narrow(-2, 0, tokens)
        return type(out)(part.narrow(-2, 0, tokens) for part in out)


@contextmanager
def rotary_calls(model: nn.Module) -> Iterator[list[RotaryCall]]:
    """The calls of rotary modules inside the block, each kind of call once."""
    calls: dict[tuple[int, str], RotaryCall] = {}

    def remember(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        if _positions((args, kwargs), default=None) is not None:
            kind = str([a for a in (*args, *kwargs.values()) if isinstance(a, str)])  # a layer type
            calls[id(module), kind] = RotaryCall(module, args, kwargs)

    found: list[RotaryCall] = []
    rotary = [m for m in model.modules() if any(FREQUENCIES in name for name, _ in m.named_buffers(recurse=False))]
    handles = [module.register_forward_pre_hook(remember, with_kwargs=True) for module in rotary]
    try:
        yield found
    finally:
        for handle in handles:
            handle.remove()
        found.extend(calls.values())


@torch.no_grad()
def _differ(call: RotaryCall, shorter: int, longer: int) -> bool:
    """Whether the phases at the first positions are not the same in sequences of two lengths."""
    device = _positions((call.args, dict(call.kwargs))).device

    def phases(length: int) -> list[Tensor]:
        call.at(torch.zeros(1, 1, dtype=torch.long, device=device))  # forget longer ones
        positions = torch.tensor([[*range(FEW), length - 1]], device=device)
        return [part.narrow(-2, 0, FEW).clone() for part in call.at(positions)]

    try:
        differ = any(not torch.equal(a, b) for a, b in zip(phases(shorter), phases(longer), strict=True))
        call.at(torch.zeros(1, 1, dtype=torch.long, device=device))
    except (
        RuntimeError,
        TypeError,
        ValueError,
        IndexError,
    ):  # not called alike elsewhere; the comparison of logits will tell
        return False
    return differ


def _positions(call: Call, default: Any = ...) -> Any:
    """The position ids of a call: its tensor of whole numbers."""
    args, kwargs = call
    values = [*args, *kwargs.values()]
    found = [v for v in values if isinstance(v, Tensor) and not v.is_floating_point() and v.ndim >= 1]
    if not found and default is ...:
        raise TypeError("a rotary module was called without positions")
    return found[0] if found else default


def _with_positions(call: Call, positions: Tensor) -> Call:
    args, kwargs = call
    old = _positions(call)
    new = positions if old.ndim == positions.ndim else positions.expand(*old.shape[:-1], -1)
    return tuple(new if a is old else a for a in args), {k: new if v is old else v for k, v in kwargs.items()}
