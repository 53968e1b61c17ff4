"""The shapes of a model's attention layers, as attention receives them and not as a config says: latent attention has keys and values of
different sizes, mixtures of attention heads repeat theirs, and some models have other heads in each layer.
"""

from __future__ import annotations

from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch

from polyprefix.models.head import embedding_table
from polyprefix.prefix.attention import STATE, AttentionState, ours


class LayerShape(NamedTuple):
    """Of one attention layer."""

    query_heads: int
    """H."""
    groups: int
    """G, heads of keys and values."""
    keys: int
    """K, the size of a key."""
    values: int
    """The size of a value, mostly K too."""


_MEASURED: WeakKeyDictionary[Any, tuple[LayerShape, ...]] = WeakKeyDictionary()


def layer_shapes(model: Any) -> tuple[LayerShape, ...]:
    """Of each attention layer, by a forward pass of two tokens; the model may be on the meta device, where that costs nothing.

    Where attention does not go through transformers' interface, its config says what there is.
    """
    if model not in _MEASURED:
        _MEASURED[model] = _measured(model) or _configured(model)
    return _MEASURED[model]


@torch.no_grad()
def _measured(model: Any) -> tuple[LayerShape, ...]:
    current = model.config._attn_implementation
    modules = [m for m in model.modules() if hasattr(m, "layer_idx") or "Attention" in type(m).__name__]
    before = [module.__dict__.get(STATE) for module in modules]
    attention_states = [AttentionState(n, capture=True) for n in range(len(modules))]
    ids = torch.zeros(1, 2, dtype=torch.long, device=embedding_table(model).device)
    try:
        if not current.startswith(ours("")):
            model.set_attn_implementation(ours(current))
        for module, state in zip(modules, attention_states, strict=True):
            module.__dict__[STATE] = state
        model.base_model(input_ids=ids, use_cache=False)
    except Exception:  # attention of its own, or a model that cannot run on the meta device
        return ()
    finally:
        for module, state in zip(modules, before, strict=True):
            module.__dict__.pop(STATE)
            if state is not None:
                module.__dict__[STATE] = state
        model.set_attn_implementation(current)
    seen = [state for state in attention_states if state.captured is not None]
    return tuple(
        LayerShape(
            state.heads, state.captured.keys.shape[1], state.captured.keys.shape[3], state.captured.values.shape[3]
        )
        for state in seen
        if state.captured is not None
    )


def _configured(model: Any) -> tuple[LayerShape, ...]:
    config = model.config.get_text_config()
    heads = config.num_attention_heads
    size = getattr(config, "head_dim", None) or config.hidden_size // heads
    groups = getattr(config, "num_key_value_heads", None) or heads
    return (LayerShape(heads, groups, size, size),) * config.num_hidden_layers
