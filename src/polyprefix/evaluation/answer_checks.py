"""What is wrong with the generated answers of a run, whatever the right ones are."""

from __future__ import annotations

from collections.abc import Sequence

from polyprefix.evaluation.predictions import Answers
from polyprefix.languages import get
from polyprefix.scoring.answer_checks import LEAST_WORDS, check_answers
from polyprefix.scoring.recognise import label_of, recogniser
from polyprefix.tasks.base import Task

QUESTION = "question"
"""Answers are expected in the language of the question."""


def answer_checks(task: Task, answers: Answers) -> tuple[dict[str, dict[str, float]], tuple[str, ...]]:
    """Language -> figures of `scoring.answer_checks`, and what the result says of them; nothing where answers are chosen."""
    generated = {
        code: [prediction.prediction for prediction in found]
        for code, found in answers.predictions.items()
        if found and not any(prediction.log_likelihoods for prediction in found)
    }
    if not generated:
        return {}, ()
    wanted = task.info.answer_language
    expected = {code: code if wanted == QUESTION else wanted for code in generated}
    figures = {
        code: check_answers(found, code, expected[code], answers.cut.get(code)) for code, found in generated.items()
    }
    return figures, (_note([code for code in dict.fromkeys(expected.values()) if code]),)


def _note(expected: Sequence[str]) -> str:
    """How languages were recognised, and which were not."""
    if not expected:
        return "Languages of generated answers are not checked: the task asks for none."
    unknown = [get(code).name for code in expected if label_of(code) is None]
    note = f"Languages of generated answers: lines of {LEAST_WORDS} words and more, by {recogniser()}"
    return f"{note}, which does not know {', '.join(unknown)}." if unknown else f"{note}."
