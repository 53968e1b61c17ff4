"""Task types: how an example becomes a prompt, and predictions become scores. Benchmarks and task files use the same ones.

classification     one of a few labels, the same in every example
multiple-choice    one of the options of the example, ranked by their log-likelihood
span               generated, in words of a context
generation         generated freely
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from polyprefix.scoring.answers import MEASURES, SPAN_METRICS
from polyprefix.scoring.metrics import accuracy, macro_f1
from polyprefix.tasks._template import fill
from polyprefix.tasks.base import Source, Task
from polyprefix.types import Example, Prediction, Prompt, Score

Measure = Callable[[Prediction], float]
"""A metric of a single prediction, between 0 and 1."""


class TaskType(ABC):
    """Prompts and scores of one kind of task."""

    @property
    @abstractmethod
    def measures(self) -> Mapping[str, Measure]:
        """Metric -> its value for a single prediction; the first is the main one."""

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the metrics, the main one first."""
        return tuple(self.measures)

    @property
    @abstractmethod
    def chance(self) -> float:
        """Expected value of the main metric for random guesses."""

    stop: tuple[str, ...] = ()
    """A generated answer ends before the first of these strings."""
    max_new_tokens: int = 1
    """And after at most so many tokens."""

    def prompt(self, example: Example, template: str, cuttable: str | None = None) -> Prompt:
        """The template filled in with the example's inputs; the answer follows its end.

        Args:
            cuttable: the input that may be cut where the prompt is too long for a model.
        """
        text, context = fill(template, example.inputs, cuttable)
        return Prompt(
            example_id=example.id,
            language=example.language,
            text=text,
            target=f" {example.references[0]}",
            choices=tuple(f" {choice}" for choice in example.choices),
            stop=self.stop,
            max_new_tokens=self.max_new_tokens,
            context=context,
        )

    def correctness(self, prediction: Prediction) -> float:
        """The main metric of a single prediction."""
        return next(iter(self.measures.values()))(prediction)

    def score(self, predictions: Sequence[Prediction]) -> Mapping[str, Score]:
        """Metric -> mean over the predictions of one language.

        Raises:
            ValueError: if there are no predictions.
            ConfigError: if a metric needs the language's words, and they cannot be found (see `scoring.segment.words`).
        """
        return {name: accuracy([measure(p) for p in predictions]) for name, measure in self.measures.items()}


def _right_choice(prediction: Prediction) -> float:
    return float(prediction.prediction.strip() in prediction.references)


@dataclass(frozen=True, slots=True)
class MultipleChoice(TaskType):
    """The options of an example are ranked."""

    options: int
    """Of an example."""

    @property
    def measures(self) -> Mapping[str, Measure]:
        """Accuracy."""
        return {"accuracy": _right_choice}

    @property
    def chance(self) -> float:
        """1 / options."""
        return 1 / self.options


@dataclass(frozen=True, slots=True)
class Classification(TaskType):
    """The same labels are ranked in every example."""

    labels: tuple[str, ...]

    @property
    def measures(self) -> Mapping[str, Measure]:
        """Accuracy."""
        return {"accuracy": _right_choice}

    @property
    def metrics(self) -> tuple[str, ...]:
        """Accuracy, and F1 averaged over the labels, which is no mean over predictions."""
        return ("accuracy", "macro_f1")

    @property
    def chance(self) -> float:
        """1 / labels."""
        return 1 / len(self.labels)

    def score(self, predictions: Sequence[Prediction]) -> Mapping[str, Score]:
        """Accuracy and macro F1.

        Raises:
            ValueError: if there are no predictions.
        """
        gold, found = [p.references[0] for p in predictions], [p.prediction.strip() for p in predictions]
        accuracies = {"accuracy": accuracy([_right_choice(p) for p in predictions])}
        return {**accuracies, "macro_f1": macro_f1(gold, found, self.labels)}


@dataclass(frozen=True, slots=True)
class Generation(TaskType):
    """The answer is generated and compared with the references."""

    measures: Mapping[str, Measure]
    stop: tuple[str, ...] = ("\n",)
    max_new_tokens: int = 64

    @property
    def chance(self) -> float:
        """0: a generated answer is not guessed."""
        return 0.0


@dataclass(frozen=True, slots=True)
class Span(Generation):
    """The answer is generated in words of a context: extractive question answering."""

    measures: Mapping[str, Measure] = field(default_factory=lambda: {name: MEASURES[name] for name in SPAN_METRICS})
    max_new_tokens: int = 48


class TypedTask(Task):
    """A task whose prompts and scores are those of its type."""

    task_type: TaskType
    template: str
    """With the names of an example's inputs in braces. What all examples share comes first; the answer follows the end."""
    cuttable: str | None = None
    """The input that may be cut where a prompt is too long for a model."""

    def prompt(self, example: Example) -> Prompt:
        """The template, filled in."""
        return self.task_type.prompt(example, self.template, self.cuttable)

    def score(self, predictions: Sequence[Prediction]) -> Mapping[str, Score]:
        """The metrics of the type.

        Raises:
            ValueError: if there are no predictions.
        """
        return self.task_type.score(predictions)

    def correctness(self, prediction: Prediction) -> float:
        """The main metric of a single prediction."""
        return self.task_type.correctness(prediction)

    def baselines(self, source: Source, test: Mapping[str, Sequence[Example]]) -> Mapping[str, Mapping[str, Score]]:
        """None."""
        return {}


def most_frequent_label(label: str, test: Mapping[str, Sequence[Example]]) -> dict[str, Score]:
    """Language -> accuracy of always answering `label`, where there are test examples."""
    return {code: accuracy([float(label in e.references) for e in rows]) for code, rows in test.items() if rows}
