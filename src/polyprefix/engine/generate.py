"""Written answers: greedy generation in batches of similar length, cut at the task's stop strings."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from polyprefix.engine import memory
from polyprefix.engine.reading import reading
from polyprefix.engine.tensors import pad_left
from polyprefix.engine.work import Meter, Work
from polyprefix.methods.adapted import AdaptedModel
from polyprefix.text.batches import by_token_budget
from polyprefix.text.tokens import Encoded


@torch.no_grad()
def write_answers(
    model: AdaptedModel,
    encoded: Sequence[Encoded],
    token_budget: int | None,
    advance: Callable[[int], None] = lambda count: None,
    work: Work | None = None,
) -> list[str]:
    """The model's own continuation of every prompt, without the stop string and, unless verbatim, surrounding white space.

    Args:
        token_budget: tokens of a batch with its answers, padding included; None means as many as memory holds.
        advance: told how many prompts are done.
        work: what is done is added to it.
    """
    if not encoded:
        return []
    tokenizer, new = model.base.tokenizer, max(item.prompt.max_new_tokens for item in encoded)
    stops = sorted({stop for item in encoded for stop in item.prompt.stop})
    ended: dict[str, Any] = {"stop_strings": stops, "tokenizer": tokenizer} if stops else {}
    answers: dict[int, str] = {}
    with reading(model, encoded, new) as (shared, context):
        meter = Meter(model, shared)

        def write(rows: list[int]) -> list[str]:
            ids, mask = pad_left([encoded[i].ids[shared:] for i in rows], tokenizer.pad_token_id, model.device)
            out = model.generate(ids, mask, context=context, max_new_tokens=new, do_sample=False, **ended)
            _count(meter, mask, out, tokenizer.pad_token_id)
            return tokenizer.batch_decode(out[:, ids.shape[1] :], skip_special_tokens=True)

        lengths = [len(item.ids) - shared + new for item in encoded]
        budget = memory.token_budget(model, token_budget, training=False)
        batches = by_token_budget(lengths, budget, padded=0.0)
        for rows, texts in memory.in_halves(batches, write, lengths, model.device):
            answers.update(
                {
                    i: cut(text, encoded[i].prompt.stop, encoded[i].prompt.verbatim)
                    for i, text in zip(rows, texts, strict=True)
                }
            )
            advance(len(rows))
    if work is not None:
        work += meter.work
    return [answers[i] for i in range(len(encoded))]


def _count(meter: Meter, mask: Tensor, out: Tensor, pad: int) -> None:
    """A prompt and what was written after it; a row that had ended while others went on is padding."""
    new = out[:, mask.shape[1] :]
    real = mask.sum(-1) + (new != pad).sum(-1)
    pairs = (real * (real + 1) // 2 + real * meter.shared).sum()
    written = int((new != pad).sum())
    meter.add(int(real.sum()), int(pairs), written, out.numel() - int(real.sum()))
    meter.work.passes += max(0, new.shape[1] - 1)  # one a token


def cut(text: str, stops: Sequence[str], verbatim: bool = False) -> str:
    """The text before the first of the stop strings; unless verbatim, none counts before the answer begins.

    >>> cut("\\n Paris\\nQuestion: ...", ["\\n"])
    'Paris'
    """
    start = 0 if verbatim else len(text) - len(text.lstrip())
    ends = [text.find(stop, start) for stop in stops]
    answer = text[: min((end for end in ends if end >= 0), default=len(text))]
    return answer if verbatim else answer.strip()
