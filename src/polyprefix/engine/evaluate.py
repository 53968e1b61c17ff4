"""Evaluation: predictions of an adapted model in every language of a task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial

from polyprefix.engine.predict import rank_choices
from polyprefix.methods.adapted import AdaptedModel
from polyprefix.progress import Reporter
from polyprefix.records import Example, Prediction
from polyprefix.text.tokens import Encoded


def predict(
    model: AdaptedModel,
    test: Mapping[str, Sequence[Example]],
    encoded: Mapping[str, Sequence[Encoded]],
    token_budget: int,
    reporter: Reporter,
    title: str,
) -> dict[str, list[Prediction]]:
    """Language -> one prediction per example, in the order of the examples. One progress bar over all languages."""
    predictions = {}
    with reporter.phase(title, sum(map(len, encoded.values()))) as bar:
        for language, items in encoded.items():
            ranked = rank_choices(model, items, token_budget, partial(bar.advance, note=language))
            predictions[language] = [
                Prediction(
                    example.id,
                    language,
                    example.answers,
                    example.choices[answer.best],
                    answer.log_likelihoods,
                    " · ".join(example.inputs.values()),
                )
                for example, answer in zip(test[language], ranked, strict=True)
            ]
    return predictions
