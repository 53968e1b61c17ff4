"""Attention of a text to a prefix: the one function that every adapted model runs.

It is registered with transformers' attention interface, joins the layer's prefix with the keys and values that arrive (after rotary
embedding and after the cache, so the cache never holds it), and calls the implementation underneath: sdpa, eager or flex.

    joined   softmax(q [K_prefix, K_text]^T) [V_prefix, V_text]
    gated    softmax(q K_text^T) V_text + gate * softmax(q K_prefix^T) V_prefix       arXiv 2303.16199, equations 5 to 8

A prefix is visible to every token: its columns of the mask are always open, under padding, packing and sliding windows alike.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention.flex_attention import BlockMask, create_block_mask
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS

from polyprefix.prefix.kv import GatedKV, LayerKV
from polyprefix.prefix.packed import Packed, packed_mask

IMPLEMENTATIONS = ("sdpa", "eager", "flex_attention")
STATE = "_polyprefix_state"


@dataclass(slots=True)
class AttentionState:
    """State of one attention module during a forward pass: the prefix that it attends to, and what it records."""

    index: int
    joined: LayerKV | None = None
    gated: GatedKV | None = None
    packed: Packed | None = None
    """The layout of a row of several sequences."""
    capture: bool = False
    """Record the keys and values that the module makes."""
    only_capture: bool = False
    """Record them and skip attention: for modules that are called for their projections alone."""
    captured: LayerKV | None = None
    queries: Tensor | None = None
    """[B, H, T, K], of a module that is called for its projections alone."""
    heads: int = 0
    """H, as seen while capturing."""
    calls: int = 0
    """How often attention was asked for while capturing."""
    window: int | None = None
    """The layer's sliding window as it said while capturing."""


def ours(implementation: str) -> str:
    """The name under which the prefix-aware form of an attention implementation is registered."""
    return f"polyprefix_{implementation}"


def attend(
    implementation: str, module: nn.Module, query: Tensor, key: Tensor, value: Tensor, mask: Any, **kwargs: Any
) -> tuple[Tensor, Any]:
    """Attention of text to its layer's prefix and to itself.

    Args:
        query: [B, H, T, K].
        key, value: [B, G, S, K], S >= T where a cache holds earlier text.
        mask: None for plain causal attention, bool or additive [B or 1, 1 or H, T, S], or a flex BlockMask.

    Returns:
        [B, T, H, K], and attention weights where the implementation gives them.
    """
    base = _base(implementation, module)
    state: AttentionState | None = module.__dict__.get(STATE)
    if state is None:
        return base(module, query, key, value, mask, **kwargs)
    if state.capture:
        state.captured = LayerKV(key, value)
        state.heads = query.shape[1]
        state.calls += 1
        state.window = kwargs.get("sliding_window")
        if state.only_capture:
            state.queries = query
            batch, heads, tokens, _ = query.shape
            return query.new_zeros(batch, tokens, heads, value.shape[-1]), None
    keys, values = [key], [value]
    if state.packed is not None:
        query, *rows = (state.packed.scatter_to_rows(states) for states in (query, key, value))
        keys, values = ([state.packed.common(states), own] for states, own in zip((key, value), rows, strict=True))
        key = rows[0]
    if state.joined is not None:
        prefix_keys, prefix_values = _expand(state.joined, key)
        mask = _open(mask, state.joined, query, sum(states.shape[2] for states in keys))
        keys, values = [prefix_keys, *keys], [prefix_values, *values]
    out, weights = base(module, query, _joined(keys), _joined(values), mask, **kwargs)
    if state.gated is not None:
        prefix_keys, prefix_values = _expand(state.gated.kv, key)
        all_open = _all_open(implementation, query, state.gated.kv)
        adapter_output, _ = base(module, query, prefix_keys, prefix_values, all_open, **kwargs)
        gate = state.gated.gate.to(out.dtype)
        out = out + gate.view(len(gate) if gate.ndim == 2 else 1, 1, -1, 1) * adapter_output
    return (out, weights) if state.packed is None else (state.packed.gather_from_rows(out), None)


def _base(implementation: str, module: nn.Module) -> Callable[..., tuple[Tensor, Any]]:
    if implementation == "eager":  # each model file has its own: some add soft caps or sinks
        return sys.modules[type(module).__module__].eager_attention_forward
    return ALL_ATTENTION_FUNCTIONS[implementation]


def _expand(kv: LayerKV, like: Tensor) -> tuple[Tensor, Tensor]:
    """The prefix in the text's precision, of every row or each row's own, [B, G, P, K], without a copy."""
    batch = like.shape[0]
    return kv.keys.to(like.dtype).expand(batch, -1, -1, -1), kv.values.to(like.dtype).expand(batch, -1, -1, -1)


