"""Written answers: greedy generation in batches of similar length, cut at the task's stop strings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch

from polyprefix.engine.reading import reading
from polyprefix.engine.tensors import pad_left
from polyprefix.methods.adapted import AdaptedModel
from polyprefix.text.batches import by_token_budget
from polyprefix.text.tokens import Encoded


@torch.no_grad()
def write_answers(
    model: AdaptedModel,
    encoded: Sequence[Encoded],
    token_budget: int,
    advance: Callable[[int], None] = lambda count: None,
) -> list[str]:
    """The model's own continuation of every prompt, without the stop string and surrounding white space.

    Args:
        token_budget: tokens of a batch with its answers, padding included.
        advance: told how many prompts are done.
    """
    if not encoded:
        return []
    tokenizer, new = model.base.tokenizer, max(item.prompt.max_new_tokens for item in encoded)
    stops = sorted({stop for item in encoded for stop in item.prompt.stop})
    ended: dict[str, Any] = {"stop_strings": stops, "tokenizer": tokenizer} if stops else {}
    answers: dict[int, str] = {}
    with reading(model, encoded, new) as (shared, context):
        for rows in by_token_budget([len(item.ids) - shared + new for item in encoded], token_budget):
            ids, mask = pad_left([encoded[i].ids[shared:] for i in rows], tokenizer.pad_token_id, model.device)
            out = model.generate(ids, mask, context=context, max_new_tokens=new, do_sample=False, **ended)
            texts = tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)
            answers.update({i: cut(text, encoded[i].prompt.stop) for i, text in zip(rows, texts, strict=True)})
            advance(len(rows))
    return [answers[i] for i in range(len(encoded))]


def cut(text: str, stops: Sequence[str]) -> str:
    """The text before the first of the stop strings.

    >>> cut(" Paris\\nQuestion: ...", ["\\n"])
    'Paris'
    """
    ends = [text.find(stop, len(text) - len(text.lstrip())) for stop in stops]
    return text[: min((end for end in ends if end >= 0), default=len(text))].strip()
