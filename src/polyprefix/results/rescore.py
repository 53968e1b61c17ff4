"""The scores of a finished run once more, from its predictions alone: what anybody can do with a published result."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

from polyprefix.errors import OutputError
from polyprefix.results.files import PREDICTIONS, read_predictions, read_result
from polyprefix.tasks.base import Task, stopping_rule
from polyprefix.types import Prediction, Score


def rescore(folder: Path, task: Task) -> dict[str, Mapping[str, Score]]:
    """Language -> metric -> score, computed from `predictions.parquet` and equal to those of `result.json`, intervals included.

    Args:
        folder: of a finished run.
        task: the one that was run.

    Raises:
        OutputError: if a file is missing or damaged, or if the figures differ: one of the files is not of this run.
    """
    result, path = read_result(folder), folder / PREDICTIONS
    predictions, correctness = read_predictions(path)
    answers: dict[str, list[Prediction]] = defaultdict(list)
    for prediction, correct in zip(predictions, correctness, strict=True):
        if correct != task.correctness(prediction):
            raise OutputError(
                f"{path}: {prediction.language} example {prediction.example_id} is {correct} there, "
                f"{task.correctness(prediction)} computed again; run it again"
            )
        answers[prediction.language].append(prediction)
    rule = stopping_rule(task, result.config.get("eval_until"))
    scores = {
        language: rule.score(items, result.available[language]) if rule else task.score(items)
        for language, items in answers.items()
    }
    for language in dict.fromkeys([*result.scores, *scores]):
        if result.scores.get(language) != scores.get(language):
            raise OutputError(
                f"{path}: its {len(answers.get(language, ()))} answers in {language} do not give the scores of result.json; "
                "run it again"
            )
    return scores
