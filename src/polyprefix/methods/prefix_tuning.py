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

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyprefix.methods._encoder import Encoder, encoder_parameters
from polyprefix.methods.base import Adapter, Footprint, Method, Start, TrainDefaults, tokens_of_length
from polyprefix.models.head import embedding_table
from polyprefix.models.load import BaseModel
from polyprefix.prefix import AttentionHook, KVPrefix, LayerKV, layer_shapes, parse_layers


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
        """Hidden states want smaller steps than keys and values; the MLP was not tried."""
        return self.defaults if self.parametrization == "raw" else TrainDefaults(learning_rate=1e-2)

    def build(self, base: BaseModel, hook: AttentionHook, start: Start) -> Adapter:
        """The adapter of the chosen parametrisation.

        Raises:
            ConfigError: if `layers` does not fit the model.
        """
        layers = parse_layers(self.layers, hook.layers)
        ids = tokens_of_length(base, self.init_text or start.text, self.length)
        if self.parametrization == "projected":
            states = hook.hidden(ids, start=-self.length)
            return ProjectedPrefix({i: _begin(states[i].float(), self.init, start, i) for i in layers})
        with torch.no_grad():
            text = hook.compute_kv(input_ids=ids, start=-self.length).joined
        values = {
            i: LayerKV(
                _begin(text[i].keys.float(), self.init, start, 2 * i),
                _begin(text[i].values.float(), self.init, start, 2 * i + 1),
            )
            for i in layers
        }
        return RawPrefix(values) if self.parametrization == "raw" else MLPPrefix(values, self.hidden, start)

    def footprint(self, layers: int) -> Footprint:
        """Virtual tokens in the chosen layers."""
        return Footprint(self.length, lowest_layer=min(parse_layers(self.layers, layers)))

    def parameters(self, model: PreTrainedModel) -> int:
        """See the formulas on top of the file."""
        shapes = layer_shapes(model)
        layers = [shapes[i] for i in parse_layers(self.layers, len(shapes))]
        if self.parametrization == "projected":
            return len(layers) * self.length * embedding_table(model).shape[1]
        sizes = sum(layer.groups * (layer.keys + layer.values) for layer in layers)
        if self.parametrization == "raw":
            return self.length * sizes
        width = layers[0].groups * layers[0].keys
        return encoder_parameters(self.length, width, self.hidden, sizes)


def _begin(text: Tensor, init: str, start: Start, salt: int) -> Tensor:
    """The text's own values, or random ones of the same standard deviation."""
    if init == "text":
        return text.clone()
    generator = torch.Generator().manual_seed((start.seed * 100_003 + salt) % (1 << 64))
    return torch.randn(text.shape, generator=generator).to(text.device) * text.std()


class RawPrefix(Adapter):
    """Keys and values as parameters, [1, G, P, K] each."""

    def __init__(self, values: dict[int, LayerKV]) -> None:
        super().__init__()
        self.keys = nn.ParameterDict({str(i): nn.Parameter(kv.keys.clone()) for i, kv in values.items()})
        self.values = nn.ParameterDict({str(i): nn.Parameter(kv.values.clone()) for i, kv in values.items()})

    def prefix(self, hook: AttentionHook) -> KVPrefix:
        """The parameters as they are."""
        return KVPrefix({int(i): LayerKV(self.keys[i], self.values[i]) for i in self.keys})


class ProjectedPrefix(Adapter):
    """Hidden states as parameters, [1, P, D] a layer, through the layer's frozen key and value projections."""

    def __init__(self, states: dict[int, Tensor]) -> None:
        super().__init__()
        self.states = nn.ParameterDict({str(i): nn.Parameter(value) for i, value in states.items()})

    def prefix(self, hook: AttentionHook) -> KVPrefix:
        """Keys at positions -P..-1, with the layer's own biases, norms and rotary embedding."""
        length = next(iter(self.states.values())).shape[1]
        return KVPrefix(hook.project({int(i): s for i, s in self.states.items()}, range(-length, 0)))


class MLPPrefix(Adapter):
    """An encoder that moves all layers' keys and values away from where they start."""

    def __init__(self, values: dict[int, LayerKV], hidden: int, start: Start) -> None:
        super().__init__()
        _, groups, _, size = next(iter(values.values())).keys.shape
        self.layers = tuple(values)
        self.shapes = [(kv.keys.shape[1], kv.keys.shape[3], kv.values.shape[3]) for kv in values.values()]
        begin = [part[0].transpose(0, 1).flatten(1) for kv in values.values() for part in (kv.keys, kv.values)]
        text = torch.cat(begin, 1)  # [P, sum over layers of G (K + V)]
        self.encoder = Encoder(text, groups * size, hidden, start.generator())

    def prefix(self, hook: AttentionHook) -> KVPrefix:
        """Where they start, moved by the MLP."""
        return KVPrefix(self.folded())

    def folded(self) -> dict[int, LayerKV]:
        """The keys and values that the table and the MLP stand for, [1, G, P, K] each."""
        both = self.encoder()  # layer by layer, keys before values
        parts = iter(both.split([G * size for G, *sizes in self.shapes for size in sizes], 1))

        def heads(groups: int) -> Tensor:
            """The next part, [1, G, P, K]."""
            return next(parts).unflatten(1, (groups, -1)).transpose(0, 1)[None]

        return {i: LayerKV(heads(G), heads(G)) for i, (G, _, _) in zip(self.layers, self.shapes, strict=True)}

    @torch.no_grad()
    def tensors(self) -> dict[str, Tensor]:
        """Folded to the names and shapes of a raw prefix."""
        return RawPrefix(self.folded()).tensors()

    def saved_as(self, method: Method) -> Method:
        """Raw keys and values."""
        return method.model_copy(update={"parametrization": "raw"})


METHOD = PrefixTuning
