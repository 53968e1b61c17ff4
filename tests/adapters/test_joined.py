"""Prefixes joined before one text: exactly one softmax over all keys, in any batch, saved as one; what has no meaning is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

import polyprefix as pp
from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.files import load_adapter, save_adapter
from polyprefix.errors import AdapterError, ModelError
from polyprefix.models.load import BaseModel
from polyprefix.prefix import KVPrefix, LayerKV
from polyprefix.testing.tiny import CONFIGS, tiny_base, tokens

PREFIX = {"name": "prefix", "length": 3}
KINDS: dict[str, dict[str, Any]] = {
    "raw": PREFIX,
    "projected": {**PREFIX, "parametrization": "projected"},
    "mlp": {**PREFIX, "parametrization": "mlp", "hidden": 6},
    "soft prompt": {"name": "soft-prompt", "length": 2},
    "dual": {"name": "soft-prompt", "length": 4, "encoded": 0.5, "encoder_hidden": 6},
}


def part(base: BaseModel, settings: dict[str, Any], seed: int) -> AdaptedModel:
    """An adapter that is off its initial values, as after training."""
    model = attach(base, registry.build(settings), seed=seed)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in model.trainable():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
    return model


def concatenated(parts: Sequence[AdaptedModel]) -> KVPrefix:
    """The keys and values of all parts side by side, layer by layer."""
    alone = [p.adapter.prefix(p.hook) for p in parts]
    return KVPrefix({
        i: LayerKV(torch.cat([a.joined[i].keys for a in alone if a], 2), torch.cat([a.joined[i].values for a in alone if a], 2))
        for i in range(parts[0].hook.layers)
    })  # fmt: skip


@torch.no_grad()
def logits(model: AdaptedModel, ids: Tensor, mask: Tensor | None = None) -> Tensor:
    return model(ids, mask).logits


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5 * max(1.0, b.abs().max().item()))


@pytest.mark.parametrize("second", KINDS)
@pytest.mark.parametrize("first", ["raw", "soft prompt"])
def test_joined_is_one_softmax_over_all_keys(first: str, second: str) -> None:
    base = tiny_base("gemma3")
    parts = [part(base, KINDS[first], 1), part(base, KINDS[second], 2)]
    whole = attach(base, parts)
    ids = tokens(2, 12)
    with torch.no_grad(), whole.hook.using(concatenated(parts)):
        wanted = base.model(ids, use_cache=False).logits
    close(logits(whole, ids), wanted)
    assert whole.method.length == sum(KINDS[name]["length"] for name in (first, second))  # type: ignore[attr-defined]
    assert not torch.allclose(wanted, logits(parts[0], ids)) and not torch.allclose(wanted, logits(parts[1], ids))


@pytest.mark.parametrize("kind", CONFIGS)
def test_each_text_alone_is_what_it_is_in_a_batch(kind: str) -> None:
    base = tiny_base(kind)
    whole = attach(base, [part(base, PREFIX, 1), part(base, KINDS["soft prompt"], 2)])
    ids, mask = tokens(3, 10), torch.ones(3, 10, dtype=torch.long)
    mask[1, :4] = mask[2, :7] = 0
    found = logits(whole, ids * mask, mask)
    for row, start in enumerate((0, 4, 7)):
        close(found[row, start:], logits(whole, ids[row : row + 1, start:])[0])


def test_the_order_of_parts_changes_nothing() -> None:
    base = tiny_base("llama-gqa-tied")
    parts = [part(base, PREFIX, 1), part(base, {**PREFIX, "length": 2}, 2), part(base, PREFIX, 3)]
    ids = tokens(2, 9)
    close(logits(attach(base, parts), ids), logits(attach(base, parts[::-1]), ids))


def test_parts_stay_as_they_are_and_the_whole_is_trained_alone() -> None:
    base = tiny_base("llama-gqa-tied")
    parts = [part(base, PREFIX, 1), part(base, PREFIX, 2)]
    ids = tokens(2, 9)
    before = [logits(p, ids) for p in parts]
    whole = attach(base, parts)
    whole(ids, labels=ids).loss.backward()
    assert all(parameter.grad is not None for _, parameter in whole.trainable())
    assert all(parameter.grad is None for p in parts for _, parameter in p.trainable())
    with torch.no_grad():
        for _, parameter in whole.trainable():
            parameter.zero_()
    assert all(torch.equal(logits(p, ids), wanted) for p, wanted in zip(parts, before, strict=True))


@pytest.mark.parametrize("layers", ["all", "top:2"])
def test_saved_and_loaded_as_one_prefix(layers: str, tmp_path: Path) -> None:
    base = tiny_base("qwen3")
    settings = {**PREFIX, "layers": layers}
    whole = pp.attach(
        base, [part(base, settings, 1), part(base, {**settings, "parametrization": "mlp", "hidden": 4}, 2)]
    )
    save_adapter(whole, tmp_path)
    ids = tokens(2, 9)
    assert torch.equal(logits(load_adapter(base, tmp_path), ids), logits(whole, ids))


def test_no_language_of_any_part_is_zero_shot_and_the_last_part_says_the_task() -> None:
    base = tiny_base("llama-gqa-tied")
    parts = [part(base, PREFIX, n) for n in range(3)]
    parts[0].learned = {"name": "news", "source_languages": ["hin_Deva"], "target_languages": [], "target_size": None}
    parts[1].learned = {
        "name": "names",
        "source_languages": ["eng_Latn"],
        "target_languages": ["swh_Latn", "hin_Deva"],
        "target_size": 8,
    }
    parts[2].learned = {"name": "terms", "shots": "x"}  # English
    assert attach(base, parts).learned == {
        "name": "terms", "shots": "x", "source_languages": ["hin_Deva", "eng_Latn"], "target_languages": ["swh_Latn"], "target_size": 8,
    }  # fmt: skip
    assert attach(base, [parts[2], parts[2]]).learned == {"name": "terms", "shots": "x"}


def test_what_has_no_meaning_is_refused_in_one_line() -> None:
    base = tiny_base("llama-gqa-tied")
    prefix = part(base, PREFIX, 1)
    with pytest.raises(AdapterError, match="1 adapters to join; give two or more"):
        attach(base, [prefix])
    with pytest.raises(AdapterError, match="'llama-adapter' has a softmax of its own"):
        attach(base, [prefix, part(base, {"name": "llama-adapter", "length": 3}, 2)])
    with pytest.raises(AdapterError, match="'none' makes no keys and values"):
        attach(base, [prefix, part(base, {"name": "none"}, 2)])
    with pytest.raises(
        AdapterError, match=r"'prefix' acts on layers 1, 2, 'prefix' on 0, 1, 2: .*join adapters of the same layers"
    ):
        attach(base, [prefix, part(base, {**PREFIX, "layers": "top:2"}, 2)])
    with pytest.raises(
        AdapterError, match="attached to another tiny-llama-gqa-tied; load all adapters onto one base model"
    ):
        attach(base, [prefix, part(tiny_base("llama-gqa-tied"), PREFIX, 2)])
    alone = tiny_base("llama-gqa-tied")
    with pytest.raises((AdapterError, ModelError), match="lora"):
        attach(alone, [part(alone, {"name": "lora", "rank": 2}, 1)] * 2)
