"""From a task to tokens: which examples a run takes in which languages, and how the model reads them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from polyprefix.config import RunConfig
from polyprefix.data.select import evaluation_subset, training_sample
from polyprefix.languages import find
from polyprefix.records import Example
from polyprefix.tasks.base import Source, Task
from polyprefix.text.tokens import Encoded, encode, shared_length

ENGLISH = "eng_Latn"


@dataclass(frozen=True, slots=True)
class Examples:
    """What a run reads."""

    train: Sequence[Example]
    validation: Sequence[Example]
    test: Mapping[str, Sequence[Example]]
    """Language -> examples, English first."""
    shots: Sequence[Example]
    """Solved English examples in front of every prompt, from validation data; none of them is in `validation`."""
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Tokens:
    """The same in tokens."""

    train: Sequence[Encoded]
    validation: Sequence[Encoded]
    test: Mapping[str, Sequence[Encoded]]
    instruction: str
    """What all prompts begin with, as text: prefixes start from its keys and values."""
    shots: str
    """The solved examples in front of every training prompt, as text."""


def choose_languages(task: Task, wanted: Sequence[str] | str) -> tuple[str, ...]:
    """The task's codes for languages as people write them; English first, always.

    Raises:
        LanguageError: if nobody knows a language, or the task has no data for it.
    """
    available = task.languages()
    chosen = available if wanted == "all" else [find(text, among=available).code for text in wanted]
    return tuple(dict.fromkeys((ENGLISH, *chosen)))


def load_examples(task: Task, config: RunConfig, source: Source) -> Examples:
    """Read the test languages, and the English training data where something is trained.

    Raises:
        DataError, LanguageError: see the task.
    """
    languages = choose_languages(task, config.languages)
    train: list[Example] = []
    validation: list[Example] = []
    shots: list[Example] = []
    if config.shots:
        shots = training_sample(task.examples("validation", ENGLISH, source), config.shots, config.seed)
    if config.trains:
        train = training_sample(task.examples("train", ENGLISH, source), config.train_size, config.seed)
        if config.train.validation_size:
            used = {example.id for example in shots}
            unused = [e for e in task.examples("validation", ENGLISH, source) if e.id not in used]
            validation = evaluation_subset(unused, config.train.validation_size)
    test = {code: evaluation_subset(task.examples("test", code, source), config.eval_size) for code in languages}
    notes = [*task.info.deviations, *task.notes()]
    if config.eval_size is not None:
        notes.append(f"Test: at most {config.eval_size} examples per language, the same ids in each, by smallest hash.")
    if shots:
        notes.append(f"{len(shots)} solved English examples of the validation split in front of every prompt.")
    return Examples(train, validation, test, shots, tuple(notes))


def tokenise(task: Task, examples: Examples, tokenizer: Any, max_length: int) -> Tokens:
    """Prompt and tokenise everything.

    Raises:
        DataError: if a prompt is too long for the model, or labels are the same tokens.
    """

    shots = "".join(f"{solved.text}{solved.target}\n\n" for solved in map(task.prompt, examples.shots))

    def tokens(items: Sequence[Example]) -> list[Encoded]:
        prompts = [task.prompt(example) for example in items]
        return encode([replace(prompt, text=shots + prompt.text) for prompt in prompts], tokenizer, max_length)

    test = {code: tokens(items) for code, items in examples.test.items()}
    rows = [item.ids for item in next(iter(test.values()))]
    instruction = tokenizer.decode(rows[0][: shared_length(rows)], skip_special_tokens=True) if rows else ""
    return Tokens(tokens(examples.train), tokens(examples.validation), test, instruction, shots)
