"""The shapes of models, without their weights: shapes.json holds the facts of published config.json files, others are read on the spot."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from polyprefix.errors import ModelError
from polyprefix.methods.base import attention_shape

FILE = Path(__file__).with_name("shapes.json")


@dataclass(frozen=True, slots=True)
class Shape:
    """What cost depends on. L layers, D width, H query heads, G key/value heads, K head dimension, V vocabulary."""

    L: int
    D: int
    H: int
    G: int
    K: int
    I: int  # noqa: E741
    """Width of the feed-forward part, which has three matrices."""
    V: int
    parameters: int

    @property
    def layer_weights(self) -> int:
        """Weights of the matrices of one layer."""
        return 2 * self.D * self.H * self.K + 2 * self.D * self.G * self.K + 3 * self.D * self.I

    @property
    def attention_width(self) -> int:
        """Values of queries, keys, values and output, a token and layer."""
        return 2 * self.H * self.K + 2 * self.G * self.K


@cache
def meta_model(name: str) -> Any:
    """The model on torch's meta device: modules and shapes, no weights.

    Raises:
        ModelError: if neither we nor a folder nor the local cache of the Hub know its config.json.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    known: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8")).get(name, {})
    try:
        config: Any = (
            AutoConfig.for_model(**known) if known else AutoConfig.from_pretrained(name, local_files_only=True)
        )
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"model '{name}': its shape is not known here ({reason}); fetch its config.json first"
        ) from None
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config.get_text_config(), attn_implementation="eager")


@cache
def shape(name: str) -> Shape:
    """The shape of a model.

    Raises:
        ModelError: see `meta_model`.
    """
    model = meta_model(name)
    config = model.config
    L, D, H, G, K = attention_shape(model)
    parameters = sum(parameter.numel() for parameter in model.parameters())
    return Shape(L, D, H, G, K, getattr(config, "intermediate_size", 4 * D), config.vocab_size, parameters)
