"""Metrics of generated answers: exact match and F1 after SQuAD v1.1 (P. Rajpurkar et al., EMNLP 2016)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from polyprefix.scoring.normalise import language_aware, squad
from polyprefix.scoring.numbers import last_number
from polyprefix.types import Prediction

SPAN_METRICS = ("f1", "exact_match", "f1_language_aware", "exact_match_language_aware")
"""Of extractive question answering; the first two are SQuAD's own."""


def exact_match(predicted: str, references: Sequence[str], normalise: Callable[[str], str] = squad) -> float:
    """1 if the prediction equals any reference after normalisation, else 0."""
    found = normalise(predicted)
    return float(any(found == normalise(answer) for answer in references))


def f1(predicted: str, references: Sequence[str], normalise: Callable[[str], str] = squad) -> float:
    """The highest F1 with any reference: words in common against words of both, after normalisation.

    Repeated words count as often as both have them. An answer without words after normalisation gets 0, even against
    another such answer: that is the official rule.
    """
    found = normalise(predicted).split()
    return max(_word_f1(found, normalise(answer).split()) for answer in references)


def _word_f1(found: list[str], expected: list[str]) -> float:
    common = (Counter(found) & Counter(expected)).total()
    if not common:
        return 0.0
    precision, recall = common / len(found), common / len(expected)
    return 2 * precision * recall / (precision + recall)


def same_number(prediction: Prediction) -> float:
    """1 if the last number of the prediction is the last number of a reference, else 0."""
    found = last_number(prediction.prediction)
    return float(found is not None and found in map(last_number, prediction.references))


def _aware(prediction: Prediction) -> Callable[[str], str]:
    return lambda text: language_aware(text, prediction.language)


MEASURES: Mapping[str, Callable[[Prediction], float]] = {
    "f1": lambda p: f1(p.prediction, p.references),
    "exact_match": lambda p: exact_match(p.prediction, p.references),
    "f1_language_aware": lambda p: f1(p.prediction, p.references, _aware(p)),
    "exact_match_language_aware": lambda p: exact_match(p.prediction, p.references, _aware(p)),
    "number": same_number,
}
"""Metric of a generated answer -> its value for one prediction, the best over the references."""
