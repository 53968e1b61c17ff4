"""What a model says to prompts that ask nothing, and to validation: all that calibration needs beside the test answers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.calibration.record import CalibrationRecord, Row, Validation, priors_of
from polyprefix.errors import DataError
from polyprefix.evaluation.loglikelihood import loglikelihood
from polyprefix.tasks.base import Task
from polyprefix.text.content_free import content_free_prompts, premise_prompts
from polyprefix.text.prepare import Examples, Tokens
from polyprefix.text.tokens import encode
from polyprefix.types import Prediction, Prompt


def calibration_record(
    model: AdaptedModel,
    task: Task,
    examples: Examples,
    tokens: Tokens,
    predictions: Mapping[str, Sequence[Prediction]],
    validated: Validation,
    token_budget: int | None,
) -> CalibrationRecord | None:
    """The record of a run; None where answers are generated, or labels are not the same in every example.

    It takes four short prompts for each language that words its prompts differently; most tasks have one wording.

    Args:
        predictions: language -> answers to the test examples.
        validated: answers to the validation examples; empty without any.
        token_budget: tokens in one forward pass.
    """
    labels = task.info.labels
    if not labels or not all(p.log_likelihoods for items in predictions.values() for p in items):
        return None
    asked = content_free_prompts(task, examples.test, examples.shots)
    ends = premise_prompts(task, examples.test)
    prompts = [*(prompt for several in asked.values() for prompt in several), *ends.values()]
    try:
        said = _ask(model, prompts, tokens.end, token_budget)
    except DataError:  # this tokenizer makes nothing of an empty input, which is no reason to lose a run
        said, asked, ends = {}, {}, {}
    return CalibrationRecord(
        labels,
        priors_of({code: np.array([p.log_likelihoods for p in items]) for code, items in predictions.items() if items}),
        {code: tuple(said[_key(prompt)] for prompt in several) for code, several in asked.items()},
        {code: said[_key(prompt)] for code, prompt in ends.items()},
        validated,
    )


def _ask(model: AdaptedModel, prompts: Sequence[Prompt], end: str, budget: int | None) -> dict[Key, Row]:
    """Log-likelihoods of the continuations of each prompt; equal prompts are asked once."""
    once = {_key(prompt): prompt for prompt in prompts}
    if not once:
        return {}
    base = model.base
    encoded = encode(list(once.values()), base.tokenizer, base.max_length, end=end, vocabulary=base.vocabulary)
    ranked = loglikelihood(model, encoded, budget)
    return {key: found.log_likelihoods for key, found in zip(once, ranked, strict=True)}


Key = tuple[str, tuple[str, ...]]
"""Text and continuations."""


def _key(prompt: Prompt) -> Key:
    return prompt.text, prompt.choices
