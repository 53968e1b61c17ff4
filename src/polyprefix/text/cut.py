"""Contexts that are too long for a model: cut where the task allows it, never the question, never the answer.

The end of the context goes first. In training, where the answer is written and stands in the context, it stays: what follows it is
cut, then what precedes it. In evaluation nobody knows where the answer stands, so there the model reads the start.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from polyprefix.types import Prompt


def cut(prompt: Prompt, tokenizer: Any, limit: int, keep: str = "") -> Prompt | None:
    """The prompt with so much less context that its text has at most `limit` tokens; None if that cannot be.

    Args:
        prompt: with a `context`; a shorter one is returned as it is.
        tokenizer: a fast transformers tokenizer.
        limit: tokens of the text, BOS included.
        keep: text of the context that must stay, if it is in there.
    """
    while prompt.context is not None:
        encoded = tokenizer(prompt.text, return_offsets_mapping=True)
        excess = len(encoded["input_ids"]) - limit
        if excess <= 0:
            return prompt
        shorter = _shorten(prompt, encoded["offset_mapping"], excess, keep)
        if shorter is None:
            return None
        prompt = shorter
    return None


def _shorten(prompt: Prompt, offsets: list[tuple[int, int]], excess: int, keep: str) -> Prompt | None:
    """Cut `excess` tokens of the context, or as many as there are outside of what must stay; None if nothing can go or would remain.

    Args:
        offsets: of each token, its span in the text.
    """
    start, end = prompt.context or (0, 0)
    inside = [(a, b) for a, b in offsets if start <= a < b <= end]
    if not inside:
        return None
    kept_from, kept_to = _kept(prompt.text, start, end, keep) or inside[0]
    after = [a for a, _ in inside if a >= kept_to][-excess:]
    before = [b for _, b in inside if b <= kept_from][: max(0, excess - len(after))]
    if not after and not before:
        return None
    left = before[-1] if before else start
    right = after[0] if after else end
    context = prompt.text[left:right].strip()
    if not context:
        return None
    text = prompt.text[:start] + context + prompt.text[end:]
    return replace(prompt, text=text, context=(start, start + len(context)))


def _kept(text: str, start: int, end: int, keep: str) -> tuple[int, int] | None:
    """The first place of `keep` in the context."""
    place = text.find(keep, start, end) if keep else -1
    return (place, place + len(keep)) if place >= 0 else None
