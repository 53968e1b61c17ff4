"""Tasks whose answer is one of a few labels: the prompt is a template, the label follows it, the metric is accuracy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

from polyprefix.records import Example, Prediction, Prompt, Score
from polyprefix.scoring.metrics import accuracy, macro_f1
from polyprefix.tasks._rows import stripped
from polyprefix.tasks.base import Source, Task


class ChoiceTask(Task):
    """A task with `labels` in every example; macro F1 is reported where `info.metrics` names it."""

    template: ClassVar[str]
    """With the names of an example's inputs in braces; what all examples share comes first, the answer follows its end."""
    labels: ClassVar[tuple[str, ...]]

    def prompt(self, example: Example) -> Prompt:
        """The template, with the labels as continuations."""
        return Prompt(
            example_id=example.id,
            language=example.language,
            text=self.template.format(**stripped(example.inputs)),
            target=f" {example.answers[0]}",
            choices=tuple(f" {label}" for label in example.choices),
        )

    def score(self, predictions: Sequence[Prediction]) -> Mapping[str, Score]:
        """Accuracy, and F1 averaged over the labels where the task reports it.

        Raises:
            ValueError: if there are no predictions.
        """
        scores = {"accuracy": accuracy([self.correctness(p) for p in predictions])}
        if "macro_f1" in self.info.metrics:
            gold, predicted = [p.answers[0] for p in predictions], [p.predicted.strip() for p in predictions]
            scores["macro_f1"] = macro_f1(gold, predicted, self.labels)
        return scores

    def correctness(self, prediction: Prediction) -> float:
        """1 for the right label, else 0."""
        return float(prediction.predicted.strip() in prediction.answers)

    def baselines(self, source: Source, test: Mapping[str, Sequence[Example]]) -> Mapping[str, Mapping[str, Score]]:
        """None."""
        return {}
