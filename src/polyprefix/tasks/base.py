"""What a task is.

One task is one file in this folder that defines `TASK`; the registry and the contract test find it there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from polyprefix.records import Example, Prediction, Prompt, Score, Split


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


@dataclass(frozen=True, slots=True)
class Source:
    """Where rows come from in this run, so that tasks need no globals."""

    hub: Path | None = None
    """A local mirror of the Hub; None means the Hub itself."""


@runtime_checkable
class Task(Protocol):
    """A task turns rows into examples and prompts, and predictions into scores. It never imports torch."""

    info: TaskInfo

    def languages(self) -> tuple[str, ...]:
        """The codes (`swh_Latn`) that the task has test data for, English first."""

    def examples(self, split: Split, language: str, source: Source) -> Sequence[Example]:
        """All examples of a split, in the source's order.

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

    def notes(self) -> tuple[str, ...]:
        """What the loaded data turned out to be, such as a shorter training set than the published one.

        Read after `examples`; goes into the result next to `info.deviations`. Optional where a task derives from this.
        """
        return ()
