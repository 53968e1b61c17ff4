"""Scaled text: the keys and values of real text before the input, each head's values times a trained factor.

[K_text, g * V_text]  before the text, g [L, G] from 1: training begins at the frozen text          L G parameters
"""

from __future__ import annotations

from typing import ClassVar

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyprefix.methods.adapter import Adapter, tokens_of_length
from polyprefix.methods.base import Method, Start, TrainDefaults
from polyprefix.models.load import BaseModel
from polyprefix.models.shape import ModelShape
from polyprefix.prefix import AttentionHook, KVPrefix
from polyprefix.prefix.kv import LayerKV


class ScaledText(Method):
    """Real text before the input, its values scaled by trained factors."""

    name: ClassVar[str] = "scaled-text"
    title: ClassVar[str] = "factors on the values of a text before the input"
    source: ClassVar[str] = "an example"
    defaults: ClassVar[TrainDefaults] = TrainDefaults(learning_rate=3e-2, steps=60)

    length: int = Field(default=16, ge=1, le=4096)
    """P, tokens of the text."""

    def build(self, base: BaseModel, hook: AttentionHook, start: Start) -> Adapter:
        """Factors of 1 for the task's instruction."""
        shape = ModelShape.of(base.model)
        factors = torch.ones(shape.L, shape.G, device=base.model.device)
        return Factors(tokens_of_length(base, start.text, self.length), factors)

    def parameters(self, model: PreTrainedModel) -> int:
        """L G."""
        shape = ModelShape.of(model)
        return shape.L * shape.G


class Factors(Adapter):
    """g, [L, G], and the text that it scales."""

    def __init__(self, ids: Tensor, factors: Tensor) -> None:
        super().__init__()
        self.factors = nn.Parameter(factors)
        self.register_buffer("ids", ids)  # saved with the factors, which belong to this text

    def prefix(self, hook: AttentionHook) -> KVPrefix:
        """The text's own keys and values at positions -P..-1, values scaled."""
        with torch.no_grad():
            text = hook.compute_kv(input_ids=self.ids, start=-self.ids.shape[1])
        scaled = {
            layer: LayerKV(
                kv.keys, kv.values * self.factors[layer].to(kv.values.dtype).view(1, -1, 1, 1)
            )  # [1, G, P, K]
            for layer, kv in text.joined.items()
        }
        return KVPrefix(scaled)
