"""Llama-Adapter <-> PEFT's ADAPTION_PROMPT: in the top N layers a prompt [1, P, D] and one plain gate [1].

PEFT computes W_o(softmax(q (W_k E)^T) W_v E) times the gate beside attention, with rotated queries and plain keys: the
formula here, with tanh folded into the gate. A layer without an adapter above
one with gets a gate of 0, which adds nothing.
"""

from __future__ import annotations

import re

import torch
from peft import AdaptionPromptConfig
from torch import Tensor

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.formats.peft.files import Saved
from polyprefix.errors import AdapterError
from polyprefix.methods.llama_adapter import LlamaAdapter
from polyprefix.models.load import BaseModel
from polyprefix.prefix import AttentionHook

MODELS = ("llama", "mistral")
"""Model types that PEFT's module is written for, of those with rotary positions."""
INSTEAD = "use LoRA or a prefix with PEFT"
NAME = re.compile(r"base_model\.model\..*\.(\d+)\.self_attn\.adaption_(prompt|gate)")


@torch.no_grad()
def export(model: AdaptedModel) -> Saved:
    """Prompts and gates as PEFT saves them.

    Raises:
        AdapterError: if the heads of a layer have different gates, or PEFT's module does not fit the model.
    """
    hook = model.hook
    tensors = model.adapter.tensors()
    layers = [i for i in range(hook.layers) if f"prompts.{i}" in tensors]
    prompts = {i: tensors[f"prompts.{i}"].float() for i in layers}
    _refuse_unlike_peft(hook, prompts[layers[0]])
    prefix = model.adapter.prefix(hook)
    gates = {i: _one_gate(gated.gate, i) for i, gated in prefix.gated.items()} if prefix else {}
    adapted = range(layers[0], hook.layers)
    first = prompts[layers[0]]
    named: dict[str, Tensor] = {}
    for i in adapted:
        place = f"base_model.model.model.layers.{i}.self_attn"
        named[f"{place}.adaption_prompt"] = prompts.get(i, torch.zeros_like(first))
        named[f"{place}.adaption_gate"] = gates.get(i, torch.zeros(1))
    config = AdaptionPromptConfig(
        task_type="CAUSAL_LM", adapter_len=first.shape[1], adapter_layers=len(adapted), target_modules="self_attn"
    )
    return Saved(config.to_dict(), named)


def load(base: BaseModel, saved: Saved) -> AdaptedModel:
    """Gated prompts with one plain gate a layer.

    Raises:
        AdapterError: if the tensors do not fit, or PEFT's module would compute something else on this model.
    """
    hook = AttentionHook.of(base.model)
    length, count = saved.number("adapter_len"), saved.number("adapter_layers")
    tensors: dict[str, Tensor] = {}
    for name, tensor in saved.tensors.items():
        match = NAME.fullmatch(name)
        if match is None:
            raise saved.misfit(f"tensor '{name}'", "adaption prompts and gates alone")
        tensors[f"{match[2]}s.{match[1]}"] = tensor.float().to(hook.device)
    top = range(hook.layers - count, hook.layers)
    expected = {f"prompts.{i}": (1, length, hook.width) for i in top} | {f"gates.{i}": (1,) for i in top}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    if found != expected:
        wrong = next(n for n in sorted(found.keys() | expected.keys()) if found.get(n) != expected.get(n))
        place = f"for the top {count} layers of {base.name}"
        raise saved.misfit(f"{wrong} of shape {found.get(wrong)}", f"{expected.get(wrong)} {place}")
    _refuse_unlike_peft(hook, tensors[f"prompts.{top[0]}"])
    settings = {"length": length, "layers": f"top:{count}", "variant": "peft", "init": "random"}
    model = attach(base, LlamaAdapter.model_validate(settings), empty=True)
    model.adapter.load_tensors(tensors)
    return model


def _one_gate(gate: Tensor, layer: int) -> Tensor:
    """[1], of a gate [1] or of gates [H] that are all the same."""
    if not torch.equal(gate, gate[:1].expand_as(gate)):
        raise AdapterError(
            f"a Llama-Adapter with one gate a head cannot be exported to PEFT, which has one a layer (layer {layer}: "
            f"{gate.min():.3g} to {gate.max():.3g}); train with variant=peft"
        )
    return gate[:1]


@torch.no_grad()
def _refuse_unlike_peft(hook: AttentionHook, prompt: Tensor) -> None:
    """PEFT's module is written for two model types, a width of whole heads and plain rotary embedding."""
    config = hook.model.config.get_text_config()
    if config.model_type not in MODELS:
        raise AdapterError(f"PEFT's adaption prompts know {' and '.join(MODELS)}, not {config.model_type}; {INSTEAD}")
    G, K, _ = hook.kv_shape(0)
    if hook.heads(0) * K != hook.width:
        raise AdapterError(
            f"PEFT's adaption prompts need a width of heads x head size, and this model has {hook.width} against "
            f"{hook.heads(0)} x {K}; {INSTEAD}"
        )
    ours = hook.project({0: prompt}, [0] * prompt.shape[1])[0].keys
    plain = hook.modules[0].k_proj(prompt.to(hook.dtype)).unflatten(-1, (G, K)).transpose(1, 2)  # type: ignore[operator]
    if not torch.allclose(ours, plain, rtol=1e-3, atol=1e-5):
        raise AdapterError(
            "PEFT's adaption prompts leave out the factor that this model's rotary embedding puts on keys "
            f"(yarn, longrope); {INSTEAD}"
        )
