"""Tasks whose answer is one of a few labels: the prompt is a template, the label follows it, the metric is accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from polyprefix.records import Example, Prediction, Prompt, Score
from polyprefix.scoring.metrics import accuracy, macro_f1
from polyprefix.tasks._template import fill
from polyprefix.tasks.base import Source, Task


class ChoiceTask(Task):
    """A task with `labels` in every example; macro F1 is reported where `info.metrics` names it."""

    template: ClassVar[str]
    """With the names of an example's inputs in braces; what all examples share comes first, the answer follows its end."""
    labels: ClassVar[tuple[str, ...]]
    cuttable: ClassVar[str | None] = None
    """The input that may be cut where a prompt is too long for a model."""

    def prompt(self, example: Example) -> Prompt:
        """The template, with the labels as continuations."""
        text, context = fill(self.template, example.inputs, self.cuttable)
        return Prompt(
            example_id=example.id,
            language=example.language,
            text=text,
            target=f" {example.references[0]}",
            choices=tuple(f" {label}" for label in example.choices),
            context=context,
        )

    def score(self, predictions: Sequence[Prediction]) -> Mapping[str, Score]:
        """Accuracy, and F1 averaged over the labels where the task reports it.

        Raises:
            ValueError: if there are no predictions.
        """
        scores = {"accuracy": accuracy([self.correctness(p) for p in predictions])}
        if "macro_f1" in self.info.metrics:
            gold, predicted = [p.references[0] for p in predictions], [p.prediction.strip() for p in predictions]
            scores["macro_f1"] = macro_f1(gold, predicted, self.labels)
        return scores

    def correctness(self, prediction: Prediction) -> float:
        """1 for the right label, else 0."""
        return float(prediction.prediction.strip() in prediction.references)

    def baselines(self, source: Source, test: Mapping[str, Sequence[Example]]) -> Mapping[str, Mapping[str, Score]]:
        """None."""
        return {}
