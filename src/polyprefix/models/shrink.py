"""A tiny random copy of an architecture, in which every length at which the model changes is a few tokens.

Windows, chunks and original contexts are thousands of tokens in real models. Whether attention is served exactly beyond them is the same
question in a copy with the same config but for its sizes, and there it takes milliseconds.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

SIZES = {
    "vocab_size": 272, "vocab_size_per_layer_input": 272, "hidden_size": 32, "n_embd": 32, "d_model": 32, "intermediate_size": 48,
    "ffn_dim": 48, "n_inner": 48, "moe_intermediate_size": 24, "shared_expert_intermediate_size": 24,
    "moe_shared_expert_intermediate_size": 24, "num_attention_heads": 4, "n_head": 4, "head_dim": 8, "num_experts": 4,
    "num_local_experts": 4, "n_routed_experts": 4, "moe_num_experts": 4, "num_experts_per_tok": 2, "moe_topk": 2, "n_group": 1,
    "topk_group": 1, "index_topk_blocks": 1, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8, "v_head_dim": 8,
    "hidden_size_per_layer_input": 8, "rotary_dim": 8,
}  # fmt: skip
"""Config key -> its value in the copy; only keys that the config has. Heads of keys and values keep their share of the queries' ones."""
LAYERS = ("num_hidden_layers", "n_layer", "num_layers")
TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
FEWEST_LAYERS, MOST_LAYERS = 3, 9
MOST_PARAMETERS = 8_000_000
"""A copy with more is none: it has sizes that are not known here."""
LENGTH = re.compile(
    r"window|chunk_size$|floor|original_max|max_position|n_positions|max_seq|local_attention|index_|context_length"
)
"""Config keys that hold a number of tokens at which a model may change."""
NO_LENGTH = re.compile(
    r"chunk_size_feed_forward|max_window_layers|pattern|index_(head|n_heads|topk_blocks|local_blocks)"
)
SHORTEST = 12
"""The first length of the copy; each further one is twice the one before."""


class ConfigKey:
    """A config and an attention implementation, to look things up by their content."""

    def __init__(self, config: Any, attention: str) -> None:
        self.config, self.attention = config, attention
        self._content = (type(config).__name__, attention, config.to_json_string(use_diff=False))

    def __eq__(self, other: object) -> bool:
        return isinstance(other, ConfigKey) and self._content == other._content

    def __hash__(self) -> int:
        return hash(self._content)


def lengths_of(config: Any) -> dict[str, int]:
    """The numbers of tokens at which a model may change, by their dotted place in its config."""
    return dict(_lengths(config.to_dict()))


def _lengths(values: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, int]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _lengths(value, f"{place}{key}.")
        elif LENGTH.search(str(key)) and not NO_LENGTH.search(str(key)) and isinstance(value, int) and value > 1:
            yield f"{place}{key}", value


def shrunken(config: Any, attention: str) -> tuple[Any, dict[int, int]]:
    """A random model in float32 and eval mode, and each of its lengths -> the real one.

    Args:
        config: of a decoder's text part.
        attention: transformers' implementation.

    Raises:
        Exception: whatever transformers raises where the sizes do not fit together.
        ValueError: if the copy is not small.
    """
    import torch
    from transformers import AutoModelForCausalLM

    real = sorted(set(lengths_of(config).values()))
    short = {length: SHORTEST << n for n, length in enumerate(real)}
    values = _shortened(config.to_dict(), short) | _layers(config) | _sizes(config)
    values = _heads(config, values) | {key: value for key, value in TOKENS.items() if key in values}
    for key in ("architectures", "torch_dtype", "dtype", "quantization_config", "transformers_version"):
        values.pop(key, None)
    _sample_factors(values)
    with torch.random.fork_rng(), torch.device("cpu"):
        torch.manual_seed(0)
        copy = type(config)(**values)
        with torch.device("meta"):
            size = sum(parameter.numel() for parameter in AutoModelForCausalLM.from_config(copy).parameters())
        if size > MOST_PARAMETERS:
            raise ValueError(f"the copy has {size:,} parameters")
        model = AutoModelForCausalLM.from_config(copy, attn_implementation=attention, dtype=torch.float32).eval()
        for parameter in model.parameters():  # large enough that every part of the model matters in its logits
            parameter.data = 0.2 * torch.randn_like(parameter) + (parameter.ndim == 1) * parameter.data
    return model.requires_grad_(False), {tokens: length for length, tokens in short.items()}


def _shortened(values: Mapping[str, Any], short: Mapping[int, int]) -> dict[str, Any]:
    known = {place for place, _ in _lengths(values)}
    return {
        key: _shortened(value, short) if isinstance(value, Mapping) else short[value] if key in known else value
        for key, value in values.items()
    }


def _layers(config: Any) -> dict[str, Any]:
    """As few layers as hold one of every type, and lists that have one value a layer cut to them."""
    values = config.to_dict()
    name = next((key for key in LAYERS if isinstance(values.get(key), int)), LAYERS[0])
    total = int(values.get(name) or FEWEST_LAYERS)
    types = [str(kind) for kind in values.get("layer_types") or []]
    needed = max((types.index(kind) + 1 for kind in set(types)), default=1)
    kept = min(total, MOST_LAYERS, max(FEWEST_LAYERS, needed))
    cut = {key: value[:kept] for key, value in values.items() if isinstance(value, list) and len(value) == total}
    return {**cut, name: kept}


def _sizes(config: Any) -> dict[str, Any]:
    return {key: size for key, size in SIZES.items() if isinstance(getattr(config, key, None), int)}


def _heads(config: Any, values: dict[str, Any]) -> dict[str, Any]:
    groups, heads = getattr(config, "num_key_value_heads", None), getattr(config, "num_attention_heads", None)
    if isinstance(groups, int) and isinstance(heads, int):
        values["num_key_value_heads"] = 1 if groups == 1 else 4 if groups == heads else 2
    return values


def _sample_factors(values: dict[str, Any]) -> None:
    """longrope has one factor a frequency: those of the copy are spread over the real ones."""
    rope = values.get("rope_parameters") or {}
    size = values.get("head_dim") or values.get("hidden_size", 0) // (values.get("num_attention_heads") or 1)
    for one in [rope, *(part for part in rope.values() if isinstance(part, dict))]:
        share = one.get("partial_rotary_factor") or values.get("partial_rotary_factor") or 1.0
        wanted = int(size * share) // 2
        for key in ("short_factor", "long_factor"):
            if isinstance(factors := one.get(key), list):
                one[key] = [factors[round(n * (len(factors) - 1) / max(1, wanted - 1))] for n in range(wanted)]
