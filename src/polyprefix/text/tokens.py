"""Prompts as token ids.

A prompt and its continuation are tokenised together and split where the prompt's own tokens end, so that the continuation gets the tokens
that it has in running text. An empty prompt is BOS, or the end token where there is none: something must stand before the first token.
What all prompts begin with - BOS, instruction, solved examples - is found as their longest common run of tokens
and computed once per batch instead of once per example.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from polyprefix.errors import DataError
from polyprefix.records import Prompt


@dataclass(frozen=True, slots=True)
class Encoded:
    """One prompt in tokens."""

    prompt: Prompt
    ids: tuple[int, ...]
    """The prompt, from BOS on."""
    target: tuple[int, ...]
    """The continuation that training teaches; a written answer ends with its stop string, so that the model learns to end."""
    choices: tuple[tuple[int, ...], ...]
    """The continuations to rank."""


def encode(prompts: Sequence[Prompt], tokenizer: Any, max_length: int) -> list[Encoded]:
    """Tokenise prompts with their continuations.

    Args:
        tokenizer: a fast transformers tokenizer.
        max_length: the most tokens that the model can read.

    Raises:
        DataError: if a prompt is too long, or if two of its choices are the same tokens.
    """
    if not prompts:
        return []
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    alone = _ids(tokenizer, [p.text for p in prompts])
    starts = [() if head else (start,) for head in alone]
    heads = [before + head for before, head in zip(starts, alone, strict=True)]
    targets = [p.target if p.choices or not p.stop else p.target + p.stop[0] for p in prompts]
    pairs = [(n, c) for n, p in enumerate(prompts) for c in dict.fromkeys((targets[n], *p.choices))]
    whole = _ids(tokenizer, [prompts[n].text + c for n, c in pairs])
    tails: dict[tuple[int, str], tuple[int, ...]] = {}
    for (n, continuation), ids in zip(pairs, whole, strict=True):
        head, ids = heads[n], starts[n] + ids
        merged = ids[: len(head)] != head  # the tokenizer did, across the border: take the continuation by itself
        if merged and not prompts[n].verbatim:
            ids = head + tuple(tokenizer(continuation, add_special_tokens=False)["input_ids"])
        tails[n, continuation] = ids[len(head) :]
    encoded = []
    for n, prompt in enumerate(prompts):
        item = Encoded(prompt, heads[n], tails[n, targets[n]], tuple(tails[n, c] for c in prompt.choices))
        _check(item, max_length)
        encoded.append(item)
    return encoded


def _ids(tokenizer: Any, texts: list[str]) -> list[tuple[int, ...]]:
    rows = tokenizer(texts)["input_ids"]
    end = tokenizer.eos_token_id  # a few tokenizers close every text, which would end the answer before it begins
    return [tuple(row[:-1] if row and row[-1] == end and len(row) > 1 else row) for row in rows]


def _check(item: Encoded, max_length: int) -> None:
    where = f"example {item.prompt.example_id} ({item.prompt.language})"
    if len(set(item.choices)) != len(item.choices) or not all(item.choices):
        raise DataError(
            f"{where}: two of the labels {item.prompt.choices} are the same tokens for this model; use other labels"
        )
    if not item.target:
        raise DataError(f"{where}: the answer is empty after tokenisation; remove the example or give it an answer")
    longest = len(item.ids) + max(map(len, (item.target, *item.choices)))
    if longest > max_length:
        raise DataError(
            f"{where}: {longest} tokens, the model reads at most {max_length}; shorten or remove the example"
        )


def shared_length(rows: Sequence[tuple[int, ...]]) -> int:
    """S, the number of tokens that all rows begin with; at least one token of each row is left over."""
    if not rows:
        return 0
    first, last = min(rows), max(rows)  # in lexicographic order, all others lie between these two
    limit = min(map(len, rows)) - 1
    for position in range(limit):
        if first[position] != last[position]:
            return position
    return max(limit, 0)
