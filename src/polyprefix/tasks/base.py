"""What a task is.

One task is one file in this folder that defines `TASK`; the registry and the contract test find it there.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, runtime_checkable

from polyprefix import config
from polyprefix.scoring.stopping import StoppingRule
from polyprefix.types import Example, Origin, Prediction, Prompt, Score, Split

ENGLISH = config.ENGLISH


@dataclass(frozen=True, slots=True)
class TaskInfo:
    """The header of a task: everything that a reader of a score must know."""

    name: str
    title: str
    """One line: what is asked."""
    source: str
    """Where the data comes from: a hub id or a package."""
    licence: str
    metrics: tuple[str, ...]
    """The first is the main one."""
    chance: float
    """Expected value of the main metric for random guesses."""
    parallel: bool
    """Whether an id means the same item in every language."""
    splits: Mapping[str, str]
    """Our split -> what it is in the source, with its expected number of rows."""
    deviations: tuple[str, ...] = ()
    """How this differs from the source's protocol; copied into each result."""
    inputs: tuple[str, ...] = ()
    """The names of an example's inputs: what `predict` asks for."""
    labels: tuple[str, ...] = ()
    """The answers to choose from, where they are the same in every example."""
    options: tuple[str, ...] = ()
    """The names of the inputs that are the answers to choose from, where these differ from example to example."""
    answer_language: str | None = None
    """The language that generated answers have to be in: `question` for that of the question, or a code; None where the task does not ask
    for one, as where answers are numbers."""
    origin: Origin = "not stated"
    """Where the test text comes from, in all languages but those of `origins`."""
    origins: Mapping[str, Origin] = field(default_factory=dict)
    """Language -> where its test text comes from."""

    def origin_of(self, language: str) -> Origin:
        """Where the test text of a language comes from."""
        return self.origins.get(language, self.origin)


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from in this run, and what they turned out to be, so that tasks need no globals."""

    hub: Path | None = None
    """A local mirror of the Hub; None means the Hub itself."""
    notes: list[str] = field(default_factory=list, compare=False)
    """What the result must say about the rows that were read, such as a training set shorter than the published one."""

    def note(self, *sentences: str) -> None:
        """Add notes; one that is there already is not repeated, for a run may read a split twice."""
        self.notes.extend(sentence for sentence in dict.fromkeys(sentences) if sentence not in self.notes)


@runtime_checkable
class Task(Protocol):
    """A task turns rows into examples and prompts, and predictions into scores. It never imports torch."""

    info: TaskInfo

    def languages(self) -> tuple[str, ...]:
        """The codes (`swh_Latn`) that the task has test data for, English first where it is among them."""

    def examples(self, split: Split, language: str, source: Source) -> Sequence[Example]:
        """All examples of a split, in the source's order; what a result must say about them goes to `source.note`.

        Raises:
            DataError: if rows are missing, short or malformed.
            LanguageError: if the task has no such language.
        """

    def prompt(self, example: Example) -> Prompt:
        """The example as the model reads it. What all examples share should come first: it is computed only once."""

    def score(self, predictions: Sequence[Prediction]) -> Mapping[str, Score]:
        """Metric -> score over the predictions of one language."""

    def correctness(self, prediction: Prediction) -> float:
        """The main metric for a single prediction, between 0 and 1; paired statistics are built on it."""

    def baselines(self, source: Source, test: Mapping[str, Sequence[Example]]) -> Mapping[str, Mapping[str, Score]]:
        """Baselines without a language model: name -> language -> accuracy. Empty where the task has none."""

    def train_languages(self) -> tuple[str, ...]:
        """The languages that have training and validation data: what `examples` serves for these splits; English first."""
        return (ENGLISH,)

    def test_ids(self, source: Source) -> frozenset[str]:
        """The ids of all test examples in any language. Of a parallel task the first language has them all."""
        return frozenset(example.id for example in self.examples("test", self.languages()[0], source))

    def shot_languages(self) -> tuple[str, ...]:
        """The languages that have published development data, from which few-shot examples are taken; English first."""
        return (ENGLISH,)

    def shot_pool(self, language: str, source: Source) -> Sequence[Example]:
        """The examples that may stand solved in front of a prompt: the development data of the language.

        Raises:
            DataError, LanguageError: as `examples`.
        """
        return self.examples("validation", language, source)


def stopping_rule(task: Task, points: float | None) -> StoppingRule | None:
    """The rule of the setting `eval_until`; None where every example is asked."""
    if points is None:
        return None
    return StoppingRule(task.info.name, task.info.metrics[0], task.score, task.correctness, points / 100)


def score_all(
    task: Task,
    test: Mapping[str, Sequence[Example]],
    predictions: Mapping[str, Sequence[Prediction]],
    rule: StoppingRule | None = None,
    available: Mapping[str, int] | None = None,
) -> dict[str, Mapping[str, Score]]:
    """Language -> metric -> score, where every example has exactly one answer.

    Args:
        test: the examples that were asked.
        rule: when asking stopped; None where it did not.
        available: with a rule, language -> the number of examples that there were to ask.

    Raises:
        ValueError: if an example has no answer or several, or an answer belongs to no example: such a score would be over
            other examples than it says.
    """
    for language in {**test, **predictions}:
        asked = Counter(example.id for example in test.get(language, ()))
        answered = Counter(prediction.example_id for prediction in predictions.get(language, ()))
        if asked != answered:
            missing, extra = (asked - answered).total(), (answered - asked).total()
            raise ValueError(
                f"{task.info.name} {language}: {missing} examples without an answer, {extra} answers too many"
            )
    if rule is None:
        return {language: task.score(predictions[language]) for language in test}
    there = available or {}
    return {language: rule.score(predictions[language], there[language]) for language in test}
