"""A base model with an adapter: called and used like a transformers model.

What stands before a text - the learned prefix, and the tokens that all texts of a batch begin with - is computed once, for a batch in
training and for all batches in evaluation, and never enters the KV cache. Positions: prefix -P..-1, shared tokens 0..S-1, text from S.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from polyprefix.errors import ModelError
from polyprefix.methods.base import Adapter, Method, Start
from polyprefix.models.head import keep_contiguous, only_at
from polyprefix.models.load import BaseModel
from polyprefix.prefix import KVPrefix, Packed, Seam, packing

NEUTRAL_TEXT = "Read the following text carefully and answer the question about it.\n"


@dataclass(frozen=True, slots=True)
class Context:
    """What stands before the text, and how many of its tokens count as positions of the text."""

    prefix: KVPrefix
    shared_length: int = 0
    """S."""


class AdaptedModel(nn.Module):
    """Use `attach` to make one."""

    def __init__(self, base: BaseModel, method: Method, adapter: Adapter) -> None:
        super().__init__()
        self.base = base
        self.model: Any = base.model
        self.method = method
        self.adapter = adapter
        self.seam = Seam.of(base.model)
        keep_contiguous(base.model)

    @property
    def config(self) -> Any:
        """The base model's configuration."""
        return self.model.config

    @property
    def device(self) -> torch.device:
        """Where inputs belong."""
        return self.seam.device

    def context(self, shared_ids: Tensor | None = None) -> Context:
        """What stands before the text: the learned prefix, then the shared tokens [S] or [1, S], which attend to it."""
        learned = self.adapter.prefix(self.seam) or KVPrefix()
        if shared_ids is None or shared_ids.numel() == 0:
            return Context(learned)
        shared_ids = shared_ids.reshape(1, -1).to(self.device)
        shared = self.seam.read(input_ids=shared_ids, start=0, before=learned)
        return Context(learned.then(shared), shared_ids.shape[1])

    def shareable(self, shared: int, longest: int) -> int:
        """How many of `shared` leading tokens may be given as context, when the longest text has `longest` tokens in all.

        All or none: beyond a sliding window, later tokens must not see them, and a prefix is seen by all.
        """
        return shared if self.seam.window is None or longest <= self.seam.window else 0

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        *,
        shared_ids: Tensor | None = None,
        context: Context | None = None,
        packed: Packed | None = None,
        at: Tensor | None = None,
        **kwargs: Any,
    ) -> Any:
        """A forward pass of the base model over texts that attend to the prefix.

        Args:
            input_ids: [B, T], padded on either side, or packed (then with position_ids that restart at 0).
            attention_mask: [B, T], or [B, past + T] with `past_key_values`.
            position_ids: [B, T], counted after the shared tokens; by default from the mask.
            shared_ids: [S] tokens that every text begins with, left out of input_ids.
            context: what `context()` gave, to use it for many batches; instead of shared_ids.
            packed: the layout of a row [1, N] of several texts, only where `seam.flattens()`; instead of mask and positions, and of
                shared_ids where these stand at its head.
            at: [A], the tokens, counted through [B, T], whose logits are wanted; the head computes nothing else.
            kwargs: as the base model takes them (`inputs_embeds`, `labels`, `logits_to_keep`, `past_key_values`, ...).

        Returns:
            The base model's output; logits [B, T or logits_to_keep, V], or [1, A, V], are those of input_ids alone.
        """
        context = context or self.context(shared_ids)
        if packed is not None:  # all ones: nothing is padding, and transformers need not look for borders itself
            position_ids, attention_mask = packed.position[None], torch.ones_like(packed.position)[None]
        elif position_ids is None:
            position_ids = _positions(input_ids, attention_mask, kwargs)
        elif attention_mask is None and bool((position_ids.diff() != 1).any()) and not self.seam.packs():
            raise ModelError(
                f"{self.base.name} does not keep packed sequences apart: give them as rows of a padded batch"
            )
        self._check_window(context, position_ids if packed is not None else None, position_ids.shape[1])
        kwargs.setdefault("use_cache", False)
        self.seam.set(context.prefix, packed)
        try:
            with packing(packed), only_at(self.model, at):
                return self.model(
                    input_ids=input_ids,
                    attention_mask=attention_mask,
                    position_ids=position_ids + context.shared_length,
                    **kwargs,
                )
        finally:
            if not (
                torch.is_grad_enabled() and _checkpoints(self.model)
            ):  # the backward pass will need it again; otherwise the base model is itself again
                self.seam.set(None)

    @torch.no_grad()
    def generate(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        *,
        shared_ids: Tensor | None = None,
        context: Context | None = None,
        **kwargs: Any,
    ) -> Any:
        """transformers' `generate` (greedy, sampling, beams, with or without cache) over left-padded prompts [B, T]."""
        context = context or self.context(shared_ids)
        if attention_mask is None:
            attention_mask = torch.ones_like(input_ids)
        positions = _positions(input_ids, attention_mask, {})
        self._check_window(context, None, positions.shape[1] + (kwargs.get("max_new_tokens") or 0))
        positions = positions + context.shared_length
        with self.seam.using(context.prefix):
            return self.model.generate(
                input_ids=input_ids, attention_mask=attention_mask, position_ids=positions, **kwargs
            )

    def _check_window(self, context: Context, packed: Tensor | None, tokens: int) -> None:
        """Raises ValueError if shared tokens would be seen from beyond a window: `tokens` after them, or of each text in a packed row."""
        if context.shared_length and self.seam.window is not None:
            longest = context.shared_length + (tokens if packed is None else int(packed.max()) + 1)
            if self.shareable(context.shared_length, longest) == 0:
                raise ValueError(
                    f"{longest} tokens exceed the sliding window of {self.seam.window}: shared tokens would stay visible too long; "
                    "put them in front of each text instead (see shareable())"
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


def attach(base: BaseModel, method: Method, *, init_text: str | None = None, seed: int = 0) -> AdaptedModel:
    """Give a base model a new adapter.

    Args:
        base: from `load_model`; its weights stay as they are unless the method changes them.
        method: settings such as `PrefixTuning(length=10, layers="top:16")`.
        init_text: real text to start from where the method's own `init_text` is not set.
        seed: of random initial values.

    Raises:
        ModelError: if the architecture cannot be served, or if an earlier adapter changed the base model.
        ConfigError: if the settings do not fit the model.
    """
    if earlier := is_changed(base):
        raise ModelError(f"{base.name} was changed by an earlier '{earlier}' adapter: load the model again")
    seam = Seam.of(base.model)
    adapter = method.build(base, seam, Start(init_text or NEUTRAL_TEXT, seed))
    if method.changes_base:
        mark_changed(base, method.name)
    return AdaptedModel(base, method, adapter)


def mark_changed(base: BaseModel, by: str) -> None:
    """Say that the base model's own modules are no longer what was loaded."""
    base.model.__dict__["_polyprefix_changed_by"] = by


def is_changed(base: BaseModel) -> str | None:
    """The method whose adapter altered the base model's own modules, so that it can serve no other; None if none did."""
    name: str | None = base.model.__dict__.get("_polyprefix_changed_by")
    return name


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
