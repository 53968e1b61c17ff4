"""Prompts as token ids.

A prompt and its continuation are tokenised together and split where the prompt's own tokens end, so that the continuation gets the tokens
that it has in running text. An empty prompt is BOS, or the end token where there is none: something must stand before the first token.
Their common prefix - BOS, instruction, few-shot examples - is found as the longest common run of tokens
and computed once per batch instead of once per example.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from polyprefix.errors import DataError
from polyprefix.text.cut import cut
from polyprefix.types import Prompt


@dataclass(frozen=True, slots=True)
class TokenizedPrompt:
    """One prompt in tokens."""

    prompt: Prompt
    ids: tuple[int, ...]
    """The prompt, from BOS on."""
    target: tuple[int, ...]
    """The continuation that training teaches; a written answer ends with its stop string, so that the model learns to end."""
    choices: tuple[tuple[int, ...], ...]
    """The continuations to rank."""
    cut: bool = False
    """Whether the context was cut to what the model can read."""

    @property
    def length(self) -> int:
        """Tokens of the prompt with its longest continuation."""
        return len(self.ids) + max(map(len, (self.target, *self.choices)))

    @property
    def tree_size(self) -> int:
        """Tokens that go through the model at most to rank all choices, or to begin to write: of a choice all but its last."""
        return len(self.ids) + sum(len(choice) - 1 for choice in self.choices)


END = "\n"
"""What ends a choice, where one choice could be a prefix of another."""


def encode(
    prompts: Sequence[Prompt],
    tokenizer: Any,
    max_length: int,
    *,
    training: bool = False,
    end: str = "",
    vocabulary: int | None = None,
) -> list[TokenizedPrompt]:
    """Tokenise prompts with their continuations; contexts that are too long are cut where the prompt allows it.

    Args:
        tokenizer: a fast transformers tokenizer.
        max_length: the most tokens that the model can read.
        training: leave the answer in a context that is cut; otherwise leave room for the answer that is to be written.
        vocabulary: how many tokens the model has embeddings for; None does not check.
        end: follows every choice, and the target of a prompt with choices (see `needs_end`); not where a prompt is verbatim.

    Raises:
        DataError: if a prompt is too long, or if two of its choices are the same tokens.
    """
    encoded = _encode([_ended(prompt, end) for prompt in prompts], tokenizer)
    for item in encoded:
        _check(item)
    long = {n: shorter for n, item in enumerate(encoded) if (shorter := _cut(item, tokenizer, max_length, training))}
    for n, item in zip(long, _encode(list(long.values()), tokenizer), strict=True):
        encoded[n] = replace(item, cut=True)
    if vocabulary is not None:
        _check_embedded(encoded, tokenizer, vocabulary)
    for item in encoded:
        if item.length > max_length:
            raise DataError(
                f"{_where(item)}: {item.length} tokens, the model reads at most {max_length}; "
                "shorten or remove the example, or use fewer shots"
            )
    return encoded


def encode_apart(
    prompts: Sequence[Prompt], tokenizer: Any, max_length: int, vocabulary: int | None = None
) -> list[TokenizedPrompt]:
    """The same, with an end after every choice where one begins with another."""
    encoded = encode(prompts, tokenizer, max_length, vocabulary=vocabulary)
    if needs_end(encoded) is None:
        return encoded
    return encode(prompts, tokenizer, max_length, end=END, vocabulary=vocabulary)


def needs_end(items: Iterable[TokenizedPrompt]) -> tuple[str, str] | None:
    """Two choices of a prompt of which one begins with all tokens of the other, such as `1` and `10`; None where there are none.

    The longer one can then never be likelier, however sure the model is of it: what would tell them apart is the end.
    """
    for item in items:
        if item.prompt.verbatim:
            continue
        ordered = sorted(zip(item.choices, item.prompt.choices, strict=True))
        for (shorter, first), (longer, second) in pairwise(ordered):  # what it begins stands right behind it
            if longer[: len(shorter)] == shorter:
                return first.strip(), second.strip()
    return None


def _ended(prompt: Prompt, end: str) -> Prompt:
    if not end or not prompt.choices or prompt.verbatim:
        return prompt
    return replace(prompt, target=prompt.target + end, choices=tuple(choice + end for choice in prompt.choices))


def _encode(prompts: Sequence[Prompt], tokenizer: Any) -> list[TokenizedPrompt]:
    if not prompts:
        return []
    start = tokenizer.bos_token_id if tokenizer.bos_token_id is not None else tokenizer.eos_token_id
    targets = [p.target if p.choices or not p.stop else p.target + p.stop[0] for p in prompts]
    pairs = [(n, c) for n, p in enumerate(prompts) for c in dict.fromkeys((targets[n], *p.choices))]
    rows = _ids(tokenizer, [*(p.text for p in prompts), *(prompts[n].text + c for n, c in pairs)])
    alone, whole = rows[: len(prompts)], rows[len(prompts) :]
    starts = [() if head or start is None else (start,) for head in alone]
    heads = [before + head for before, head in zip(starts, alone, strict=True)]
    tails: dict[tuple[int, str], tuple[int, ...]] = {}
    for (n, continuation), ids in zip(pairs, whole, strict=True):
        head, ids = heads[n], starts[n] + ids
        merged = ids[: len(head)] != head  # the tokenizer did, across the border: take the continuation by itself
        if merged and not prompts[n].verbatim:
            ids = head + tuple(tokenizer(continuation, add_special_tokens=False)["input_ids"])
        tails[n, continuation] = ids[len(head) :]
    return [
        TokenizedPrompt(prompt, heads[n], tails[n, targets[n]], tuple(tails[n, c] for c in prompt.choices))
        for n, prompt in enumerate(prompts)
    ]


def _ids(tokenizer: Any, texts: list[str]) -> list[tuple[int, ...]]:
    rows = _rows(tokenizer, texts)
    end = tokenizer.eos_token_id  # a few tokenizers close every text, which would end the answer before it begins
    return [tuple(row[:-1] if row and row[-1] == end and len(row) > 1 else row) for row in rows]


def _rows(tokenizer: Any, texts: list[str]) -> list[list[int]]:
    """What `tokenizer(texts)` gives as `input_ids`; a tokenizer of the library tokenizers computes nothing else, in half the time."""
    if not _is_plain(type(tokenizer)):
        return list(tokenizer(texts)["input_ids"])
    backend = tokenizer.backend_tokenizer
    if backend.truncation is not None:
        backend.no_truncation()
    if backend.padding is not None:
        backend.no_padding()
    if backend.encode_special_tokens != tokenizer.split_special_tokens:
        backend.encode_special_tokens = tokenizer.split_special_tokens
    return [encoding.ids for encoding in backend.encode_batch_fast(texts)]


def _is_plain(kind: type) -> bool:
    """Whether a class of tokenizers has no way of its own to encode."""
    from transformers import PreTrainedTokenizerFast

    ways = ("__call__", "_encode_plus", "_batch_encode_plus")
    return issubclass(kind, PreTrainedTokenizerFast) and all(
        getattr(kind, way, None) is getattr(PreTrainedTokenizerFast, way, None) for way in ways
    )


def _cut(item: TokenizedPrompt, tokenizer: Any, max_length: int, training: bool) -> Prompt | None:
    """The prompt with a shorter context; None if it is short enough, or cannot be short enough."""
    prompt = item.prompt
    answer = item.length - len(item.ids)
    if not training and not prompt.choices:
        answer = max(answer, prompt.max_new_tokens)
    if prompt.context is None or len(item.ids) + answer <= max_length:
        return None
    keep = prompt.target.strip() if training and not prompt.choices else ""
    return cut(prompt, tokenizer, max_length - answer, keep)


def _check(item: TokenizedPrompt) -> None:
    known: dict[tuple[int, ...], str] = {}
    if not item.ids:
        raise DataError(
            f"{_where(item)}: the prompt is empty after tokenisation, and the tokenizer has no token to begin with"
        )
    for label, ids in zip(item.prompt.choices, item.choices, strict=True):
        if not ids:
            raise DataError(f"{_where(item)}: the label {label!r} is empty after tokenisation; use another label")
        if ids in known:
            raise DataError(
                f"{_where(item)}: the labels {known[ids]!r} and {label!r} are the same tokens {list(ids)} for this model; "
                "use other labels, or another model"
            )
        known[ids] = label
    if not item.target:
        raise DataError(
            f"{_where(item)}: the answer is empty after tokenisation; remove the example or give it an answer"
        )


def _check_embedded(items: Iterable[TokenizedPrompt], tokenizer: Any, vocabulary: int) -> None:
    """Raises DataError if a tokenizer gives a token that the model has no embedding for."""
    for item in items:
        largest = max(max(row, default=0) for row in (item.ids, item.target, *item.choices))
        if largest >= vocabulary:
            token = tokenizer.convert_ids_to_tokens(largest)
            raise DataError(
                f"{_where(item)}: the token {token!r} has the id {largest}, and the model has {vocabulary} embeddings; "
                "give the tokenizer that belongs to the model (--model)"
            )


def _where(item: TokenizedPrompt) -> str:
    return f"example {item.prompt.example_id} ({item.prompt.language})"


def common_prefix_length(rows: Sequence[tuple[int, ...]]) -> int:
    """S, the number of tokens that all rows begin with; at least one token of each row is left over."""
    if not rows:
        return 0
    first, last = min(rows), max(rows)  # in lexicographic order, all others lie between these two
    limit = min(map(len, rows)) - 1
    for position in range(limit):
        if first[position] != last[position]:
            return position
    return max(limit, 0)
