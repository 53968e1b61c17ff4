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
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from polyprefix.methods.base import Footprint, Method, Start, TrainDefaults

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from polyprefix.methods.adapter import Adapter
    from polyprefix.models.load import BaseModel
    from polyprefix.prefix import AttentionHook


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

    def saved_as(self) -> Method:
        """A soft prompt without an encoder."""
        return self.model_copy(update={"encoded": 0.0}) if self.encoded else self

    def build(self, base: BaseModel, hook: AttentionHook, start: Start) -> Adapter:
        """The table with its initial values."""
        from polyprefix.methods.soft_prompt.adapter import build

        return build(self, base, start)

    def encoded_tokens(self) -> int:
        """P_e: the share rounded to whole tokens, at least one where it is not 0."""
        return max(1, round(self.encoded * self.length)) if self.encoded else 0

    def footprint(self, layers: int) -> Footprint:
        """Virtual tokens that go through all layers."""
        return Footprint(self.length, computed=True)

    def parameters(self, model: PreTrainedModel) -> int:
        """See the formulas on top of the file."""
        from polyprefix.methods.encoder import encoder_parameters
        from polyprefix.models.shape import ModelShape

        width, encoded = ModelShape.of(model).D, self.encoded_tokens()
        through = encoder_parameters(encoded, width, self.encoder_hidden, width) if encoded else 0
        return through + (self.length - encoded) * width


METHOD = SoftPrompt
