"""A base model with an adapter: called and used like a transformers model.

The learned prefix and the common prefix of the sequences are computed once, for a batch in training and for all batches in evaluation, and
never enter the KV cache. Positions: learned prefix -P..-1, common prefix 0..S-1, sequences from S on.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from polyprefix.adapters.original import Attachments
from polyprefix.adapters.regimes import generate_in_regimes, logits_by_regime
from polyprefix.errors import ModelError
from polyprefix.methods.adapter import Adapter
from polyprefix.methods.base import Method
from polyprefix.models.head import keep_contiguous, only_at
from polyprefix.models.load import BaseModel
from polyprefix.prefix import AttentionHook, KVPrefix, Packed, packing


@dataclass(frozen=True, slots=True)
class ComputedPrefix:
    """Keys and values of the learned prefix and of the common prefix of some sequences, computed once for many batches."""

    kv: KVPrefix
    common_length: int = 0
    """S, tokens of the common prefix; sequences continue at position S."""
    regime: int = 0
    """The regime of rotary phases that it was computed for."""


class AdaptedModel(nn.Module):
    """Use `attach` to make one."""

    def __init__(self, base: BaseModel, method: Method, adapter: Adapter, *, restorable: bool = True) -> None:
        super().__init__()
        self.detached = False
        """Whether the base model is its own again, so that this can no longer be used."""
        self.restorable = restorable
        """Whether what `detach` needs was kept."""
        self.learned: Mapping[str, Any] | None = None
        """The task that it was trained on, as `adapter.json` has it; None where nobody said."""
        self.training_record: Any = None
        """What training did (`polyprefix.api.training.TrainingRecord`); None for an adapter that was loaded or not yet trained."""
        self.shared_activations: Any = None
        """Hidden states that its evaluation shares with other runs (`polyprefix.evaluation.shared_activations`); None for none."""
        self.base = base
        self.model: Any = base.model
        self.method = method
        self.adapter = adapter
        self.hook = AttentionHook.of(base.model)
        keep_contiguous(base.model)
        self.train(base.model.training)  # a new module says that it is training, and would pass that on

    def save_pretrained(self, path: str | Path) -> Path:
        """Write the adapter into a folder that `load_adapter`, `Predictor` and the command read: `adapter.safetensors`, `adapter.json`.

        Raises:
            OutputError: if the folder cannot be written.
        """
        from polyprefix.adapters.files import save_adapter

        return save_adapter(self, path)

    def print_trainable_parameters(self) -> None:
        """Print how many parameters are trained, and their share of all, as PEFT does."""
        counts = self.parameter_counts()
        trained, total = counts["trainable"], counts["total"]
        print(f"trainable params: {trained:,} || all params: {total:,} || trainable%: {100 * trained / total:.4f}")

    def detach(self) -> Any:
        """Take the adapter off and give the transformers model back: its logits are the same to the last bit as before `attach`.

        Undone is all that `attach` and training change: attention implementation, `requires_grad`, training mode, gradient checkpointing,
        hooks, injected layers, and weights. While other adapters are attached, the model keeps serving them. This object
        cannot be used afterwards; save it first.

        Returns:
            The transformers model.

        Raises:
            ModelError: if its weights were trained and no copy was kept (`restorable=False`), or if it is detached already.
        """
        self.require_attached()
        if not self.restorable:
            raise ModelError(
                f"{self.base.name}: its weights were trained and no copy was kept (restorable=False): load the model again"
            )
        self.adapter.unmerge()
        self.hook.set(None)
        self.detached = True
        if attachments := Attachments.on(self.model):
            attachments.leave(self)
        return self.model

    def require_attached(self) -> None:
        """Raises ModelError if the adapter was detached."""
        if self.detached:
            raise ModelError(
                f"the adapter '{self.method.name}' was detached from {self.base.name}: attach or load it again"
            )

    @property
    def is_gradient_checkpointing(self) -> bool:
        """Whether activations are recomputed in the backward pass."""
        return _checkpoints(self.model)

    def gradient_checkpointing_enable(self, *_: Any, **__: Any) -> None:
        """Recompute activations in the backward pass.

        What transformers' trainers ask for beside it is not used: without re-entrance, for a prefix reaches the layers as a closure and
        not as an argument.
        """
        enable = (
            getattr(self.model, "activation_checkpointing_enable", None) or self.model.gradient_checkpointing_enable
        )  # its name before 5.2x
        enable({"use_reentrant": False})
        self.model.disable_input_require_grads()  # of embeddings, asked for by re-entrance: all layers would have gradients

    def gradient_checkpointing_disable(self) -> None:
        """Keep activations again."""
        disable = (
            getattr(self.model, "activation_checkpointing_disable", None) or self.model.gradient_checkpointing_disable
        )
        disable()

    # what transformers calls them from 5.2x on, and alone from 6 on
    activation_checkpointing_enable = gradient_checkpointing_enable
    activation_checkpointing_disable = gradient_checkpointing_disable

    def add_model_tags(self, tags: Any) -> None:
        """Nothing: TRL's trainers tag their models for the Hub, and the tags of an adapter come from its card."""

    # set by polyprefix.api, so that further evaluations of an adapter count as more languages of its run
    place: str | None = None
    """Where it was loaded from."""
    run_id: str | None = None
    """The run that its first evaluation made."""

    @property
    def config(self) -> Any:
        """The base model's configuration."""
        return self.model.config

    @property
    def generation_config(self) -> Any:
        """A copy of the base model's: TRL's trainers write special tokens into what they get here."""
        return copy.deepcopy(self.model.generation_config)

    @property
    def device(self) -> torch.device:
        """Where inputs belong."""
        return self.hook.device

    def compute_prefix(self, common_prefix: Tensor | None = None, length: int | None = None) -> ComputedPrefix:
        """Keys and values of the learned prefix, and of the common prefix, which attends to it.

        Args:
            common_prefix: token ids, [S] or [1, S].
            length: tokens of the sequences that will follow, common prefix included, where rotary phases depend on it.
        """
        self.require_attached()
        regime = self.hook.lengths.regime(length or 0)
        with self.hook.lengths.for_length(length):
            learned = self.adapter.prefix(self.hook) or KVPrefix()
            if common_prefix is None or common_prefix.numel() == 0:
                return ComputedPrefix(learned, 0, regime)
            common_prefix = common_prefix.reshape(1, -1).to(self.device)
            common = self.hook.compute_kv(input_ids=common_prefix, start=0, before=learned)
            return ComputedPrefix(learned.then(common), common_prefix.shape[1], regime)

    def shareable(self, common: int, longest: int) -> int:
        """How many of `common` leading tokens may be a computed prefix, when the longest sequence has `longest` tokens in all.

        All or none: beyond a sliding window or a chunk of attention later tokens must not see them, and every token sees a prefix.
        """
        return common if self.hook.lengths.shares(longest) else 0

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        common_prefix: Tensor | None = None,
        prefix: ComputedPrefix | None = None,
        packed: Packed | None = None,
        logit_positions: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """A forward pass of the base model over sequences that attend to the prefix.

        Args:
            input_ids: [B, T], padded on either side, or packed (then with position_ids that restart at 0).
            attention_mask: [B, T], or [B, past + T] with `past_key_values`.
            position_ids: [B, T], counted from the end of the common prefix; by default from the mask.
            common_prefix: [S] token ids that every sequence begins with, left out of input_ids.
            prefix: from `compute_prefix()`, for many batches; instead of common_prefix.
            packed: the layout of a row [1, N] of several sequences, only where `hook.supports_packing()`; instead of mask and positions, and
                of common_prefix where the row starts with it.
            logit_positions: [A], flat indices into [B, T] of the tokens whose logits are computed; by default all.
            kwargs: as the base model takes them (`inputs_embeds`, `labels`, `logits_to_keep`, `past_key_values`, ...).

        Returns:
            The base model's output; logits [B, T or logits_to_keep, V], or [1, A, V], are those of input_ids alone.

        Raises:
            ModelError: if a sequence is longer than the model is served exactly.
            ValueError: if sequences of this length cannot share a pass or a computed prefix.
        """
        self.require_attached()
        if packed is not None:  # all ones: nothing is padding, and transformers need not look for borders itself
            position_ids, attention_mask = packed.position[None], torch.ones_like(packed.position)[None]
        elif position_ids is None:
            position_ids = _positions(input_ids, attention_mask, kwargs)
        else:
            self._require_apart(position_ids, attention_mask)
        before = prefix.common_length if prefix else 0 if common_prefix is None else common_prefix.numel()
        within = packed.lengths if packed is not None else self._lengths(position_ids, attention_mask)
        lengths = [before + length for length in within]
        if packed is None and len({self.hook.lengths.regime(length) for length in lengths}) > 1:
            rows = (input_ids, attention_mask, position_ids)
            return logits_by_regime(
                self, rows, lengths, common_prefix, plain=not (prefix or kwargs or logit_positions is not None)
            )
        if packed is not None:
            together, row = len(packed.lengths), packed.position.numel()
        else:
            together, row = len(input_ids if input_ids is not None else kwargs["inputs_embeds"]), 0
        self.hook.lengths.check(lengths, shared=before, together=together > 1, row=row)
        length = max(lengths) if self.hook.lengths.rope.switches else None
        prefix = prefix or self.compute_prefix(common_prefix, length)
        if prefix.regime != self.hook.lengths.regime(length or 0):
            raise ValueError(
                f"the prefix was not computed for sequences of {length} tokens: give their length to compute_prefix()"
            )
        kwargs.setdefault("use_cache", False)
        with (
            self._reading(prefix, packed),
            packing(packed),
            only_at(self.model, logit_positions),
            self.hook.lengths.for_length(length),
        ):
            return self.model(
                input_ids=input_ids,
                attention_mask=attention_mask,
                position_ids=position_ids + prefix.common_length,
                **kwargs,
            )

    @contextmanager
    def _reading(self, prefix: ComputedPrefix, packed: Packed | None) -> Iterator[None]:
        """Attention joins the prefix inside; afterwards the base model is itself again, where no backward pass will need the prefix anew."""
        self.hook.set(prefix.kv, packed)
        try:
            yield
        finally:
            if not (torch.is_grad_enabled() and _checkpoints(self.model)):
                self.hook.set(None)

    def _require_apart(self, position_ids: Tensor, attention_mask: Tensor | None) -> None:
        """Raises ModelError where positions restart inside a row, as of texts packed by others, and the model does not keep them apart."""
        restarts = attention_mask is None and bool((position_ids.diff() != 1).any())
        if restarts and not self.hook.isolates_packed_sequences():
            raise ModelError(
                f"{self.base.name} does not keep packed sequences apart: turn packing off (packing=False, "
                "padding_free=False), or give them as rows of a padded batch"
            )

    def _lengths(self, position_ids: Tensor, attention_mask: Tensor | None) -> list[int]:
        """Tokens of each row, or of each sequence in a row whose positions restart; the width of all rows where that is enough."""
        rules, width = self.hook.lengths, int(position_ids.shape[-1])
        if rules.first_switch is None or (width < rules.first_switch and not rules.rope.switches):
            return [width]
        if attention_mask is not None:
            return sorted({int(n) for n in (position_ids.amax(-1) + 1).tolist()})
        ends = torch.nn.functional.pad(position_ids.diff() != 1, (0, 1), value=True)
        return sorted({int(n) for n in (position_ids[ends] + 1).tolist()})

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        common_prefix: Tensor | None = None,
        prefix: ComputedPrefix | None = None,
        **kwargs: Any,
    ) -> Any:
        """transformers' `generate` (greedy, sampling, beams, with or without cache) over left-padded prompts [B, T].

        Where rotary phases change while an answer grows, its row is generated alone and read anew at each change.

        Raises:
            ModelError: if a sequence would be longer than the model is served exactly.
            ValueError: if sequences of this length cannot share a computed prefix.
        """
        self.require_attached()
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        settings = kwargs.get("generation_config")
        new = kwargs.get("max_new_tokens") or getattr(settings, "max_new_tokens", None) or 0
        before = prefix.common_length if prefix else 0 if common_prefix is None else common_prefix.numel()
        positions = _positions(input_ids, attention_mask, {})
        lengths = [before + n for n in self._lengths(positions, attention_mask)]
        self.hook.lengths.check([n + new for n in lengths], shared=before, together=len(input_ids) > 1)
        length = max(lengths) if self.hook.lengths.rope.switches else None
        regimes = {self.hook.lengths.regime(n + k) for n in lengths for k in range(new or 1)}
        if len(regimes) > 1:
            if prefix and before:
                raise ValueError("a computed common prefix cannot precede answers whose rotary phases change")
            return generate_in_regimes(
                self, input_ids, attention_mask, common_prefix, **{**kwargs, "max_new_tokens": new}
            )
        prefix = prefix or self.compute_prefix(common_prefix, length)
        positions = positions + prefix.common_length
        with self.hook.using(prefix.kv), self.hook.lengths.for_length(length):
            return self.model.generate(
                input_ids=input_ids, attention_mask=attention_mask, position_ids=positions, **kwargs
            )

    def trainable(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters that training moves, by name."""
        return self.adapter.trainable()

    def parameter_counts(self) -> dict[str, int]:
        """`trainable`, and `total` with the base model's."""
        own = sum(p.numel() for p in self.adapter.parameters())
        return {
            "trainable": sum(p.numel() for _, p in self.trainable()),
            "total": sum(p.numel() for p in self.model.parameters()) + own,
        }


def _checkpoints(model: Any) -> bool:
    """Whether the model recomputes activations in the backward pass."""
    return any(getattr(module, "gradient_checkpointing", False) is True for module in model.modules())


def _positions(input_ids: Tensor | None, attention_mask: Tensor | None, kwargs: dict[str, Any]) -> Tensor:
    """Positions of the text, from 0 at its first real token, whichever side the padding is on, [B, T]."""
    tokens = input_ids if input_ids is not None else kwargs["inputs_embeds"]
    past = kwargs.get("past_key_values")
    seen = past.get_seq_length() if past is not None else 0
    if attention_mask is None or attention_mask.ndim != 2:
        return torch.arange(seen, seen + tokens.shape[1], device=tokens.device)[None]
    return (attention_mask.long().cumsum(-1) - 1).clamp(min=0)[:, -tokens.shape[1] :]
