"""Texts and their continuations as tensors: without padding where the model allows it, and with the positions where the head is needed.

A text is what is left of a prompt after its shared beginning, and one continuation or several: the answer to learn, or the choices to
rank. All continuations follow the same text, which is computed once; those of one token need no token of their own. Texts that begin alike,
such as the questions about one passage, may in turn continue a text without continuations of its own.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from polyprefix.methods.adapted import AdaptedModel
from polyprefix.models.head import log_normaliser
from polyprefix.prefix import Packed, Tree

SIMILAR = 0.85
"""Where a model takes no packed rows: rows share a forward pass if none is shorter than this share of the longest."""


class Text(NamedTuple):
    """Tokens, and what follows them."""

    ids: tuple[int, ...]
    continuations: Sequence[Sequence[int]] = ()
    texts: Sequence[Text] = ()

    @property
    def tree(self) -> Tree:
        """What goes through the model in a packed row: of each continuation all tokens but the last."""
        scored = [Tree(len(tokens) - 1) for tokens in self.continuations]
        return Tree(len(self.ids), [*scored, *(text.tree for text in self.texts)])

    @property
    def size(self) -> int:
        """Tokens in a packed row."""
        return self.tree.size

    @property
    def heads(self) -> int:
        """Positions at which the head is needed."""
        own = 1 + sum(len(tokens) - 1 for tokens in self.continuations) if self.continuations else 0
        return own + sum(text.heads for text in self.texts)

    def rows(self, before: Sequence[int] = ()) -> Iterator[tuple[list[int], Sequence[int]]]:
        """All that stands before each continuation, and the continuation."""
        whole = [*before, *self.ids]
        for tokens in self.continuations:
            yield whole, tokens
        for text in self.texts:
            yield from text.rows(whole)


def together(texts: Sequence[Text], common: int) -> Text:
    """Texts that begin with the same `common` tokens as one."""
    if len(texts) == 1:
        return texts[0]
    return Text(texts[0].ids[:common], (), [text._replace(ids=text.ids[common:]) for text in texts])


@dataclass(frozen=True, slots=True)
class Batch:
    """Texts that go through the model together."""

    input_ids: Tensor
    """[1, N] of a packed row, or [B, T], left-padded, one row a continuation."""
    attention_mask: Tensor | None
    """[B, T], 0 on padding; None where packed."""
    packed: Packed | None
    at: Tensor
    """[A], tokens after which something is predicted, counted through input_ids."""
    asked: Tensor
    """[M], for each token of each continuation: which of `at` predicts it."""
    labels: Tensor
    """[M], the token."""
    owner: Tensor
    """[M], the number of its continuation in the batch."""
    continuations: int

    def logits(self, model: Any, **context: Any) -> Tensor:
        """[A, V] in float32.

        Args:
            model: an adapted model, or what accelerate made of one.
            context: `context` or `shared_ids`, as the model takes them.
        """
        out = model(self.input_ids, self.attention_mask, packed=self.packed, at=self.at, **context)
        return out.logits[0].float()

    def log_likelihoods(self, logits: Tensor) -> Tensor:
        """Of every token of every continuation, [M], in nats."""
        return logits[self.asked, self.labels] - log_normaliser(logits)[self.asked]

    def sums(self, values: Tensor) -> Tensor:
        """Values of tokens [M] added up by continuation, [C]."""
        return values.new_zeros(self.continuations).index_add(0, self.owner, values)

    def counts(self) -> Tensor:
        """Tokens of each continuation, [C]."""
        return torch.bincount(self.owner, minlength=self.continuations)


def batch(texts: Sequence[Text], model: AdaptedModel, shared: Sequence[int] = ()) -> Batch:
    """Put texts together: packed where the model keeps them apart, else one padded row for each continuation.

    Args:
        shared: tokens that all texts begin with, to stand at the head of a packed row; a padded one has no place for them.
    """
    if model.hook.supports_packing():
        return _packed(texts, model.device, shared)
    return _padded([row for text in texts for row in text.rows()], model)


def _packed(texts: Sequence[Text], device: torch.device, shared: Sequence[int]) -> Batch:
    ids = list(shared)
    marks = _Marks()

    def lay(text: Text) -> None:
        ids.extend(text.ids)
        last = len(ids) - 1
        for tokens in text.continuations:
            marks.add(tokens, last, len(ids))
            ids.extend(tokens[:-1])
        for longer in text.texts:
            lay(longer)

    for text in texts:
        lay(text)
    packed = Packed.of([text.tree for text in texts], device, len(shared))
    return marks.batch(torch.tensor([ids], device=device), None, packed)


def _padded(rows: Sequence[tuple[Sequence[int], Sequence[int]]], model: AdaptedModel) -> Batch:
    inputs = [[*before, *tokens[:-1]] for before, tokens in rows]
    ids, mask = pad_left(inputs, model.base.tokenizer.pad_token_id, model.device)
    marks = _Marks()
    for number, (_, tokens) in enumerate(rows, start=1):
        first = number * ids.shape[1] - len(tokens)
        marks.add(tokens, first, first + 1)
    return marks.batch(ids, mask, None)


class _Marks:
    """Where the head is needed, collected text by text."""

    def __init__(self) -> None:
        self.at: dict[int, int] = {}
        """Token -> its place among those that predict."""
        self.asked: list[int] = []
        self.labels: list[int] = []
        self.owner: list[int] = []
        self.continuations = 0

    def add(self, tokens: Sequence[int], last: int, start: int) -> None:
        """A continuation whose first token is predicted after `last`, and whose own tokens stand from `start` on."""
        for number, token in enumerate(tokens):
            after = last if number == 0 else start + number - 1
            self.asked.append(self.at.setdefault(after, len(self.at)))
            self.labels.append(token)
            self.owner.append(self.continuations)
        self.continuations += 1

    def batch(self, ids: Tensor, mask: Tensor | None, packed: Packed | None) -> Batch:
        """All of it as tensors."""
        columns = (list(self.at), self.asked, self.labels, self.owner)
        at, asked, labels, owner = (torch.tensor(column, device=ids.device) for column in columns)
        return Batch(ids, mask, packed, at, asked, labels, owner, self.continuations)


def pad_left(rows: Sequence[Sequence[int]], pad: int, device: torch.device) -> tuple[Tensor, Tensor]:
    """Token ids [B, T] and their mask [B, T], every row at the right end."""
    width = max(map(len, rows))
    return (
        torch.tensor([[pad] * (width - len(row)) + list(row) for row in rows], device=device),
        torch.tensor([[0] * (width - len(row)) + [1] * len(row) for row in rows], device=device),
    )
