"""Generated answers: greedy generation in batches of similar length, cut at the task's stop strings.

Where the model supports packing, prompts are read without padding, and a prefix that some of them share, such as a passage, once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import torch
from torch import Tensor
from transformers import (
    LogitsProcessor,
    LogitsProcessorList,
    StoppingCriteria,
    StoppingCriteriaList,
    StopStringCriteria,
)

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.engine import memory
from polyprefix.engine.batch import pad_left
from polyprefix.engine.flop_counter import Meter, Work
from polyprefix.evaluation.eval_context import reading
from polyprefix.evaluation.loglikelihood import not_finite
from polyprefix.evaluation.prefill import prefill
from polyprefix.models.generation import greedy_settings
from polyprefix.prefix import TokenTree
from polyprefix.text.batches import by_token_budget, group_by_common_prefix
from polyprefix.text.tokens import TokenizedPrompt


@torch.no_grad()
def generate_until(
    model: AdaptedModel,
    encoded: Sequence[TokenizedPrompt],
    token_budget: int | None,
    advance: Callable[[int], None] = lambda count: None,
    work: Work | None = None,
    unfinished: set[int] | None = None,
) -> list[str]:
    """The model's own continuation of every prompt, without the stop string and, unless verbatim, surrounding white space.

    Args:
        token_budget: tokens of a batch with its answers, padding included, and of one pass over its prompts; None means as many
            as memory holds.
        advance: called with the number of prompts that are done.
        work: what is done is added to it.
        unfinished: the places of the answers that end only because they are too long are added to it.
    """
    if not encoded:
        return []
    tokenizer, new = model.base.tokenizer, max(item.prompt.max_new_tokens for item in encoded)
    stops = tuple(sorted({stop for item in encoded for stop in item.prompt.stop}))
    ended = _ends(tokenizer, stops)
    answers: dict[int, str] = {}
    for rows in model.hook.lengths.passes([(len(item.ids), len(item.ids) + new - 1) for item in encoded]):
        items = [encoded[row] for row in rows]
        written = _write(model, items, new, token_budget, ended, advance, work)
        answers.update({row: text for row, (text, _) in zip(rows, written, strict=True)})
        if unfinished is not None:
            unfinished |= {row for row, (_, too_long) in zip(rows, written, strict=True) if too_long}
    return [answers[i] for i in range(len(encoded))]


def _write(
    model: AdaptedModel,
    encoded: Sequence[TokenizedPrompt],
    new: int,
    token_budget: int | None,
    ended: StoppingCriteriaList,
    advance: Callable[[int], None],
    work: Work | None,
) -> list[tuple[str, bool]]:
    """The answers to prompts that may share passes, and whether each ends only because it is too long."""
    tokenizer = model.base.tokenizer
    answers: dict[int, tuple[str, bool]] = {}
    shortest, longest = min(len(item.ids) for item in encoded), max(len(item.ids) for item in encoded) + new - 1
    with reading(model, encoded, shortest, longest) as (common_length, prefix):
        meter = Meter(model, common_length)

        budget = memory.token_budget(model, token_budget, training=False)
        prompts = [item.ids[common_length:] for item in encoded]
        settings = greedy_settings(model.model, tokenizer, new)
        prefills = model.hook.caches_what_it_attends_to() and model.hook.lengths.branches(shortest, longest)

        def write(rows: list[int]) -> list[tuple[str, bool]]:
            chosen = [prompts[i] for i in rows]
            ids, mask = pad_left(chosen, tokenizer.pad_token_id, model.device)
            cache, read = prefill(model, chosen, prefix, budget) if prefills else (None, [])
            own, model.model.generation_config = model.model.generation_config, settings
            try:  # what settings leave open is filled in from the model's own
                out = model.generate(
                    ids, mask, prefix=prefix, past_key_values=cache, generation_config=settings,
                    stopping_criteria=ended, logits_processor=LogitsProcessorList([_Finite(model.base.name)]),
                )  # fmt: skip
            finally:
                model.model.generation_config = own
            written = out[:, ids.shape[1] :]
            before = read or [TokenTree(prompt[:-1]) for prompt in chosen]
            meter.count(before, sum(t.size for t in read) if read else mask.numel() - len(chosen))
            _count(meter, mask.sum(-1), written, tokenizer.pad_token_id)
            texts = tokenizer.batch_decode(written, skip_special_tokens=True)
            return list(zip(texts, _goes_on(written, new, settings, tokenizer.pad_token_id), strict=True))

        lengths = _lengths(model, prompts, new, budget)
        most = memory.writing_budget(model, token_budget)
        batches = by_token_budget(lengths, most, padded=0.0)
        for rows, found in memory.retry_on_oom(batches, write, lengths, model.device):
            for i, (text, goes_on) in zip(rows, found, strict=True):
                prompt = encoded[i].prompt
                stopped = _stop(text, prompt.stop, prompt.verbatim) is not None
                answers[i] = cut(text, prompt.stop, prompt.verbatim), goes_on and not stopped
            advance(len(rows))
    if work is not None:
        work += meter.work
    return [answers[i] for i in range(len(encoded))]


class _Finite(LogitsProcessor):
    """Refuses logits that are no numbers, of which the likeliest token means nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor) -> torch.FloatTensor:
        if bool(scores.amax(-1).isfinite().all()):
            return scores
        raise not_finite(self.name, "the logits of an answer")


