"""What prefix tuning trains: keys and values, hidden states, or an encoder of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from polyprefix.methods.adapter import Adapter, empty_states, tokens_of_length
from polyprefix.methods.base import Start
from polyprefix.methods.encoder import Encoder
from polyprefix.models.load import BaseModel
from polyprefix.prefix import AttentionHook, KVPrefix, LayerKV, parse_layers

if TYPE_CHECKING:
    from polyprefix.methods.prefix_tuning import PrefixTuning


def build(method: PrefixTuning, base: BaseModel, hook: AttentionHook, start: Start) -> Adapter:
    """The adapter of the chosen parametrisation, with its initial values."""
    layers = parse_layers(method.layers, hook.layers)
    if method.parametrization == "projected":
        return ProjectedPrefix(_states(method, base, hook, start, layers))
    values = _empty(method, hook, layers) if start.empty else _of_text(method, base, hook, start, layers)
    return RawPrefix(values) if method.parametrization == "raw" else MLPPrefix(values, method.hidden, start)


def _states(
    method: PrefixTuning, base: BaseModel, hook: AttentionHook, start: Start, layers: Sequence[int]
) -> dict[int, Tensor]:
    """The hidden states that a projected prefix starts from, layer -> [1, P, D]."""
    if start.empty:
        return empty_states(hook, layers, method.length)
    ids = tokens_of_length(base, method.init_text or start.text, method.length)
    states = hook.hidden(ids, start=-method.length)
    return {i: _begin(states[i].float(), method.init, start, i) for i in layers}


def _of_text(
    method: PrefixTuning, base: BaseModel, hook: AttentionHook, start: Start, layers: Sequence[int]
) -> dict[int, LayerKV]:
    """The keys and values of the text that a prefix starts from."""
    ids = tokens_of_length(base, method.init_text or start.text, method.length)
    with torch.no_grad():
        text = hook.compute_kv(input_ids=ids, start=-method.length).joined
    return {
        i: LayerKV(
            _begin(text[i].keys.float(), method.init, start, 2 * i),
            _begin(text[i].values.float(), method.init, start, 2 * i + 1),
        )
        for i in layers
    }


def _empty(method: PrefixTuning, hook: AttentionHook, layers: Sequence[int]) -> dict[int, LayerKV]:
    """Zeros in place of keys and values that are loaded next."""
    found = {}
    for i in layers:
        groups, *sizes = hook.kv_shape(i)
        shapes = [(1, groups, method.length, size) for size in sizes]
        found[i] = LayerKV(*(torch.zeros(shape, dtype=torch.float32, device=hook.device_of(i)) for shape in shapes))
    return found


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
