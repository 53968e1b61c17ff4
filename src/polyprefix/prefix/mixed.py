"""Rows with prefixes of their own in one forward pass: several adapters of a base model, each row with the prefix of its adapter.

    joined   softmax(q_b [K_a(b), K_text]^T) [V_a(b), V_text]                a(b) the adapter of row b
    gated    ... + gate_a(b) * softmax(q_b K_a(b)^T) V_a(b)

Prefixes differ in length and in their layers. Shorter ones are padded, and padding is hidden, so that each row sees exactly the keys
that it would see alone. A softmax over nothing is no number, so that a row without a gated prefix gets one key of zeros, whose value is zero.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from polyprefix.prefix.kv import GatedKV, KVPrefix, LayerKV


@dataclass(frozen=True, slots=True)
class MixedPrefix:
    """The prefixes of A adapters, padded to one length a layer."""

    joined: Mapping[int, LayerKV]
    """Layer -> keys and values [A, G, P, K] with `real` [A, P]."""
    gated: Mapping[int, GatedKV]
    """Layer -> the same with gates [A, H]."""

    @classmethod
    def of(cls, prefixes: Sequence[KVPrefix], heads: Callable[[int], int]) -> MixedPrefix:
        """One value of several prefixes, in this order.

        Args:
            prefixes: of batch 1, each of the same base model; an empty one for an adapter without a prefix.
            heads: layer -> H.
        """
        joined = {layer: [prefix.joined.get(layer) for prefix in prefixes] for layer in _layers(prefixes, "joined")}
        gated = {layer: [prefix.gated.get(layer) for prefix in prefixes] for layer in _layers(prefixes, "gated")}
        return cls(
            {layer: _padded(parts, shortest=0) for layer, parts in joined.items()},
            {
                layer: GatedKV(_padded([g.kv if g else None for g in parts], shortest=1), _gates(parts, heads(layer)))
                for layer, parts in gated.items()
            },
        )

    def rows(self, owners: Sequence[int]) -> KVPrefix:
        """The prefix of each row, [B, G, P, K] a layer.

        Args:
            owners: [B], the adapter of each row, by its place.
        """
        if not self.joined and not self.gated:
            return KVPrefix()
        some = next(iter(self.joined.values()), None) or next(iter(self.gated.values())).kv
        index = torch.tensor(owners, device=some.keys.device)
        joined = {layer: _rows(kv, index) for layer, kv in self.joined.items()}
        return KVPrefix(
            {layer: kv for layer, kv in joined.items() if kv.length},
            {layer: replace(g, kv=_rows(g.kv, index), gate=g.gate[index]) for layer, g in self.gated.items()},
        )


def _layers(prefixes: Sequence[KVPrefix], kind: str) -> list[int]:
    return sorted({layer for prefix in prefixes for layer in getattr(prefix, kind)})


def _rows(kv: LayerKV, index: Tensor) -> LayerKV:
    """Of each row; columns that all of these rows pad are left out, and so is the mask where none is padded."""
    assert kv.real is not None
    real = kv.real[index]
    length = int(real.sum(1).max())
    keys, values, real = kv.keys[index, :, :length], kv.values[index, :, :length], real[:, :length]
    return LayerKV(keys, values, None if bool(real.all()) else real)


def _padded(parts: Sequence[LayerKV | None], shortest: int) -> LayerKV:
    """Prefixes of one layer side by side; one that is absent is all padding, or `shortest` keys of zeros that are seen."""
    there = next(part for part in parts if part is not None)
    length = max(part.length for part in parts if part is not None)
    keys = there.keys.new_zeros(len(parts), there.keys.shape[1], length, there.keys.shape[3])
    values = there.values.new_zeros(len(parts), there.values.shape[1], length, there.values.shape[3])
    real = torch.zeros(len(parts), length, dtype=torch.bool, device=keys.device)
    for a, part in enumerate(parts):
        own = shortest if part is None else part.length
        real[a, :own] = True
        if part is not None:
            keys[a, :, :own], values[a, :, :own] = part.keys[0], part.values[0]
    return LayerKV(keys, values, real)


def _gates(parts: Sequence[GatedKV | None], heads: int) -> Tensor:
    """[A, H], 0 for an adapter without a gated prefix."""
    there = next(part for part in parts if part is not None)
    none = there.gate.new_zeros(heads)
    return torch.stack([none if part is None else part.gate.expand(heads) for part in parts])
