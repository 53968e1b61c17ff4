"""Law: prefixes follow one another in the joint softmax, gated parts stay beside it, none is copied per example."""

from __future__ import annotations

import torch

from polyprefix.prefix import GatedKV, KVPrefix, LayerKV


def kv(length: int, fill: float, dtype: torch.dtype = torch.float32) -> LayerKV:
    return LayerKV(torch.full((1, 2, length, 4), fill, dtype=dtype), torch.full((1, 2, length, 4), -fill, dtype=dtype))


def test_one_after_the_other() -> None:
    both = kv(2, 1.0).then(kv(3, 2.0))
    assert both.length == 5
    assert both.keys[0, 0, :, 0].tolist() == [1, 1, 2, 2, 2]
    assert both.values[0, 1, :, 3].tolist() == [-1, -1, -2, -2, -2]


def test_the_precision_is_that_of_what_the_model_made() -> None:
    """A learned prefix is float32; shared tokens that follow it come from the model."""
    assert kv(2, 1.0).then(kv(3, 2.0, torch.bfloat16)).keys.dtype == torch.bfloat16


def test_layers_without_a_prefix_take_the_others() -> None:
    gate = GatedKV(kv(2, 5.0), torch.ones(1))
    learned, shared = KVPrefix({1: kv(2, 1.0)}, {0: gate}), KVPrefix({0: kv(3, 2.0), 1: kv(3, 2.0)})
    both = learned.then(shared)
    assert {i: layer.length for i, layer in both.joined.items()} == {0: 3, 1: 5}
    assert both.gated == {0: gate}
    assert {i: layer.length for i, layer in learned.joined.items()} == {1: 2}, "what is followed stays as it was"


def test_detached_keeps_values_and_drops_gradients() -> None:
    leaf = torch.ones(1, 2, 2, 4, requires_grad=True)
    prefix = KVPrefix(
        {0: LayerKV(leaf * 2, leaf * 3)}, {1: GatedKV(LayerKV(leaf * 4, leaf), leaf.sum()[None])}
    ).detached()
    tensors = [*_tensors(prefix.joined[0]), *_tensors(prefix.gated[1].kv), prefix.gated[1].gate]
    assert not any(t.requires_grad for t in tensors)
    assert [t.flatten()[0].item() for t in tensors] == [2, 3, 4, 1, 16]


def _tensors(layer: LayerKV) -> tuple[torch.Tensor, torch.Tensor]:
    return layer.keys, layer.values
