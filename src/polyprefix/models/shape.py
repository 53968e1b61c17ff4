"""The sizes of a decoder, from its config."""

from __future__ import annotations

from dataclasses import dataclass

from transformers import PreTrainedModel


@dataclass(frozen=True, slots=True)
class ModelShape:
    """L layers, D width, H query heads, G key/value heads, K head size, I width of the feed-forward part, V vocabulary.

    Layers whose attention differs are measured instead (`prefix.shapes.layer_shapes`).
    """

    L: int
    D: int
    H: int
    G: int
    K: int
    I: int  # noqa: E741
    V: int

    @classmethod
    def of(cls, model: PreTrainedModel) -> ModelShape:
        """Of a model's text decoder; the model may be on the meta device."""
        config = model.config.get_text_config()
        width, heads = config.hidden_size, config.num_attention_heads
        return cls(
            L=config.num_hidden_layers,
            D=width,
            H=heads,
            G=getattr(config, "num_key_value_heads", None) or heads,
            K=getattr(config, "head_dim", None) or width // heads,
            I=getattr(config, "intermediate_size", None) or 4 * width,
            V=config.vocab_size,
        )

    @property
    def layer_weights(self) -> int:
        """Weights of the matrices of one layer, with a feed-forward part of three."""
        return 2 * self.D * self.H * self.K + 2 * self.D * self.G * self.K + 3 * self.D * self.I

    @property
    def attention_width(self) -> int:
        """Values of queries, keys, values and output, a token and layer."""
        return 2 * self.H * self.K + 2 * self.G * self.K
