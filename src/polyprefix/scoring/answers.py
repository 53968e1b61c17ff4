"""Exact match and F1 of written answers: pure functions, after SQuAD v1.1 (P. Rajpurkar et al., EMNLP 2016)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from polyprefix.records import Prediction, Score
from polyprefix.scoring.metrics import accuracy
from polyprefix.scoring.normalise import language_aware, squad

SPAN_METRICS = ("f1", "exact_match", "f1_language_aware", "exact_match_language_aware")
"""What `span_scores` computes; the first two are the official ones."""


def exact_match(predicted: str, answers: Sequence[str], normalise: Callable[[str], str] = squad) -> float:
    """1 if the prediction equals any accepted answer after normalisation, else 0."""
    found = normalise(predicted)
    return float(any(found == normalise(answer) for answer in answers))


def f1(predicted: str, answers: Sequence[str], normalise: Callable[[str], str] = squad) -> float:
    """The highest F1 with any accepted answer: words in common against words of both, after normalisation.

    Repeated words count as often as both have them. An answer without words after normalisation gets 0, even against
    another such answer: that is the official rule.
    """
    found = normalise(predicted).split()
    return max(_word_f1(found, normalise(answer).split()) for answer in answers)


def span_scores(predictions: Sequence[Prediction]) -> Mapping[str, Score]:
    """`SPAN_METRICS` over the predictions of one language.

    Raises:
        ValueError: if there are no predictions.
        ConfigError: if the language's words cannot be found here (see `segment.words`).
    """

    def aware(prediction: Prediction) -> Callable[[str], str]:
        return lambda text: language_aware(text, prediction.language)

    figures = (
        [f1(p.prediction, p.references) for p in predictions],
        [exact_match(p.prediction, p.references) for p in predictions],
        [f1(p.prediction, p.references, aware(p)) for p in predictions],
        [exact_match(p.prediction, p.references, aware(p)) for p in predictions],
    )
    return {name: accuracy(values) for name, values in zip(SPAN_METRICS, figures, strict=True)}


def _word_f1(found: list[str], expected: list[str]) -> float:
    common = (Counter(found) & Counter(expected)).total()
    if not common:
        return 0.0
    precision, recall = common / len(found), common / len(expected)
    return 2 * precision * recall / (precision + recall)
