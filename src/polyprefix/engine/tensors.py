"""Rows of token ids as tensors: padded on the left, so that every row ends where its answer is scored and the head is needed only there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

IGNORED = -100


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows that go through the model together."""

    input_ids: Tensor
    """[B, T], left-padded: the prompt without its shared beginning, then the continuation but for its last token."""
    attention_mask: Tensor
    """[B, T], 0 on padding."""
    labels: Tensor
    """[B, A]: the continuations, right-aligned, `IGNORED` before them; predicted by the last A positions."""


def pad_left(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids [B, T] and their mask [B, T], every row at the right end."""
    width = max(map(len, rows))
    return (
        torch.tensor([[pad] * (width - len(row)) + list(row) for row in rows], device=device),
        torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device),
    )


def batch(rows: Sequence[tuple[Sequence[int], Sequence[int]]], pad: int, device: torch.device) -> Batch:
    """Put (prompt rest, continuation) rows together."""
    inputs = [[*rest, *continuation[:-1]] for rest, continuation in rows]
    labels, _ = pad_left([continuation for _, continuation in rows], IGNORED, device)
    return Batch(*pad_left(inputs, pad, device), labels)


def continuation_log_likelihoods(logits: Tensor, labels: Tensor) -> Tensor:
    """Sum over a continuation's tokens of their log-probability, [B], from logits [B, A, V] and labels [B, A]."""
    kept = labels != IGNORED
    logits = logits.float()
    picked = logits.gather(-1, labels.clamp(min=0)[..., None])[..., 0] - logits.logsumexp(-1)
    return (picked * kept).sum(-1)
