"""Evaluation: predictions of an adapted model in every language of a task."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from polyprefix.engine.generate import write_answers
from polyprefix.engine.predict import rank_choices
from polyprefix.engine.work import Work
from polyprefix.methods.adapted import AdaptedModel
from polyprefix.progress import Reporter
from polyprefix.records import Example, Prediction
from polyprefix.text.tokens import Encoded


def predict(
    model: AdaptedModel,
    test: Mapping[str, Sequence[Example]],
    encoded: Mapping[str, Sequence[Encoded]],
    token_budget: int | None,
    reporter: Reporter,
    title: str,
    work: Work | None = None,
) -> dict[str, list[Prediction]]:
    """Language -> one prediction per example, in the order of the examples. One progress bar over all languages; `work` is added to."""
    predictions = {}
    with reporter.phase(title, sum(map(len, encoded.values()))) as bar:
        for language, items in encoded.items():
            advance = partial(bar.advance, note=language)
            answer = _choose if all(item.choices for item in items) else _write
            predictions[language] = answer(model, test[language], items, token_budget, advance, work)
    return predictions


def _choose(
    model: AdaptedModel,
    examples: Sequence[Example],
    items: Sequence[Encoded],
    budget: int | None,
    advance: Callable[[int], None],
    work: Work | None,
) -> list[Prediction]:
    ranked = rank_choices(model, items, budget, advance, work)
    return [
        _prediction(example, example.choices[answer.best], answer.log_likelihoods)
        for example, answer in zip(examples, ranked, strict=True)
    ]


def _write(
    model: AdaptedModel,
    examples: Sequence[Example],
    items: Sequence[Encoded],
    budget: int | None,
    advance: Callable[[int], None],
    work: Work | None,
) -> list[Prediction]:
    written = write_answers(model, items, budget, advance, work)
    return [_prediction(example, answer) for example, answer in zip(examples, written, strict=True)]


def _prediction(example: Example, predicted: str, log_likelihoods: tuple[float, ...] = ()) -> Prediction:
    text = " · ".join(example.inputs.values())
    return Prediction(example.id, example.language, example.answers, predicted, log_likelihoods, text)
