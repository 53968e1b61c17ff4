"""A task before it is run: its counts, and its prompts as a model reads them. Reads rows; no model is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from polyprefix.data.hub import MissingDataError
from polyprefix.languages import find_each
from polyprefix.tasks._custom import CustomTask
from polyprefix.tasks.base import Source, Task
from polyprefix.types import Example, Split

PROMPTS = 3
"""So many are rendered, each in another language where there are as many."""
MOST_TOKENISED = 200
"""Test examples of a language whose prompts are tokenised."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """A prompt, and what follows it."""

    example_id: str
    language: str
    text: str
    target: str
    """The right answer, as training teaches it."""
    choices: tuple[str, ...]
    """Empty where the answer is written."""


@dataclass(frozen=True, slots=True)
class TaskCheck:
    """What `polyprefix check` found."""

    task: str
    title: str
    source: str
    licence: str
    metrics: tuple[str, ...]
    chance: float
    counts: Mapping[str, Mapping[str, int]]
    """Language -> split -> examples; a split without data is absent."""
    answers: Mapping[str, Mapping[str, int]]
    """Split -> label -> examples over all languages; empty where answers are no labels."""
    missing: tuple[str, ...]
    """Languages whose test data is not here."""
    prompts: tuple[Rendered, ...]
    notes: tuple[str, ...]
    tokens: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Choice -> its tokens; empty without a model, or where answers are written."""
    longest: Mapping[str, int] = field(default_factory=dict)
    """Language -> tokens of the longest prompt with its answer, among the first `MOST_TOKENISED`; empty without a model."""


def check_task(task: Task, source: Source, languages: Sequence[str] | None = None) -> TaskCheck:
    """Read every row of a task and render some prompts.

    Args:
        languages: only these, as people write them; None means all.

    Raises:
        DataError: with all that is wrong with the rows; if no language has data, what the first one lacks.
        LanguageError: for a language that the task does not have.
    """
    source = Source(source.hub)
    if isinstance(task, CustomTask):  # which may read them in its rows
        task.hub = source.hub
    known = task.languages()
    codes = find_each(languages, "languages", among=known) if languages else known
    found: dict[str, dict[Split, Sequence[Example]]] = {}
    missing: list[str] = []
    reason: MissingDataError | None = None
    for code in codes:
        try:
            found[code] = {"test": task.examples("test", code, source)}
        except MissingDataError as error:
            missing.append(code)
            reason = reason or error
    if reason is not None and not found:
        raise reason
    for code in task.train_languages():
        if languages is None or code in codes:
            learned: tuple[Split, ...] = ("train", "validation")
            for split in learned:
                try:
                    found.setdefault(code, {})[split] = task.examples(split, code, source)
                except MissingDataError:
                    continue
    info = task.info
    return TaskCheck(
        info.name, info.title, info.source, info.licence, info.metrics, info.chance,
        {code: {split: len(rows) for split, rows in splits.items()} for code, splits in found.items()},
        _answers(info.labels, found), tuple(missing), _rendered(task, {c: s["test"] for c, s in found.items() if "test" in s}),
        (*info.deviations, *source.notes),
    )  # fmt: skip


def with_tokens(check: TaskCheck, task: Task, source: Source, tokenizer: Any) -> TaskCheck:
    """The same with the tokens of the choices that the rendered prompts have, and how long prompts are.

    Raises:
        DataError: if two choices are the same tokens, or one has none.
    """
    from polyprefix.text.tokens import encode_apart

    longest: dict[str, int] = {}
    tokens: dict[str, Sequence[str]] = {}
    for code in (code for code, splits in check.counts.items() if "test" in splits):
        rows = task.examples("test", code, Source(source.hub))[:MOST_TOKENISED]
        encoded = encode_apart([task.prompt(example) for example in rows], tokenizer, 1 << 30)
        longest[code] = max(item.length for item in encoded)
        for item in encoded[: 1 if task.info.labels else 0]:
            for choice, ids in zip(item.prompt.choices, item.choices, strict=True):
                tokens.setdefault(choice.strip(), tokenizer.convert_ids_to_tokens(list(ids)))
    return replace(check, tokens=tokens, longest=longest)


def _answers(
    labels: Sequence[str], found: Mapping[str, Mapping[Split, Sequence[Example]]]
) -> dict[str, dict[str, int]]:
    if not labels:
        return {}
    counted: dict[str, Counter[str]] = {}
    for splits in found.values():
        for split, rows in splits.items():
            counted.setdefault(split, Counter()).update(example.references[0] for example in rows)
    return {split: {label: count[label] for label in labels} for split, count in counted.items()}


def _rendered(task: Task, test: Mapping[str, Sequence[Example]]) -> tuple[Rendered, ...]:
    """The first example of each of the first languages; of fewer languages, more of each."""
    rounds = max(map(len, test.values()), default=0)
    order = [rows[n] for n in range(min(PROMPTS, rounds)) for rows in test.values() if n < len(rows)]
    prompts = [task.prompt(example) for example in order[:PROMPTS]]
    return tuple(Rendered(p.example_id, p.language, p.text, p.target, p.choices) for p in prompts)