class _Written(StoppingCriteria):
    """A row has ended when its last token completes a stop string, by what the tokens write."""

    LOOK_BACK = 16
    """Tokens that are written out; a stop string is a line break or a few words."""

    def __init__(self, tokenizer: Any, stops: Sequence[str]) -> None:
        self.tokenizer, self.stops = tokenizer, stops

    def __call__(self, input_ids: torch.LongTensor, scores: torch.FloatTensor, **kwargs: Any) -> torch.BoolTensor:
        rows = input_ids[:, -self.LOOK_BACK :].tolist()
        ended = [self._count(row) > self._count(row[:-1]) for row in rows]
        return torch.tensor(ended, dtype=torch.bool, device=input_ids.device)  # type: ignore[return-value]

    def _count(self, row: list[int]) -> int:
        text = self.tokenizer.decode(row)
        return sum(text.count(stop) for stop in self.stops)


@lru_cache(maxsize=8)
def _ends(tokenizer: Any, stops: tuple[str, ...]) -> StoppingCriteriaList:
    """When a row has ended; made once, for it takes seconds to look through a large vocabulary."""
    if not stops:
        return StoppingCriteriaList()
    try:
        return StoppingCriteriaList([StopStringCriteria(tokenizer, list(stops))])
    except ValueError:  # its tokens do not write back what they were read from
        return StoppingCriteriaList([_Written(tokenizer, stops)])


def _lengths(model: AdaptedModel, prompts: Sequence[tuple[int, ...]], new: int, budget: int) -> list[int]:
    """Of each prompt with its answer; prompts that begin alike count as long as the longest of them and so stay together."""
    lengths = [len(prompt) + new for prompt in prompts]
    if model.hook.supports_packing():
        for _, group in group_by_common_prefix(prompts, lengths, budget):
            for i in group:
                lengths[i] = max(len(prompts[j]) for j in group) + new
    return lengths


def _goes_on(written: Tensor, new: int, settings: Any, pad: int) -> list[bool]:
    """Of each row, whether its last token [B, T] is the last that there may be, and ends no answer."""
    ends = settings.eos_token_id
    known = {pad, *(ends if isinstance(ends, list) else [ends])}
    return [written.shape[1] >= new and token not in known for token in written[:, -1].tolist()]


def _count(meter: Meter, lengths: Tensor, written: Tensor, pad: int) -> None:
    """What was written after prompts of these lengths [B]: each row's last token of the prompt, then all but its last one; a row that
    had ended while others went on is padding."""
    real = (written != pad).sum(-1)
    pairs = (real * (lengths + meter.common_length) + real * (real - 1) // 2).sum()
    total = int(real.sum())
    meter.add(total, int(pairs), total, written.numel() - total)
    meter.work.passes += max(0, written.shape[1] - 1)  # one a token


def cut(text: str, stops: Sequence[str], verbatim: bool = False) -> str:
    """The text before the first of the stop strings; unless verbatim, none counts before the answer begins.

    >>> cut("\\n Paris\\nQuestion: ...", ["\\n"])
    'Paris'
    """
    answer = text[: _stop(text, stops, verbatim)]
    return answer if verbatim else answer.strip()


def _stop(text: str, stops: Sequence[str], verbatim: bool) -> int | None:
    """The place of the first stop string that counts."""
    start = 0 if verbatim else len(text) - len(text.lstrip())
    return min((end for stop in stops if (end := text.find(stop, start)) >= 0), default=None)
