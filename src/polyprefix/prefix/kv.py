"""Keys and values before the text: the value that every prefix method produces.

Shapes, here and in all files that use them: B batch, T text tokens, P prompt length, D width, H query heads,
G key/value heads, K head size, L layers, V vocabulary. The batch dimension of a prefix is 1: it is computed once and broadcast.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class LayerKV:
    """Keys and values of one layer, both [1, G, P, K]; keys carry the rotary phase of their own positions."""

    keys: Tensor
    values: Tensor
    real: Tensor | None = None
    """[B, P] where each row has a prefix of its own (polyprefix.prefix.mixed), False on padding; both are [B, G, P, K] then."""

    @property
    def length(self) -> int:
        """P."""
        return self.keys.shape[2]

    def then(self, other: LayerKV) -> LayerKV:
        """These keys and values followed by the other's, [1, G, P + P', K]."""
        dtype = other.keys.dtype
        return LayerKV(
            torch.cat([self.keys.to(dtype), other.keys], 2), torch.cat([self.values.to(dtype), other.values], 2)
        )


@dataclass(frozen=True, slots=True)
class GatedKV:
    """Keys and values with a softmax of their own, whose output is scaled before it is added (Llama-Adapter)."""

    kv: LayerKV
    gate: Tensor
    """[1] for one gate a layer, or [H] for one a head; [B, H] where each row has a prefix of its own."""


@dataclass(frozen=True, slots=True)
class KVPrefix:
    """A prefix by layer index; a layer that is absent has none."""

    joined: Mapping[int, LayerKV] = field(default_factory=dict)
    """One softmax with the text."""
    gated: Mapping[int, GatedKV] = field(default_factory=dict)
    """A softmax of its own, times a gate."""

    def then(self, other: KVPrefix) -> KVPrefix:
        """This prefix followed by another in each layer's joint softmax; gated parts must not overlap."""
        joined = dict(self.joined)
        for layer, kv in other.joined.items():
            joined[layer] = joined[layer].then(kv) if layer in joined else kv
        return KVPrefix(joined, {**self.gated, **other.gated})

    def detached(self) -> KVPrefix:
        """The same values without their gradients."""
        return KVPrefix(
            {i: LayerKV(kv.keys.detach(), kv.values.detach()) for i, kv in self.joined.items()},
            {
                i: GatedKV(LayerKV(g.kv.keys.detach(), g.kv.values.detach()), g.gate.detach())
                for i, g in self.gated.items()
            },
        )