def _joined(states: list[Tensor]) -> Tensor:
    """One after the other, [B, G, S, K]."""
    there = [part for part in states if part.shape[2]]
    return torch.cat(there, 2) if len(there) > 1 else there[0]


def _open(mask: Any, prefix: LayerKV, query: Tensor, s: int) -> Any:
    """The text's mask over S keys with P columns in front, open but on the padding of rows with prefixes of their own."""
    p = prefix.length
    if isinstance(mask, BlockMask):
        return _open_blocks(mask, p, s)
    if (
        mask is None
    ):  # plain causal attention was left to the kernel; with a cache the text's own triangle sits lower right
        t = query.shape[2]
        if t == 1 and prefix.real is None:
            return None
        opened = torch.ones(t, p + s, dtype=torch.bool, device=query.device).tril(p + s - t)[None, None]
    elif prefix.real is None:
        return _once(mask, p, s, query.dtype)
    else:
        opened = _opened(mask, p, s)
    if prefix.real is None:
        return opened
    columns = _columns(prefix.real, opened.dtype).expand(-1, opened.shape[1], opened.shape[2], -1)
    return torch.cat([columns, opened[..., p:].expand(len(columns), -1, -1, -1)], -1)


def _opened(mask: Tensor, p: int, s: int) -> Tensor:
    """The first S columns of a mask, which may be made for a longer static cache, after P open ones."""
    return nn.functional.pad(mask[..., :s], (p, 0), value=True if mask.dtype == torch.bool else 0.0)


def _once(mask: Tensor, p: int, s: int, dtype: torch.dtype) -> Tensor:
    """The opened mask as what is added to scores, made once for all layers of a forward pass.

    Given a boolean mask, sdpa makes this bias anew in each layer, and each layer keeps its own for the backward pass. Rows are padded to 8
    columns, as kernels on a GPU want them; they would copy it otherwise.
    """
    if mask.dtype != torch.bool:
        return _opened(mask, p, s)
    made: dict[tuple[int, int, torch.dtype], Tensor] = mask.__dict__.setdefault("_polyprefix_open", {})
    if (key := (p, s, dtype)) not in made:
        bias = torch.zeros(*mask.shape[:-1], p + s + -(p + s) % 8, dtype=dtype, device=mask.device)
        bias[..., p : p + s].masked_fill_(~mask[..., :s], float("-inf"))
        made[key] = bias[..., : p + s]
    return made[key]


def _columns(real: Tensor, dtype: torch.dtype) -> Tensor:
    """Which keys each row sees [B, P] as a mask of a kind, [B, 1, 1, P]."""
    real = real[:, None, None, :]
    if dtype == torch.bool:
        return real
    return torch.zeros(real.shape, dtype=dtype, device=real.device).masked_fill(~real, torch.finfo(dtype).min)


def _open_blocks(mask: BlockMask, p: int, keys: int) -> BlockMask:
    cache: dict[int, BlockMask] = mask.__dict__.setdefault("_polyprefix_open", {})  # the same mask serves many layers
    if p not in cache:
        text = mask.mask_mod

        def prefix_or_text(b: Tensor, h: Tensor, q: Tensor, kv: Tensor) -> Tensor:
            return (kv < p) | text(b, h, q, (kv - p).clamp(min=0))

        cache[p] = create_block_mask(
            prefix_or_text, mask.kv_num_blocks.shape[0], None, mask.seq_lengths[0], keys + p, mask.kv_num_blocks.device
        )
    return cache[p]


def _all_open(implementation: str, query: Tensor, prefix: LayerKV) -> Any:
    """A mask that hides nothing but padding; it must be there, since none at all would mean causal attention."""
    if implementation == "flex_attention":
        return None
    dtype = query.dtype if implementation == "eager" else torch.bool
    if prefix.real is not None:
        return _columns(prefix.real, dtype).expand(-1, -1, query.shape[2], -1)
    shape = (1, 1, query.shape[2], prefix.length)
    if implementation == "eager":
        return torch.zeros(shape, dtype=dtype, device=query.device)
    return torch.ones(shape, dtype=dtype, device=query.device)


def _named(implementation: str) -> Callable[..., tuple[Tensor, Any]]:
    def attention(
        module: nn.Module, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **kwargs: Any
    ) -> tuple[Tensor, Any]:
        return attend(implementation, module, query, key, value, attention_mask, **kwargs)

    return attention


for _implementation in IMPLEMENTATIONS:
    ALL_ATTENTION_FUNCTIONS.register(ours(_implementation), _named(_implementation))
    ALL_MASK_ATTENTION_FUNCTIONS.register(
        ours(_implementation), packed_mask(ALL_MASK_ATTENTION_FUNCTIONS[_implementation])
    )
