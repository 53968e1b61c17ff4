"""Logits and gradients of every method equal those of its formula, written out in plain loops.

The reference knows nothing of polyprefix: it is an attention function of its own, registered with transformers, that
goes through batch and heads one by one with the softmax written out; keys are projected, normed and rotated here by
hand. Float32, to 1e-5 of the largest value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.testing.tiny import tiny_base, tiny_model, tokens

P, T = 3, 12  # the text is longer than the sliding window of 8
KINDS = ("llama-gqa-tied", "gemma3", "qwen2", "qwen3")
"""Grouped keys; one rotary base a layer type, key norms and windows; biases; norms of another form."""


@dataclass
class Before:
    """What the reference puts before the text in one layer: keys and values [G, P, K]."""

    keys: Tensor | None = None
    values: Tensor | None = None
    gate: Tensor | None = None
    """[H] or [1]: a softmax of its own, times the gate; None: one softmax with the text."""
    record: bool = False
    """Keep the keys and values of the text instead."""


def softmax(scores: Tensor) -> Tensor:
    exponents = torch.exp(scores - scores.max(-1, keepdim=True).values)
    return exponents / exponents.sum(-1, keepdim=True)


def reference_attention(
    module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any, scaling: float, **kwargs: Any
) -> tuple[Tensor, None]:
    """query [B, H, T, K], key and value [B, G, T, K]; causal, within the layer's window; no padding."""
    before: Before = module.before
    if before.record:
        before.keys, before.values = key[0], value[0]
    batch, heads, length, _ = query.shape
    shared = heads // key.shape[1]
    window = kwargs.get("sliding_window") or length
    hidden = torch.tensor([[s > t or t - s >= window for s in range(length)] for t in range(length)])
    out = torch.zeros(batch, length, heads, value.shape[-1])
    for b in range(batch):
        for h in range(heads):
            q, k, v = query[b, h], key[b, h // shared], value[b, h // shared]
            scores = (q @ k.T * scaling).masked_fill(hidden, -math.inf)
            if before.keys is None or before.record:
                out[b, :, h] = softmax(scores) @ v
                continue
            k_before, v_before = before.keys[h // shared], before.values[h // shared]
            scores_before = q @ k_before.T * scaling
            if before.gate is None:
                weights = softmax(torch.cat([scores_before, scores], -1))
                out[b, :, h] = weights[:, : len(v_before)] @ v_before + weights[:, len(v_before) :] @ v
            else:
                gate = before.gate[h if len(before.gate) > 1 else 0]
                out[b, :, h] = softmax(scores) @ v + gate * (softmax(scores_before) @ v_before)
    return out, None


ALL_ATTENTION_FUNCTIONS.register("reference", reference_attention)
ALL_MASK_ATTENTION_FUNCTIONS.register("reference", lambda *args, **kwargs: None)


def plain_model(kind: str) -> Any:
    """The unmodified base under the reference attention, with nothing before the text."""
    model = tiny_model(kind)
    model.set_attn_implementation("reference")
    for layer in model.model.layers:
        layer.self_attn.before = Before()
    return model


def normed(norm: nn.Module | None, states: Tensor, kind: str) -> Tensor:
    if norm is None:
        return states
    scale = 1 + norm.weight if kind == "gemma3" else norm.weight
    return states / torch.sqrt(states.pow(2).mean(-1, keepdim=True) + 1e-6) * scale


def rotated(keys: Tensor, positions: list[int], theta: float) -> Tensor:
    """[G, P, K]: dimensions i and i + K/2 turn together by position * theta^(-2i/K)."""
    half = keys.shape[-1] // 2
    rows = []
    for p, position in enumerate(positions):
        angles = torch.tensor([position * theta ** (-i / half) for i in range(half)])
        first, second = keys[:, p, :half], keys[:, p, half:]
        rows.append(
            torch.cat([first * angles.cos() - second * angles.sin(), second * angles.cos() + first * angles.sin()], -1)
        )
    return torch.stack(rows, 1)


def projected(model: Any, kind: str, layer: int, states: Tensor, *, rotate: bool) -> Before:
    """Keys and values that one layer's frozen projections make of [P, D]."""
    attention = model.model.layers[layer].self_attn
    size = attention.head_dim

    def heads(linear: nn.Linear) -> Tensor:
        flat = states @ linear.weight.T + (linear.bias if linear.bias is not None else 0)
        return torch.stack([flat[:, g * size : (g + 1) * size] for g in range(flat.shape[1] // size)])

    keys = normed(getattr(attention, "k_norm", None), heads(attention.k_proj), kind)
    if rotate:
        rope = model.config.rope_parameters
        rope = rope.get(getattr(attention, "layer_type", None), rope)  # Gemma 3 has one base for each type of layer
        keys = rotated(keys, list(range(-len(states), 0)), rope["rope_theta"])
    return Before(keys, heads(attention.v_proj))


def raw(model: Any, kind: str, w: dict[str, Tensor], adapter: nn.Module) -> dict[int, Before]:
    layers = [name.split(".")[1] for name in w if name.startswith("keys.")]
    return {int(i): Before(w[f"keys.{i}"][0], w[f"values.{i}"][0]) for i in layers}


def through_projections(model: Any, kind: str, w: dict[str, Tensor], adapter: nn.Module) -> dict[int, Before]:
    return {int(n.split(".")[1]): projected(model, kind, int(n.split(".")[1]), s[0], rotate=True) for n, s in w.items()}


def encoded(w: dict[str, Tensor]) -> Tensor:
    """What an MLP adds to where tokens start."""
    inner = w["encoder.table"] @ w["encoder.inner.weight"].T + w["encoder.inner.bias"]
    return torch.tanh(inner) @ w["encoder.outer.weight"].T + w["encoder.outer.bias"]


def mlp(model: Any, kind: str, w: dict[str, Tensor], adapter: nn.Module) -> dict[int, Before]:
    """Outputs are ordered by layer, keys before values, group, and place within the head."""
    moved, start = encoded(w), adapter.encoder.start
    result: dict[int, Before] = {}
    for layer, (groups, size, _) in enumerate(adapter.shapes):
        both = []
        for kv in range(2):
            at = [((layer * 2 + kv) * groups + g) * size for g in range(groups)]
            both.append(torch.stack([start[:, a : a + size] + moved[:, a : a + size] for a in at]))
        result[layer] = Before(*both)
    return result


def gated(model: Any, kind: str, w: dict[str, Tensor], adapter: nn.Module) -> dict[int, Before]:
    result = {}
    for layer in [int(name.split(".")[1]) for name in w if name.startswith("prompts.")]:
        before = projected(model, kind, layer, w[f"prompts.{layer}"][0], rotate=False)
        if f"gates.{layer}" not in w:
            result[layer] = Before(before.keys, before.values, torch.ones(1))
            continue
        gate = w[f"gates.{layer}"]
        result[layer] = Before(before.keys, before.values, torch.tanh(gate) if adapter.tanh else gate)
    return result


def prompt_read_alone(model: Any, kind: str, w: dict[str, Tensor], adapter: nn.Module) -> dict[int, Before]:
    """The keys and values that the model makes of the prompt alone, at positions -P..-1."""
    for layer in model.model.layers:
        layer.self_attn.before = Before(record=True)
    model(inputs_embeds=w["table"], position_ids=torch.arange(-w["table"].shape[1], 0)[None], use_cache=False)
    read = {i: layer.self_attn.before for i, layer in enumerate(model.model.layers)}
    return {i: Before(before.keys, before.values) for i, before in read.items()}


def encoded_prompt(model: Any, kind: str, w: dict[str, Tensor], adapter: nn.Module) -> dict[int, Before]:
    """Rows of the encoder first, then the free ones."""
    rows = adapter.encoder.start + encoded(w)
    table = torch.cat([rows, w["free"][0]]) if "free" in w else rows
    return prompt_read_alone(model, kind, {"table": table[None]}, adapter)


Formula = Callable[[Any, str, dict[str, Tensor], nn.Module], dict[int, Before]]
CASES: dict[str, tuple[dict[str, Any], Formula]] = {
    "raw": ({"name": "prefix", "length": P}, raw),
    "raw, some layers": ({"name": "prefix", "length": P, "layers": "0,2"}, raw),
    "projected": ({"name": "prefix", "length": P, "parametrization": "projected"}, through_projections),
    "mlp": ({"name": "prefix", "length": P, "parametrization": "mlp", "hidden": 6}, mlp),
    "soft prompt": ({"name": "soft-prompt", "length": P}, prompt_read_alone),
    "cross-prompt encoder": ({"name": "soft-prompt", "length": P, "encoded": 1, "encoder_hidden": 6}, encoded_prompt),
    "dual soft prompt": ({"name": "soft-prompt", "length": P, "encoded": 0.6, "encoder_hidden": 6}, encoded_prompt),
    "gate a head, tanh": ({"name": "llama-adapter", "length": P, "layers": "all"}, gated),
    "gate a head": ({"name": "llama-adapter", "length": P, "variant": "original-inference"}, gated),
    "no gate": ({"name": "llama-adapter", "length": P, "gate": "none", "layers": "1-"}, gated),
    "gate a layer": ({"name": "llama-adapter", "length": P, "variant": "peft", "layers": "1-"}, gated),
}


def moved(settings: dict[str, Any], kind: str) -> tuple[AdaptedModel, dict[str, Tensor]]:
    """A model whose adapter is off its initial values, and copies of its parameters for the reference."""
    model = attach(tiny_base(kind), registry.build(settings), seed=1)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for _, p in model.trainable():
            p += 0.1 * torch.randn(p.shape, generator=generator)
    return model, {name: p.detach().clone().requires_grad_() for name, p in model.trainable()}


def assert_equal(model: AdaptedModel, found: Tensor, weights: dict[str, Tensor], wanted: Tensor) -> None:
    """The same logits, and the same gradients of a random combination of them."""
    close(found, wanted)
    direction = torch.randn(found.shape, generator=torch.Generator().manual_seed(3))
    (found * direction).sum().backward()
    (wanted * direction).sum().backward()
    assert weights
    for name, parameter in model.trainable():
        close(parameter.grad, weights[name].grad)


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5 * max(1.0, b.abs().max().item()))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("case", CASES)
def test_logits_and_gradients_equal_the_formula(case: str, kind: str) -> None:
    settings, formula = CASES[case]
    model, weights = moved(settings, kind)
    plain = plain_model(kind)
    before = formula(plain, kind, weights, model.adapter)
    for i, layer in enumerate(plain.model.layers):
        layer.self_attn.before = before.get(i, Before())
    ids = tokens(2, T)
    assert_equal(model, model(ids).logits, weights, plain(ids, use_cache=False).logits)


@pytest.mark.parametrize("kind", KINDS)
def test_a_soft_prompt_is_the_prompt_in_front_of_every_example(kind: str) -> None:
    """Through the unmodified model at positions -P..; within the window of 8, where such a prompt is in view."""
    model, weights = moved({"name": "soft-prompt", "length": P}, kind)
    plain, ids = tiny_model(kind), tokens(2, 8 - P)
    embeds = torch.cat([weights["table"].expand(2, -1, -1), plain.get_input_embeddings()(ids)], 1)
    wanted = plain(inputs_embeds=embeds, position_ids=torch.arange(-P, 8 - P)[None], use_cache=False).logits[:, P:]
    assert_equal(model, model(ids).logits, weights, wanted)


@pytest.mark.parametrize("kind", ("llama-gqa-tied", "gemma3", "phi3"))
@pytest.mark.parametrize("more", ({}, {"rslora": True}, {"targets": "all-linear"}, {"dora": True}), ids=str)
def test_lora_is_the_sum_of_the_weight_and_a_product(kind: str, more: dict[str, Any]) -> None:
    """W + (alpha / r) B A, rank-stabilised alpha / sqrt(r); DoRA: m (W + ...) / |W + ...|, the norm a constant."""
    model, weights = moved({"name": "lora", "rank": 4, "alpha": 6, **more}, kind)
    plain = tiny_model(kind)
    scale = 6 / (math.sqrt(4) if more.get("rslora") else 4)
    changed = {}
    for name, down in weights.items():
        if "lora_A" not in name:
            continue
        target = name.split(".lora_A")[0] + ".weight"
        weight = plain.get_parameter(target) + scale * weights[name.replace("lora_A", "lora_B")] @ down
        magnitude = next((m for n, m in weights.items() if n.startswith(f"{target[:-7]}.lora_magnitude")), None)
        if magnitude is not None:
            weight = magnitude[:, None] * weight / weight.detach().norm(dim=1, keepdim=True)
        changed[target] = weight
    ids = tokens(2, T)
    wanted = torch.func.functional_call(plain, changed, (ids,), {"use_cache": False}).logits
    assert_equal(model, model(ids).logits, weights, wanted)
