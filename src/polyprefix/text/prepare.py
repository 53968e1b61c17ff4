"""From a task to tokens: which examples a run takes in which languages, and how the model reads them."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from polyprefix.config import RunConfig
from polyprefix.data.hub import MissingDataError
from polyprefix.data.select import evaluation_subset
from polyprefix.errors import LanguageError
from polyprefix.languages import find_each, get
from polyprefix.tasks._custom import CustomTask
from polyprefix.tasks._source_languages import trained_languages
from polyprefix.tasks.base import Source, Task
from polyprefix.text.mixture import TrainingData, training_data
from polyprefix.text.shots import choose_shot_languages, load_shots, shots_note, shots_text, with_shots
from polyprefix.text.tokens import END, TokenizedPrompt, common_prefix_length, encode, needs_end
from polyprefix.text.watched import watched_examples
from polyprefix.types import Example


@dataclass(frozen=True, slots=True)
class Examples:
    """What a run reads."""

    train: Sequence[Example]
    validation: Sequence[Example]
    test: Mapping[str, Sequence[Example]]
    """Language -> examples, source languages first."""
    train_shots: Sequence[Example]
    """Few-shot examples in front of every prompt of training and validation, in the first source language; none of them is in
    `validation`."""
    shots: Mapping[str, Sequence[Example]]
    """Test language -> few-shot examples in front of its prompts; empty without shots."""
    notes: tuple[str, ...]
    watched: Mapping[str, Sequence[Example]] = field(default_factory=dict)
    """Language -> validation examples that are measured during training and decide nothing."""

    def digest(self, *, training: bool) -> str:
        """SHA-256 over what decides a result, in hexadecimal: equal where the same texts with the same answers were read.

        Args:
            training: whether those of training and validation count too.
        """
        shots = ((f"shots {code}", items) for code, items in self.shots.items())
        return _digest([*(self._trained() if training else []), *self.test.items(), *shots])

    def digest_of_training(self) -> str:
        """The same of what training reads alone."""
        return _digest([*self._trained(), *((f"watched {code}", items) for code, items in self.watched.items())])

    def _trained(self) -> list[tuple[str, Sequence[Example]]]:
        return [("train", self.train), ("validation", self.validation), ("train shots", self.train_shots)]


def _digest(named: Iterable[tuple[str, Sequence[Example]]]) -> str:
    digest = hashlib.sha256()
    for name, items in named:
        digest.update(f"{name} {len(items)}\n".encode())
        for item in items:
            values = [item.id, item.language, *item.inputs.items(), item.choices, item.references]
            digest.update(json.dumps(values, ensure_ascii=False).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Tokens:
    """The same in tokens."""

    train: Sequence[TokenizedPrompt]
    validation: Sequence[TokenizedPrompt]
    test: Mapping[str, Sequence[TokenizedPrompt]]
    instruction: str
    """What all prompts begin with, as text: prefixes start from its keys and values."""
    notes: tuple[str, ...] = ()
    """How many contexts were cut, in which languages."""
    shots: str = ""
    """The few-shot examples in front of every training prompt, as text."""
    end: str = ""
    """What ends every choice; empty where no choice begins with another."""
    watched: Mapping[str, Sequence[TokenizedPrompt]] = field(default_factory=dict)


def choose_languages(task: Task, config: RunConfig) -> tuple[str, ...]:
    """The task's codes for the test languages of a run; its source languages first, where there is test data in them.

    Raises:
        LanguageError: if nobody knows a language, it comes twice, the task has no data for it, or there is none to test.
    """
    available = task.languages()
    wanted = config.languages
    chosen = available if wanted == "all" else find_each(wanted, "languages", among=available)
    codes = tuple(dict.fromkeys((*(code for code in config.source_languages if code in available), *chosen)))
    if not codes:
        raise LanguageError(
            f"languages: none to test; give some of {task.info.name}'s, such as {available[0]}, or 'all'"
        )
    return codes


def check_files(task: Task, config: RunConfig, languages: Sequence[str]) -> None:
    """Read the files of a task file that a run will read: what is wrong with them is said before libraries load. Rows are kept.

    Args:
        config: not resolved yet.
        languages: of the test.

    Raises:
        DataError: with all that is wrong with the rows of a file, or if training rows are missing.
    """
    if not isinstance(task, CustomTask) or task.needs_hub:
        return
    for code in languages:
        task.examples("test", code, Source())
    if config.adapter is None and config.trains and config.method["name"] != "none":
        sources, targets = trained_languages(config, task)
        for code in (*sources, *targets):
            task.examples("train", code, Source())
        for code in sources if config.train.validation_size else ():
            task.examples("validation", code, Source())


def load_examples(task: Task, config: RunConfig, source: Source) -> Examples:
    """Read the test languages, and the training data where something is trained.

    Where all languages are asked for, those that the data lacks are left out and named; source languages must be there.

    Raises:
        DataError, LanguageError: see the task, and `choose_shot_languages`.
    """
    source = Source(source.hub)  # the notes are those of this run
    test, missing = _test_data(task, config, source)
    of_shots = choose_shot_languages(task, tuple(test), config)
    of_training = config.source_languages[:1] if of_shots and config.trains else ()
    solved = load_shots(task, tuple(dict.fromkeys([*of_shots.values(), *of_training])), config, source)
    used = frozenset(example.id for shots in solved.values() for example in shots)
    learned = training_data(task, config, source, used) if config.trains else TrainingData([], [])
    notes = [*task.info.deviations, *source.notes, *learned.notes]
    if missing:
        notes.append(
            f"No data here, left out: {len(missing)} of {len(task.languages())} languages, {', '.join(missing)}."
        )
    if config.eval_size is not None:
        notes.append(
            f"Test: at most {config.eval_size} examples per language, the same ids in each, by smallest hash."
            if config.eval_ids == "same"
            else f"Test: at most {config.eval_size} examples per language, each its own ids, by smallest hash with the language; "
            f"{config.test_size(source=True)} in {' and '.join(get(code).name for code in config.source_languages)}."
        )
    if of_shots:
        notes.append(shots_note(config, of_shots))
    shots = {code: solved[language] for code, language in of_shots.items()}
    train_shots = solved[of_training[0]] if of_training else []
    watched = watched_examples(task, config, source, tuple(test)) if config.trains and learned.validation else {}
    return Examples(learned.train, learned.validation, test, train_shots, shots, tuple(notes), watched)


def _test_data(task: Task, config: RunConfig, source: Source) -> tuple[dict[str, list[Example]], list[str]]:
    """Language -> the examples to test, and the languages that are left out because there are none."""
    test: dict[str, list[Example]] = {}
    missing = []
    for code in choose_languages(task, config):
        try:
            size = config.test_size(source=code in config.source_languages)
            own = code if config.eval_ids == "disjoint" else ""
            test[code] = evaluation_subset(task.examples("test", code, source), size, own)
        except MissingDataError:
            if config.languages != "all" or code in config.source_languages:
                raise
            missing.append(code)
    return test, missing


def tokenise(task: Task, examples: Examples, tokenizer: Any, max_length: int, vocabulary: int | None = None) -> Tokens:
    """Prompt and tokenise everything; contexts that are too long are cut where the task allows it, and counted.

    Where one choice of any prompt begins with another, an end is scored and trained with every choice, in all languages.

    Raises:
        DataError: if a prompt is too long for the model, or labels are the same tokens.
    """

    tokens = _encoded(task, examples, tokenizer, max_length, vocabulary, "")
    alike = needs_end(item for items in (tokens.train, tokens.validation, *tokens.test.values()) for item in items)
    if alike is None:
        return tokens
    note = (
        f"The choice '{alike[0]}' begins the choice '{alike[1]}' for this tokenizer: a line break ends every choice, "
        "and is scored and trained with it."
    )
    tokens = _encoded(task, examples, tokenizer, max_length, vocabulary, END)
    return replace(tokens, notes=(*tokens.notes, note), end=END)


def _encoded(
    task: Task, examples: Examples, tokenizer: Any, max_length: int, vocabulary: int | None, end: str
) -> Tokens:
    def tokens(items: Sequence[Example], shots: Sequence[Example], training: bool) -> list[TokenizedPrompt]:
        prompts = with_shots(task, shots, [task.prompt(example) for example in items])
        return encode(prompts, tokenizer, max_length, training=training, end=end, vocabulary=vocabulary)

    train = tokens(examples.train, examples.train_shots, True)
    validation = tokens(examples.validation, examples.train_shots, True)
    watched = {code: tokens(items, examples.train_shots, True) for code, items in examples.watched.items()}
    test = {code: tokens(items, examples.shots.get(code, ()), False) for code, items in examples.test.items()}
    rows = [item.ids for item in (*train, *validation)] or [item.ids for item in next(iter(test.values()))]
    instruction = tokenizer.decode(rows[0][: common_prefix_length(rows)], skip_special_tokens=True) if rows else ""
    parts = {"train": train, "validation": validation, **{f"language {code}": items for code, items in test.items()}}
    notes = [
        f"{count:,} of {len(items):,} contexts cut to {max_length:,} tokens with question and answer, {part}."
        for part, items in parts.items()
        if (count := sum(item.cut for item in items))
    ]
    return Tokens(
        train, validation, test, instruction, tuple(notes), shots_text(task, examples.train_shots), watched=watched
    )
