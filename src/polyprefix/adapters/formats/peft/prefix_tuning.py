"""Prefix <-> PEFT's PREFIX_TUNING: one table [P, L 2 G K], `prompt_embeddings`; layer by layer, keys before values.

PEFT keeps the prefix at positions 0..P-1 of the KV cache and text from P; here the prefix is at -P..-1 and text from 0.
Values are the same; keys carry a rotary phase, so they are moved by P. A prefix that PEFT trained through its MLP is
saved as plain keys and values.
"""

from __future__ import annotations

import torch
from peft import PrefixTuningConfig

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.formats.peft.files import Saved, only_tensor
from polyprefix.adapters.formats.windows import warn_of_window
from polyprefix.errors import AdapterError
from polyprefix.methods.prefix_tuning import PrefixTuning
from polyprefix.models.load import BaseModel
from polyprefix.prefix import AttentionHook
from polyprefix.prefix.rotary import rotate

NAME = "prompt_embeddings"


@torch.no_grad()
def export(model: AdaptedModel) -> Saved:
    """The keys and values of any parametrisation as PEFT saves them.

    Raises:
        AdapterError: if some layers have no prefix or differ in shape, or a sliding window leaves no room for text.
    """
    hook = model.hook
    G, K = _shape(hook)
    prefix = model.adapter.prefix(hook)
    joined = prefix.joined if prefix else {}
    if len(joined) != hook.layers:
        raise AdapterError(
            f"a prefix in {len(joined)} of {hook.layers} layers cannot be exported to PEFT, which puts one in all; "
            "train with layers=all"
        )
    P = joined[0].length
    warn_of_window(hook, P, "PEFT")
    pairs = [[rotate(joined[i].keys.float(), P, hook, i), joined[i].values.float()] for i in range(hook.layers)]
    table = torch.stack([half[0].to(hook.device) for pair in pairs for half in pair])  # [2 L, G, P, K]
    config = PrefixTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=P, token_dim=G * K, num_layers=hook.layers, num_attention_heads=G,
        num_transformer_submodules=1, encoder_hidden_size=G * K,
    )  # fmt: skip
    return Saved(config.to_dict(), {NAME: table.permute(2, 0, 1, 3).reshape(P, -1)})


def load(base: BaseModel, saved: Saved) -> AdaptedModel:
    """A raw prefix with the saved keys and values.

    Raises:
        AdapterError: if the table does not fit.
    """
    hook = AttentionHook.of(base.model)
    G, K = _shape(hook)
    table, P = only_tensor(saved, NAME), saved.number("num_virtual_tokens")
    expected = (P, hook.layers * 2 * G * K)
    if tuple(table.shape) != expected:
        raise saved.misfit(f"a prefix of shape {list(table.shape)}", f"{list(expected)} for {base.name}")
    warn_of_window(hook, P, "PEFT")
    pairs = table.view(P, hook.layers, 2, G, K).permute(1, 2, 3, 0, 4).to(hook.device)  # [L, 2, G, P, K]
    model = attach(base, PrefixTuning(length=P, init="random"), empty=True)
    tensors = {f"keys.{i}": rotate(pair[0][None], -P, hook, i) for i, pair in enumerate(pairs)}
    model.adapter.load_tensors(tensors | {f"values.{i}": pair[1][None] for i, pair in enumerate(pairs)})
    return model


def _shape(hook: AttentionHook) -> tuple[int, int]:
    """(G, K), which PEFT wants to be the same in all layers, for keys and values alike."""
    shapes = {hook.kv_shape(layer) for layer in range(hook.layers)}
    G, K, values = next(iter(shapes))
    if len(shapes) > 1 or values != K:
        raise AdapterError(
            f"{type(hook.model).__name__}: keys and values have shapes {sorted(shapes)[:3]}, and PEFT's prefix has one "
            "for all; use a soft prompt or LoRA with PEFT"
        )
    return G, K
