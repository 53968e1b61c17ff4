"""The hook between a base model and a prefix.

An `AttentionHook` switches a transformers model to our attention function, learns by one probe which modules call it and how, and then
does three things for any architecture, without a list of names and without touching a model file:

    using(prefix)         text attends to a prefix during the calls inside
    compute_kv(tokens)    the keys and values that the model makes of tokens, by layer
    project(hidden)       the keys and values that each layer's frozen projections make of given hidden states

Before an architecture is accepted, it is asked for the same logits with tokens in front of the text and with their keys and values
as a prefix (polyprefix.prefix.probe). Absolute positions, recurrent layers and attention that bypasses the interface fail that and are
refused by name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from functools import cached_property, partial
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyprefix.errors import ModelError, first_line
from polyprefix.models.facts import Facts
from polyprefix.models.head import embedding_table
from polyprefix.models.shrink import lengths_of
from polyprefix.prefix import probe
from polyprefix.prefix.attention import IMPLEMENTATIONS, STATE, AttentionState, ours
from polyprefix.prefix.kv import KVPrefix, LayerKV
from polyprefix.prefix.lengths import LengthRules, Limits, switch_lengths
from polyprefix.prefix.limits import measure_limits
from polyprefix.prefix.packed import Packed, packing
from polyprefix.prefix.probe import PROBE_TOKENS, probe_ids, refusal
from polyprefix.prefix.rope_scaling import RotaryRegimes, rotary_calls

Call = tuple[tuple[Any, ...], dict[str, Any]]
"""Positional and keyword arguments of an attention module."""


class AttentionHook:
    """A base model that can be given a prefix. Use `AttentionHook.of(model)`: one model has one hook."""

    def __init__(self, model: PreTrainedModel) -> None:
        self.model = model
        self.modules: list[nn.Module] = []
        """The attention modules, in the order in which a forward pass calls them."""
        self.lengths: LengthRules
        """What may be done with sequences of some length."""
        self._kv_shapes: list[tuple[int, int, int]] = []
        self._query_heads: list[int] = []
        self._calls: dict[tuple[tuple[int, ...], torch.device, torch.dtype, int], list[Call]] = {}
        self._rope = RotaryRegimes([], [])
        self._implementation = model.config._attn_implementation
        self._facts = Facts.of(model)
        try:
            self._install()
            self._facts.recall("serves_exactly", partial(probe.serves_exactly, self))
        except BaseException:
            self.remove()
            raise

    def remove(self) -> None:
        """Leave the model as it was: its own attention, and nothing of ours on its modules. The hook is of no use afterwards."""
        for module in self.model.modules():
            module.__dict__.pop(STATE, None)
        self._rope.remove()
        if self.model.config._attn_implementation == ours(self._implementation):
            self.model.set_attn_implementation(self._implementation)
        self.model.__dict__.pop("_polyprefix_hook", None)

    def reinstall(self) -> None:
        """Switch the model to our attention again if somebody gave it another implementation, which then runs underneath ours.

        Raises:
            ModelError: if ours cannot run on top of it.
        """
        current = self.model.config._attn_implementation
        if current == ours(self._implementation):
            return
        self._require_known(current)
        self._implementation = current
        self.model.set_attn_implementation(ours(current))
        self._calls.clear()

    @classmethod
    def of(cls, model: PreTrainedModel) -> AttentionHook:
        """The model's hook, made and verified at the first call.

        Raises:
            ModelError: if the architecture cannot be served exactly.
        """
        hook = cls.on(model)
        if hook is None:
            hook = cls(model)
            model.__dict__["_polyprefix_hook"] = hook
        return hook

    @classmethod
    def on(cls, model: Any) -> AttentionHook | None:
        """The model's hook, if it has one."""
        hook: AttentionHook | None = model.__dict__.get("_polyprefix_hook")
        return hook

    # --- shape ---------------------------------------------------------------------------------------------------

    @property
    def layers(self) -> int:
        """L, the number of attention layers."""
        return len(self.modules)

    @property
    def width(self) -> int:
        """D, the width of the hidden states."""
        return embedding_table(self.model).shape[1]

    @property
    def device(self) -> torch.device:
        """Where the input embeddings live."""
        return embedding_table(self.model).device

    def device_of(self, layer: int) -> torch.device:
        """Where a layer computes; where its weights are not there until they are needed, where the embeddings live."""
        device = next((p.device for p in self.modules[layer].parameters()), self.device)
        return self.device if device.type == "meta" else device

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the hidden states."""
        return embedding_table(self.model).dtype

    def heads(self, layer: int) -> int:
        """H, the number of query heads of a layer."""
        return self._query_heads[layer]

    def kv_shape(self, layer: int) -> tuple[int, int, int]:
        """(G, K of keys, K of values) of a layer, as measured, not as configured."""
        return self._kv_shapes[layer]

    # --- what it does --------------------------------------------------------------------------------------------

    def set(self, prefix: KVPrefix | None, packed: Packed | None = None) -> None:
        """Make text attend to this prefix from now on; with a layout, several sequences in one row.

        It stays set after a forward pass, since gradient checkpointing runs layers again in the backward pass.
        """
        self.reinstall()
        prefix = prefix or KVPrefix()
        for index, module in enumerate(self.modules):
            state = _state(module)
            state.joined, state.gated, state.packed = prefix.joined.get(index), prefix.gated.get(index), packed

    @contextmanager
    def using(self, prefix: KVPrefix | None) -> Iterator[None]:
        """Text attends to this prefix inside the block, and to none after it."""
        self.set(prefix)
        try:
            yield
        finally:
            self.set(None)

    def compute_kv(
        self,
        input_ids: Tensor | None = None,
        inputs_embeds: Tensor | None = None,
        *,
        start: int = 0,
        before: KVPrefix | None = None,
        packed: Packed | None = None,
    ) -> KVPrefix:
        """The keys and values that the model makes of tokens: a soft prompt, a shared instruction, the prompts of a batch.

        Args:
            input_ids: [1, P], or
            inputs_embeds: [1, P, D], with gradients if they have any.
            start: position of the first token; -P for tokens that end right before a text at position 0.
            before: what the tokens themselves attend to.
            packed: the layout of several sequences, all from `start` on; only where `supports_packing()`.

        Returns:
            One joined [1, G, P, K] pair per layer.
        """
        tokens = input_ids if input_ids is not None else inputs_embeds
        if tokens is None or tokens.shape[0] != 1 or tokens.shape[1] == 0:
            raise ValueError("compute_kv() takes input_ids [1, P] or inputs_embeds [1, P, D] with P >= 1")
        own = torch.arange(tokens.shape[1], device=self.device) if packed is None else packed.position
        whole = None if packed is None else torch.ones_like(own)[None]
        self.set(before, packed)
        with (
            _without_checkpointing(self.model), self._capturing() as attention_states, packing(packed),
            self._some_length(start + tokens.shape[1]),
        ):  # fmt: skip
            self.model.base_model(
                input_ids=input_ids, inputs_embeds=inputs_embeds, attention_mask=whole,
                position_ids=(start + own)[None], use_cache=False,
            )  # fmt: skip
            captured = {state.index: state.captured for state in attention_states if state.captured is not None}
        self.set(None)
        return KVPrefix(captured)

    @torch.no_grad()
    def hidden(self, input_ids: Tensor, *, start: int) -> dict[int, Tensor]:
        """What each attention module receives for tokens at positions start.., layer -> [1, P, D]: `project` turns it into their keys."""
        calls = self._calls_for(input_ids=input_ids, positions=range(start, start + input_ids.shape[1]))
        return {layer: _states(args, kwargs) for layer, (args, kwargs) in enumerate(calls)}

    def project(self, hidden: Mapping[int, Tensor], positions: Sequence[int]) -> dict[int, LayerKV]:
        """Keys and values that the frozen projections of chosen layers make of given hidden states.

        Each layer's attention module is called as the model itself calls it, so biases, fused projections, key norms and rotary
        phases are the model's own; attention itself is skipped.

        Args:
            hidden: layer -> [1, P, D].
            positions: P positions for the rotary embedding of the keys; all 0 leaves them unrotated.
        """
        return {layer: kv for layer, (_, kv) in self.project_all(hidden, positions).items()}

    def project_all(self, hidden: Mapping[int, Tensor], positions: Sequence[int]) -> dict[int, tuple[Tensor, LayerKV]]:
        """The same with queries [1, H, P, K] before keys and values."""
        self.reinstall()
        calls = self._calls_at(tuple(positions))
        result = {}
        for layer, states in hidden.items():
            module, state = self.modules[layer], _state(self.modules[layer])
            args, kwargs = calls[layer]
            states = states.to(self.dtype)
            state.capture = state.only_capture = True
            try:
                if "hidden_states" in kwargs:
                    module(*args, **{**kwargs, "hidden_states": states})
                else:
                    module(states, *args[1:], **kwargs)
                assert state.queries is not None and state.captured is not None  # attention sets both on every call
                result[layer] = state.queries, state.captured
            finally:
                state.capture = state.only_capture = False
                state.queries = state.captured = None
        return result

    @cached_property
    def _isolates_packed_sequences(self) -> bool:
        return self._facts.recall("keeps_packed_sequences_apart", partial(probe.keeps_packed_sequences_apart, self))

    def isolates_packed_sequences(self) -> bool:
        """Whether the model keeps sequences apart that are packed into one row with positions that restart (some do not look)."""
        return self._isolates_packed_sequences

    @cached_property
    def _supports_packing(self) -> bool:
        return self._facts.recall("takes_rows", partial(probe.takes_rows, self))

    def supports_packing(self) -> bool:
        """Whether sequences can be packed into one row: the model leaves its masks to transformers' interface."""
        return self._supports_packing

    def supports_mixed_prefixes(self) -> bool:
        """Whether rows of a forward pass may have prefixes of their own (polyprefix.prefix.mixed); flex attention's block masks are one for
        all rows."""
        return self._implementation != "flex_attention"

    @cached_property
    def _caches(self) -> bool:
        return self._facts.recall("caches_what_it_attends_to", partial(probe.caches_what_it_attends_to, self))

    def caches_what_it_attends_to(self) -> bool:
        """Whether sequences can continue from keys and values that were computed in one row: a model that takes rows, and whose cache holds
        what its attention sees."""
        return self._caches and self.supports_packing()

    # --- how it learns the model ---------------------------------------------------------------------------------

    def _install(self) -> None:
        name = type(self.model).__name__
        current = self.model.config._attn_implementation
        self._require_known(current)
        if getattr(self.model, "_is_stateful", False):  # transformers' own word for a state that is no KV cache
            raise refusal(name, "its recurrent layers carry a state that a prefix does not reach")
        try:
            self.model.set_attn_implementation(ours(current))
        except (ValueError, KeyError) as error:
            raise refusal(name, "it does not use transformers' attention interface") from error
        candidates = [m for m in self.model.modules() if hasattr(m, "layer_idx") or "Attention" in type(m).__name__]
        for module in candidates:
            module.__dict__[STATE] = AttentionState(-1, capture=True)
        try:
            with torch.no_grad(), rotary_calls(self.model) as calls:
                self.model.base_model(input_ids=probe_ids(self.model), use_cache=False)
        except Exception as error:
            raise refusal(
                name, f"a probe of {PROBE_TOKENS} tokens failed ({type(error).__name__}: {first_line(error)[:120]})"
            ) from error
        attention_states = [(module, module.__dict__.pop(STATE)) for module in candidates]
        attending = [(module, state) for module, state in attention_states if state.captured is not None]
        if not attending or any(state.calls > 1 for _, state in attending):
            raise refusal(name, "its attention layers are shared, or bypass transformers' attention interface")
        expected = self.model.config.get_text_config().num_hidden_layers
        if len(attending) != expected:
            raise refusal(
                name, f"only {len(attending)} of its {expected} layers attend through transformers' interface"
            )
        for index, (module, state) in enumerate(attending):
            module.__dict__[STATE] = AttentionState(index)
            self.modules.append(module)
            keys, values = state.captured.keys, state.captured.values
            self._kv_shapes.append((keys.shape[1], keys.shape[3], values.shape[3]))
            self._query_heads.append(state.heads)
        windows = [state.window for _, state in attending if state.window]
        window = min(windows) if windows else None
        named = lengths_of(self.model.config.get_text_config())
        self._rope = RotaryRegimes(calls, sorted(set(named.values())))
        switches = switch_lengths(named, self._rope.switches, window)
        self.lengths = LengthRules(name, self._rope, switches, window, self._limits)

    def _limits(self) -> Limits:
        return Limits(**self._facts.recall("limits", lambda: asdict(measure_limits(self))))

    def _require_known(self, implementation: str) -> None:
        if implementation not in IMPLEMENTATIONS:
            raise ModelError(
                f"{type(self.model).__name__} runs attention '{implementation}': load it with one of {', '.join(IMPLEMENTATIONS)} "
                "(--set runtime.attention=...)"
            )

    def _calls_at(self, positions: tuple[int, ...]) -> list[Call]:
        """How the model calls each attention module for tokens at these positions: rotary phases and all, hidden states aside."""
        key = (positions, self.device, self.dtype, self._rope.regime(self._rope.length or 0))
        if key not in self._calls:
            embeds = torch.zeros(1, len(positions), self.width, device=self.device, dtype=self.dtype)
            self._calls[key] = self._calls_for(inputs_embeds=embeds, positions=positions)
        return self._calls[key]

    @torch.no_grad()
    def _calls_for(self, *, positions: Sequence[int], **tokens: Tensor) -> list[Call]:
        seen: dict[int, Call] = {}

        def remember(module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
            seen[_state(module).index] = (args, kwargs)

        hooks = [m.register_forward_pre_hook(remember, with_kwargs=True) for m in self.modules]
        self.set(None)
        try:
            with _without_checkpointing(self.model), self._some_length(max(positions) + 1):
                ids = torch.tensor([list(positions)], device=self.device)
                self.model.base_model(position_ids=ids, use_cache=False, **tokens)
        finally:
            for hook in hooks:
                hook.remove()
        return [seen[index] for index in range(self.layers)]

    def _some_length(self, length: int) -> AbstractContextManager[None]:
        """Phases of the sequences under way; where none is, of one of this length."""
        return self._rope.at(self._rope.length or max(1, length))

    @contextmanager
    def _capturing(self) -> Iterator[list[AttentionState]]:
        attention_states = [_state(module) for module in self.modules]
        for state in attention_states:
            state.capture, state.captured = True, None
        try:
            yield attention_states
        finally:
            for state in attention_states:
                state.capture, state.captured = False, None


def _states(args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    return kwargs["hidden_states"] if "hidden_states" in kwargs else args[0]


def _state(module: nn.Module) -> AttentionState:
    return module.__dict__[STATE]


@contextmanager
def _without_checkpointing(model: nn.Module) -> Iterator[None]:
    """A prefix is a few tokens: recomputing it saves nothing, and the backward pass would recompute it under the text's prefix."""
    switched: list[Any] = [m for m in model.modules() if getattr(m, "gradient_checkpointing", False) is True]
    for module in switched:
        module.gradient_checkpointing = False
    try:
        yield
    finally:
        for module in switched:
            module.gradient_checkpointing = True
