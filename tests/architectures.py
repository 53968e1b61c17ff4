"""Every decoder that transformers knows, tiny: its default config, and the ways in which rotary embeddings depend on length."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from transformers import LlamaConfig, Phi3Config, PhimoeConfig, PreTrainedConfig, Qwen2Config
from transformers.models.auto.configuration_auto import CONFIG_MAPPING
from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

from polyprefix.errors import ModelError
from polyprefix.models.load import BaseModel, identify
from polyprefix.models.shrink import shrunken
from polyprefix.prefix import AttentionHook
from polyprefix.testing.tiny import tiny_tokenizer


def _longrope(frequencies: int, **more: Any) -> dict[str, Any]:
    return {
        "rope_type": "longrope", "rope_theta": 10_000.0, "original_max_position_embeddings": 4096,
        "short_factor": [1 + 0.05 * n for n in range(frequencies)],
        "long_factor": [1 + 2.0 * n for n in range(frequencies)], **more,
    }  # fmt: skip


LENGTH_DEPENDENT: dict[str, Callable[[], PreTrainedConfig]] = {
    "phi3 longrope": lambda: Phi3Config(
        rope_parameters=_longrope(48), max_position_embeddings=131_072, original_max_position_embeddings=4096
    ),
    "phimoe longrope": lambda: PhimoeConfig(
        rope_parameters=_longrope(64, short_mscale=1.2, long_mscale=1.5),
        max_position_embeddings=131_072, original_max_position_embeddings=4096,
    ),
    "llama longrope": lambda: LlamaConfig(rope_parameters=_longrope(64), max_position_embeddings=131_072),
    "llama dynamic": lambda: LlamaConfig(
        rope_parameters={"rope_type": "dynamic", "factor": 4.0, "rope_theta": 10_000.0}, max_position_embeddings=4096
    ),
    "qwen2 dynamic": lambda: Qwen2Config(
        rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e6}, max_position_embeddings=2048
    ),
}  # fmt: skip
DEFAULTS: dict[str, Callable[[], PreTrainedConfig]] = {
    kind: lambda kind=kind: CONFIG_MAPPING[kind]().get_text_config() for kind in MODEL_FOR_CAUSAL_LM_MAPPING_NAMES
}
CONFIGS = {**LENGTH_DEPENDENT, **DEFAULTS}


def tiny_copy(kind: str) -> BaseModel | str:
    """The architecture with the byte tokenizer, or why there is none: it cannot be built tiny, or is refused by name.

    A copy of its own for each caller, of one that is built and probed once a process.
    """
    found = _built(kind)
    if isinstance(found, str):
        return found
    return BaseModel(found.name, copy.deepcopy(found.model), found.tokenizer, found.identity)


@cache
def _built(kind: str) -> BaseModel | str:
    try:
        model = _model(CONFIGS[kind](), "sdpa")
    except Exception as error:  # a config of parts, or one whose sizes depend on each other in ways of its own
        return f"cannot be built tiny: {type(error).__name__}"
    try:
        AttentionHook.of(model)
    except ModelError as error:
        return f"refused: {error}"
    return BaseModel(f"tiny {kind}", model, tiny_tokenizer(), identify(f"tiny {kind}", None, model))


def _model(config: PreTrainedConfig, attention: str) -> Any:
    try:
        model, _ = shrunken(config, attention)
    except ValueError:  # soft caps and sinks are not in sdpa
        model, _ = shrunken(config, "eager")
    with torch.no_grad():
        model(input_ids=torch.arange(3, 11)[None], use_cache=False)
    return model
