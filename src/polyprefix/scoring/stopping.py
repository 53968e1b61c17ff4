"""Adaptive evaluation: a language is asked until its interval is narrow enough."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from polyprefix.data.select import by_hash
from polyprefix.errors import ConfigError
from polyprefix.scoring.confidence_sequence import ConfidenceSequence
from polyprefix.types import Example, Prediction, Score

FIRST_LOOK = 64
"""Examples before the interval is looked at; after that, each time a quarter more."""


@dataclass(frozen=True, slots=True)
class StoppingRule:
    """When enough examples of a language were asked.

    They are asked by the smallest hash of their ids, as `eval_size` takes them: the examples that two runs have in common are the first of
    both.
    """

    task: str
    """Its name."""
    metric: str
    """The main one."""
    scores: Callable[[Sequence[Prediction]], Mapping[str, Score]]
    """Of the predictions of one language."""
    correctness: Callable[[Prediction], float]
    """The main metric of a single prediction, between 0 and 1."""
    half_width: float
    """Of the 95% interval of the main metric, as a share; asking stops where it is no larger."""

    def ask(
        self, answers_to: Callable[[Sequence[int]], Sequence[Prediction]], examples: Sequence[Example]
    ) -> list[Prediction]:
        """The answers to as many examples as it takes, in the order of the examples.

        Args:
            answers_to: asks the examples at these places.

        Raises:
            ConfigError: if the main metric is not a mean over examples.
        """
        places = by_hash([example.id for example in examples])
        found: dict[int, Prediction] = {}
        sequence = ConfidenceSequence(self.half_width, len(places))
        while len(found) < len(places) and sequence.half_width > self.half_width:
            block = places[len(found) : len(found) + _next_look(len(found))]
            found.update(zip(sorted(block), answers_to(sorted(block)), strict=True))
            if len(found) == len(block):
                self._require_mean(list(found.values()))
            sequence.extend([self.correctness(found[place]) for place in block])
        return [found[place] for place in sorted(found)]

    def score(self, predictions: Sequence[Prediction], available: int) -> Mapping[str, Score]:
        """The task's scores in one language; the interval of the main metric is the one that stopping went by.

        Args:
            available: the examples that there were to ask.
        """
        scores = self.scores(predictions)
        sequence = ConfidenceSequence(self.half_width, available)
        order = by_hash([prediction.example_id for prediction in predictions])
        sequence.extend([self.correctness(predictions[place]) for place in order])
        return {**scores, self.metric: replace(scores[self.metric], ci95=sequence.interval)}

    def warning(self, available: Mapping[str, int]) -> str | None:
        """What is said beforehand where nothing can be saved; None where something may be.

        Args:
            available: language -> the examples that there are.
        """
        if not available or any(self._may_stop_early(there) for there in set(available.values())):
            return None
        return (
            f"eval_until: no interval can be as narrow as ±{100 * self.half_width:g} points before all examples of a language are asked "
            f"({max(available.values()):,} at most); give a larger number, or leave it out"
        )

    def _may_stop_early(self, available: int) -> bool:
        """Whether asking would stop early if all answers were right, where the interval narrows soonest."""
        sequence, asked = ConfidenceSequence(self.half_width, available), 0
        while asked < available and sequence.half_width > self.half_width:
            look = min(_next_look(asked), available - asked)
            sequence.extend([1.0] * look)
            asked += look
        return asked < available

    def _require_mean(self, predictions: Sequence[Prediction]) -> None:
        mean = sum(map(self.correctness, predictions)) / len(predictions)
        if abs(self.scores(predictions)[self.metric].value - mean) > 1e-6:
            raise ConfigError(
                f"eval_until: {self.metric} of {self.task} is not a mean over examples, so that nobody can say when enough "
                "were asked; leave eval_until out"
            )


def _next_look(asked: int) -> int:
    """How many examples are asked before the interval is looked at again."""
    return max(FIRST_LOOK, asked // 4)


def stopping_note(points: float, available: Mapping[str, int], asked: Mapping[str, Sequence[Example]]) -> str:
    """What the result says of it."""
    early = sum(len(asked[code]) < there for code, there in available.items())
    return (
        f"Test: each language until its 95% interval is ±{points:g} points or narrower; {early} of {len(available)} languages stopped "
        f"early, {sum(map(len, asked.values())):,} of {sum(available.values()):,} examples were asked. Intervals of the main metric are "
        "confidence sequences; those of other metrics, of averages and of differences take the number of examples as fixed beforehand."
    )
