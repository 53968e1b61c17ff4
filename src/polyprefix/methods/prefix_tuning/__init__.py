"""Prefix tuning: trained keys and values before the text, in chosen layers. arXiv 2101.00190; as P-tuning v2, arXiv 2110.07602.

    o_t = softmax(q_t [K_l, k_0..t]^T / sqrt(K)) [V_l, v_0..t]           K_l, V_l: [P, G, K] of layer l

    raw         K_l and V_l are the parameters                           2 P G K a layer
    projected   K_l, V_l = frozen projections of E_l [P, D]              P D a layer
    mlp         K, V = start + MLP(E), E [P, GK], one MLP for all        P GK + GK h + h + 2 L GK (h + 1)

With other sizes of values than of keys (latent attention), or other heads in each layer, 2 G K is G (K + V) of that layer.

The MLP is a training aid: it is folded to raw keys and values when the adapter is saved. Keys are kept with the rotary phase of
positions -P..-1, text starts at 0. Values start from real text that the frozen model has read at those positions, so that a prefix begins
as an ordinary context and not as noise: N(0, 1) keys take softmax mass from the text at once; `init: random` draws them at the scale of
that text.

`projected` has D numbers a token and layer where `raw` has 2 G K. Without grouped keys that is half as many, and a restriction to what the
layer's projections can make; with them it is usually more. Biases, key norm and rotary embedding are the layer's own.

It cannot be converted to a soft prompt. `mlp` needs keys and values of one size, which latent attention does not have.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from polyprefix.methods.base import Footprint, Method, Start, TrainDefaults

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from polyprefix.methods.adapter import Adapter
    from polyprefix.models.load import BaseModel
    from polyprefix.prefix import AttentionHook


class PrefixTuning(Method):
    """Trained keys and values before the text, one softmax with it."""

    name: ClassVar[str] = "prefix"
    title: ClassVar[str] = "trained keys and values before the text in each layer"
    source: ClassVar[str] = "arXiv 2101.00190, 2110.07602"
    defaults: ClassVar[TrainDefaults] = TrainDefaults(learning_rate=3e-2, inner_rate=3e-1)

    length: int = Field(default=16, ge=1, le=16_384)
    """P, the number of virtual tokens."""
    layers: str = Field(default="all", max_length=1000)
    """`all`, `top:N`, `bottom:N`, `2-29`, `2-`, or a list."""
    parametrization: Literal["raw", "projected", "mlp"] = "raw"
    """What is trained."""
    init: Literal["text", "random"] = "text"
    """From the keys and values of real text, or N(0, 1) at their scale."""
    init_text: str | None = None
    """The text to start from; None means the task's instruction."""
    hidden: int = Field(default=512, ge=1, le=65_536)
    """Width of the MLP (mlp only)."""

    def tuned(self) -> TrainDefaults:
        """The weights of an MLP want smaller steps, which were not swept."""
        return TrainDefaults(learning_rate=1e-2) if self.parametrization == "mlp" else self.defaults

    def saved_as(self) -> Method:
        """Raw keys and values in place of the MLP that makes them."""
        return self.model_copy(update={"parametrization": "raw"}) if self.parametrization == "mlp" else self

    def build(self, base: BaseModel, hook: AttentionHook, start: Start) -> Adapter:
        """The adapter of the chosen parametrisation.

        Raises:
            ConfigError: if `layers` does not fit the model.
        """
        from polyprefix.methods.prefix_tuning.adapter import build

        return build(self, base, hook, start)

    def footprint(self, layers: int) -> Footprint:
        """Virtual tokens in the chosen layers."""
        from polyprefix.prefix import parse_layers

        return Footprint(self.length, lowest_layer=min(parse_layers(self.layers, layers)))

    def parameters(self, model: PreTrainedModel) -> int:
        """See the formulas on top of the file."""
        from polyprefix.methods.encoder import encoder_parameters
        from polyprefix.models.head import embedding_table
        from polyprefix.prefix import layer_shapes, parse_layers

        shapes = layer_shapes(model)
        layers = [shapes[i] for i in parse_layers(self.layers, len(shapes))]
        if self.parametrization == "projected":
            return len(layers) * self.length * embedding_table(model).shape[1]
        sizes = sum(layer.groups * (layer.keys + layer.values) for layer in layers)
        if self.parametrization == "raw":
            return self.length * sizes
        width = layers[0].groups * layers[0].keys
        return encoder_parameters(self.length, width, self.hidden, sizes)


METHOD = PrefixTuning
