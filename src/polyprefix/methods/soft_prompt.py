"""Soft prompt: trained embeddings before the text. arXiv 2104.08691 (prompt tuning).

E [P, D] at positions -P..-1; the frozen model runs over them once per step, and its keys and values are the prefix of every
example in the batch. That equals putting E in front of each example, at 1/B of the cost.                              P D parameters
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyprefix.methods.base import Adapter, Footprint, Method, Start, TrainDefaults, tokens_of_length
from polyprefix.models.head import embedding_table
from polyprefix.models.load import BaseModel
from polyprefix.models.shape import ModelShape
from polyprefix.prefix import AttentionHook, KVPrefix


class SoftPrompt(Method):
    """Trained embeddings before the text."""

    name: ClassVar[str] = "soft-prompt"
    title: ClassVar[str] = "trained embeddings before the text"
    source: ClassVar[str] = "arXiv 2104.08691"
    defaults: ClassVar[TrainDefaults] = TrainDefaults(learning_rate=3e-1)

    length: int = Field(default=16, ge=1, le=16_384)
    """P, the number of virtual tokens."""
    init: Literal["text", "vocabulary", "random"] = "text"
    """From the embeddings of real text, of sampled tokens, or N(0, 1) at the scale of the embeddings."""
    init_text: str | None = None
    """The text to start from; None means the task's instruction."""

    def build(self, base: BaseModel, hook: AttentionHook, start: Start) -> Adapter:
        """The table with its initial values."""
        embed = base.model.get_input_embeddings()
        table = embedding_table(base.model)
        sampled = torch.randint(table.shape[0], (1, max(self.length, 1024)), generator=start.generator())
        with torch.no_grad():  # through the module, which may scale (Gemma)
            vocabulary = embed(sampled.to(table.device)).float()
            if self.init == "text":
                values = embed(tokens_of_length(base, self.init_text or start.text, self.length)).float()
            elif self.init == "vocabulary":
                values = vocabulary[:, : self.length]
            else:
                shape = (1, self.length, vocabulary.shape[-1])
                values = torch.randn(shape, generator=start.generator()).to(vocabulary.device) * vocabulary.std()
        return PromptTable(values)

    def footprint(self, layers: int) -> Footprint:
        """Virtual tokens that go through all layers."""
        return Footprint(self.length, computed=True)

    def parameters(self, model: PreTrainedModel) -> int:
        """P D."""
        return self.length * ModelShape.of(model).D


class PromptTable(Adapter):
    """E, [1, P, D]."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table.clone())

    def prefix(self, hook: AttentionHook) -> KVPrefix:
        """The keys and values that the frozen model makes of E at positions -P..-1."""
        return hook.compute_kv(inputs_embeds=self.table.to(hook.dtype), start=-self.table.shape[1])


METHOD = SoftPrompt
