"""Soft prompt: trained embeddings before the text. arXiv 2104.08691 (prompt tuning).

E [P, D] at positions -P..-1; the frozen model runs over them once per step, and its keys and values are the prefix of every
example in the batch. That equals putting E in front of each example, as long as the whole fits a sliding window, at 1/B of the cost.
Gradients run back through all layers of that pass.                                                                     P D parameters

    encoded: r    the first P_e = r P rows of E are start + MLP(table), one MLP for all of them; the others are parameters
                                                                                    P_e D + 2 h D + h + D + (P - P_e) D

With r = 1 that is the prompt of a cross-prompt encoder, between 0 and 1 a dual soft prompt (arXiv 2508.10352; an encoder as in P-tuning,
arXiv 2103.10385). The encoder is a training aid: the table that it gives is what is saved. There it has 20 tokens, on an encoder model
(XLM-R), and several typologically diverse source languages (`--source-languages`). Known from its abstract: the encoder that all encoded
tokens go through, and the dual prompt. Chosen here: depth and tanh of the MLP, the start at real text, encoded tokens first, and the
learning rate of 0.01, which no sweep has chosen.

It cannot act on some layers only, nor say more than P input embeddings can. It depends much on its start and its learning rate: PEFT's own
comparison of methods (GSM8K, Llama 3.2 3B) has 200 tokens between .057 and .343 by these alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyprefix.methods._encoder import Encoder, encoder_parameters
from polyprefix.methods.base import Adapter, Footprint, Method, Start, TrainDefaults, tokens_of_length
from polyprefix.models.head import embedding_table
from polyprefix.models.load import BaseModel
from polyprefix.models.shape import ModelShape
from polyprefix.prefix import AttentionHook, KVPrefix


class SoftPrompt(Method):
    """Trained embeddings before the text."""

    name: ClassVar[str] = "soft-prompt"
    title: ClassVar[str] = "trained embeddings before the text"
    source: ClassVar[str] = "arXiv 2104.08691, 2508.10352"
    defaults: ClassVar[TrainDefaults] = TrainDefaults(learning_rate=3e-1)

    length: int = Field(default=16, ge=1, le=16_384)
    """P, the number of virtual tokens."""
    init: Literal["text", "vocabulary", "random"] = "text"
    """From the embeddings of real text, of sampled tokens, or N(0, 1) at the scale of the embeddings."""
    init_text: str | None = None
    """The text to start from; None means the task's instruction."""
    encoded: float = Field(default=0.0, ge=0, le=1)
    """Share of the tokens, the first ones, that come from a shared encoder while they are trained: 1 is a cross-prompt encoder, less a dual
    soft prompt."""
    encoder_hidden: int = Field(default=512, ge=1, le=65_536)
    """Width of the encoder's MLP."""

    def tuned(self) -> TrainDefaults:
        """An encoder's weights want smaller steps than embeddings."""
        return replace(self.defaults, learning_rate=1e-2) if self.encoded else self.defaults

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
        count = self.encoded_tokens()
        return EncodedPrompt(values, count, self.encoder_hidden, start) if count else PromptTable(values)

    def encoded_tokens(self) -> int:
        """P_e: the share rounded to whole tokens, at least one where it is not 0."""
        return max(1, round(self.encoded * self.length)) if self.encoded else 0

    def footprint(self, layers: int) -> Footprint:
        """Virtual tokens that go through all layers."""
        return Footprint(self.length, computed=True)

    def parameters(self, model: PreTrainedModel) -> int:
        """See the formulas on top of the file."""
        width, encoded = ModelShape.of(model).D, self.encoded_tokens()
        through = encoder_parameters(encoded, width, self.encoder_hidden, width) if encoded else 0
        return through + (self.length - encoded) * width


class PromptTable(Adapter):
    """E, [1, P, D]."""

    def __init__(self, table: Tensor) -> None:
        super().__init__()
        self.table = nn.Parameter(table.clone())

    def prefix(self, hook: AttentionHook) -> KVPrefix:
        """The keys and values that the frozen model makes of E at positions -P..-1."""
        return hook.compute_kv(inputs_embeds=self.table.to(hook.dtype), start=-self.table.shape[1])


class EncodedPrompt(Adapter):
    """Rows of E from a shared encoder, then rows that are parameters, [1, P - P_e, D]."""

    def __init__(self, table: Tensor, encoded: int, hidden: int, start: Start) -> None:
        super().__init__()
        self.encoder = Encoder(table[0, :encoded], table.shape[-1], hidden, start.generator())
        free = table[:, encoded:]
        self.free = nn.Parameter(free.clone()) if free.numel() else None

    def table(self) -> Tensor:
        """E, [1, P, D]."""
        encoded = self.encoder()[None]
        return encoded if self.free is None else torch.cat([encoded, self.free], 1)

    def prefix(self, hook: AttentionHook) -> KVPrefix:
        """That of the table."""
        table = self.table()
        return hook.compute_kv(inputs_embeds=table.to(hook.dtype), start=-table.shape[1])

    @torch.no_grad()
    def tensors(self) -> dict[str, Tensor]:
        """Folded to the table of a soft prompt."""
        return {"table": self.table()}

    def saved_as(self, method: Method) -> Method:
        """A soft prompt without an encoder."""
        return method.model_copy(update={"encoded": 0.0})


METHOD = SoftPrompt
