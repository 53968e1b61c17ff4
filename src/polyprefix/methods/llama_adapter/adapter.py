"""What Llama-Adapter trains: prompts, and the gates that they stand behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from polyprefix.methods.adapter import Adapter, empty_states, tokens_of_length
from polyprefix.methods.base import Start
from polyprefix.models.load import BaseModel
from polyprefix.prefix import AttentionHook, GatedKV, KVPrefix, parse_layers

if TYPE_CHECKING:
    from polyprefix.methods.llama_adapter import LlamaAdapter


def build(method: LlamaAdapter, base: BaseModel, hook: AttentionHook, start: Start) -> Adapter:
    """Prompts with their initial values, and closed gates."""
    layers = parse_layers(method.layers, hook.layers)
    if start.empty:
        states = empty_states(hook, layers, method.length)
    else:
        ids = tokens_of_length(base, method.init_text or start.text, method.length)
        states = {i: s.float() for i, s in hook.hidden(ids, start=-method.length).items() if i in layers}
        if method.init == "random":
            generator = start.generator()
            states = {i: torch.randn(s.shape, generator=generator).to(s.device) * s.std() for i, s in states.items()}
    gates = {i: method.gates(hook.heads(i)) for i in layers}
    return GatedPrompts(states, gates, method.tanh)


class GatedPrompts(Adapter):
    """Prompts [1, P, D] and gates [H] or [1], a layer each; a layer without gates has one that is 1."""

    def __init__(self, states: dict[int, Tensor], gates: dict[int, int], tanh: bool) -> None:
        super().__init__()
        self.tanh = tanh
        self.prompts = nn.ParameterDict({str(i): nn.Parameter(s.clone()) for i, s in states.items()})
        self.gates = nn.ParameterDict(
            {str(i): nn.Parameter(torch.zeros(n, device=states[i].device)) for i, n in gates.items() if n}
        )

    def prefix(self, hook: AttentionHook) -> KVPrefix:
        """Keys without rotary phase: every token is at position 0, where rotary embedding is the identity."""
        length = next(iter(self.prompts.values())).shape[1]
        kv = hook.project({int(i): p for i, p in self.prompts.items()}, [0] * length)
        gates = {int(i): torch.tanh(g) if self.tanh else g for i, g in self.gates.items()}
        return KVPrefix(gated={i: GatedKV(kv[i], gates.get(i, kv[i].values.new_ones(1))) for i in kv})
