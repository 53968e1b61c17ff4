"""Sequences whose rotary phases depend on their length: passes and answers in which the length crosses a change."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from transformers import StoppingCriteriaList
from transformers.modeling_outputs import CausalLMOutputWithPast

if TYPE_CHECKING:
    from polyprefix.adapters.adapted import AdaptedModel


def logits_by_regime(
    model: AdaptedModel, rows: tuple[Any, ...], lengths: Sequence[int], common_prefix: Tensor | None, *, plain: bool
) -> CausalLMOutputWithPast:
    """Logits of padded rows whose rotary phases differ, one regime at a time."""
    ids, mask, positions = rows
    if not plain or ids is None or mask is None or len(positions) != len(ids):
        raise ValueError(
            f"rows of {min(lengths)} to {max(lengths)} tokens: the rotary phases of {model.base.name} depend on the length, "
            f"so that rows on both sides of {model.hook.lengths.rope.switches[0]} tokens need passes of their own"
        )
    shared = 0 if common_prefix is None else common_prefix.numel()
    regimes = [model.hook.lengths.regime(shared + int(n)) for n in (positions.amax(-1) + 1).tolist()]
    logits: Tensor | None = None
    for regime in sorted(set(regimes)):
        chosen = torch.tensor([n for n, own in enumerate(regimes) if own == regime], device=ids.device)
        part = model(ids[chosen], mask[chosen], positions[chosen], common_prefix=common_prefix)
        logits = part.logits.new_zeros(*ids.shape, part.logits.shape[-1]) if logits is None else logits
        logits = logits.index_copy(0, chosen, part.logits)
    return CausalLMOutputWithPast(logits=logits)


def generate_in_regimes(
    model: AdaptedModel,
    input_ids: Tensor,
    attention_mask: Tensor,
    common_prefix: Tensor | None,
    max_new_tokens: int,
    **kwargs: Any,
) -> Tensor:
    """Each row alone, read anew whenever its rotary phases change; [B, T + new], padded on the right."""
    kwargs.pop("past_key_values", None)
    settings = copy.copy(kwargs.pop("generation_config", None) or model.model.generation_config)
    if max(kwargs.get("num_beams") or 1, getattr(settings, "num_beams", None) or 1) > 1:
        raise ValueError(
            "beams cannot go on where rotary phases change: give max_new_tokens that stay below, or one beam"
        )
    criteria = kwargs.get("stopping_criteria") or StoppingCriteriaList()
    ends = settings.eos_token_id
    ends = set(ends if isinstance(ends, list) else [ends])
    shared = 0 if common_prefix is None else common_prefix.numel()
    written: list[Tensor] = []
    for row, mask in zip(input_ids, attention_mask, strict=True):
        ids = row[mask.bool()][None]
        start, left = ids.shape[1], max_new_tokens
        while left:
            now = shared + ids.shape[1]
            run = next(
                (k for k in range(1, left) if model.hook.lengths.regime(now + k) != model.hook.lengths.regime(now)),
                left,
            )
            settings.max_new_tokens = run
            ids = model.generate(ids, common_prefix=common_prefix, generation_config=settings, **kwargs)
            left = max_new_tokens - (ids.shape[1] - start)
            over = shared + ids.shape[1] < now + run or int(ids[0, -1]) in ends
            if over or any(bool(ended) for criterion in criteria for ended in criterion(ids, None)):
                break
        written.append(ids[0, start:])
    new = nn.utils.rnn.pad_sequence(written, batch_first=True, padding_value=model.base.tokenizer.pad_token_id)
    return torch.cat([input_ids, new], 1)
