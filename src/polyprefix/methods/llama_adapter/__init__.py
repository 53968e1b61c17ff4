"""Llama-Adapter: trained prompts in the top layers, with a softmax of their own behind a gate that starts closed. arXiv 2303.16199.

    o_t = softmax(q_t k^T / sqrt(K)) v + g softmax(q_t (W_k E_l)^T / sqrt(K)) (W_v E_l),   then W_o
    q rotated, W_k E_l not; g = 0 at the start, so training begins at the base model.        P D + gates a layer

The published forms differ in the gate, and `variant` sets them by name:

    original-training     tanh(g), one a head       the authors' training code
    original-inference    g, one a head             their inference code (its issue 39)
    peft                  g, one a layer            AdaptionPrompt
    litgpt                g, one a head, layers 2-
    before-study          tanh(g), one a head, top 30 layers       code of the first author of arXiv 2510.24619, older than the study
    before-study-ungated  g = 1, nothing of it trained, top 30     its ungated form: projected prefixes with a softmax of their own

Of `before-study` is known: 10 tokens in the top 30 of 32 layers of width 4,096, which are 1,228,800 numbers; hidden vectors through the
frozen W_k and W_v without rotation; a softmax of its own behind a tanh gate, and a form without the gate; AdamW with betas 0.9 and 0.95,
weight decay 0.02, linear warm-up and decay, a peak rate of 3e-3. Inferred: one gate a head, as in `original-training` (the 960 gates are
not part of the number above), gates that start at 0, and that this is the method of the study at all, whose 1.23M it gives.

It costs a second, short attention in its layers. It cannot be written as a prefix, since its softmax is separate. With a gate it learns no
prompt in the very first step: what stands behind a closed gate has no gradient.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator

from polyprefix.methods.base import Footprint, Method, Start, TrainDefaults

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from polyprefix.methods.adapter import Adapter
    from polyprefix.models.load import BaseModel
    from polyprefix.prefix import AttentionHook

VARIANTS: dict[str, dict[str, Any]] = {
    "original-training": {"gate": "head", "tanh": True},
    "original-inference": {"gate": "head", "tanh": False},
    "peft": {"gate": "layer", "tanh": False},
    "litgpt": {"gate": "head", "tanh": False, "layers": "2-"},
    "before-study": {"gate": "head", "tanh": True, "layers": "top:30"},
    "before-study-ungated": {"gate": "none", "layers": "top:30"},
}


class LlamaAdapter(Method):
    """Trained prompts with a gated softmax of their own."""

    name: ClassVar[str] = "llama-adapter"
    title: ClassVar[str] = "trained prompts with a gated softmax of their own"
    source: ClassVar[str] = "arXiv 2303.16199"
    defaults: ClassVar[TrainDefaults] = TrainDefaults(learning_rate=3e-2)

    length: int = Field(default=10, ge=1, le=16_384)
    """P, the number of virtual tokens a layer."""
    layers: str = Field(default="2-", max_length=1000)
    """`all`, `top:N`, `bottom:N`, `2-29`, `2-`, or a list."""
    variant: (
        Literal["original-training", "original-inference", "peft", "litgpt", "before-study", "before-study-ungated"]
        | None
    ) = None
    """A published form by name; sets `gate`, `tanh` and, for some, `layers`, where they are not given."""
    gate: Literal["head", "layer", "none"] = "head"
    """One gate a query head, one a layer, or none: the prompts' output is then added as it is, from the start on."""
    tanh: bool = True
    """Whether the gate passes through tanh."""
    init: Literal["text", "random"] = "text"
    """Prompts from the hidden states of real text, or N(0, 1) at their scale."""
    init_text: str | None = None
    """The text to start from; None means the task's instruction."""

    @model_validator(mode="before")
    @classmethod
    def _expand_variant(cls, values: Any) -> Any:
        if isinstance(values, dict) and isinstance(values.get("variant"), str) and values["variant"] in VARIANTS:
            return {**VARIANTS[values["variant"]], **values}
        return values

    def tuned(self) -> TrainDefaults:
        """Without a gate that grows, steps as in the published code, not swept here."""
        return replace(self.defaults, learning_rate=3e-3) if self.gate == "none" else self.defaults

    def build(self, base: BaseModel, hook: AttentionHook, start: Start) -> Adapter:
        """Prompts with their initial values, and closed gates.

        Raises:
            ConfigError: if `layers` does not fit the model.
        """
        from polyprefix.methods.llama_adapter.adapter import build

        return build(self, base, hook, start)

    def gates(self, heads: int) -> int:
        """The number of gates of a layer with so many query heads."""
        return {"head": heads, "layer": 1, "none": 0}[self.gate]

    def footprint(self, layers: int) -> Footprint:
        """Virtual tokens in the chosen layers."""
        from polyprefix.prefix import parse_layers

        return Footprint(self.length, lowest_layer=min(parse_layers(self.layers, layers)))

    def stored_bytes(self, model: PreTrainedModel, itemsize: int) -> int:
        """The output of the second softmax, in each adapted layer."""
        from polyprefix.prefix import layer_shapes, parse_layers

        shapes = layer_shapes(model)
        layers = [shapes[i] for i in parse_layers(self.layers, len(shapes))]
        return sum(layer.query_heads * layer.values for layer in layers) * itemsize

    def parameters(self, model: PreTrainedModel) -> int:
        """Layers times (P D + gates)."""
        from polyprefix.models.head import embedding_table
        from polyprefix.prefix import layer_shapes, parse_layers

        shapes, width = layer_shapes(model), embedding_table(model).shape[1]
        layers = [shapes[i] for i in parse_layers(self.layers, len(shapes))]
        return sum(self.length * width + self.gates(layer.query_heads) for layer in layers)


METHOD = LlamaAdapter
