"""Questions as examples, and answers as rows: what a person gives, and what he gets back."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyprefix.data.files import read_table
from polyprefix.data.table import Row, Table, arrow_table, table_of
from polyprefix.data.validation_errors import ValidationErrors
from polyprefix.errors import DataError
from polyprefix.tasks._custom_rows import question, read_inputs, require_columns
from polyprefix.tasks.base import Task
from polyprefix.types import Example, Prediction

if TYPE_CHECKING:
    import pandas as pd

PREDICTION, PROBABILITIES, CALIBRATION, CUT = "prediction", "probabilities", "calibration", "context_cut"
"""What an answer adds to the columns of its question."""


def read_questions(questions: Sequence[str | Mapping[str, Any]] | Path, task: Task) -> list[Row]:
    """The questions with their places.

    Raises:
        DataError: if a file has errors, or texts come to a task with several inputs.
    """
    names = task.info.inputs
    if not names:
        raise DataError(
            f"task '{task.info.name}': does not say what its inputs are called; name them in its info.inputs"
        )
    if isinstance(questions, Path):
        errors = ValidationErrors()
        table = read_table(questions, errors)
        if table.rows:
            check_columns(table, task, errors)
        errors.check()
        return list(table.rows)
    rows = []
    for number, item in enumerate(questions, 1):
        if isinstance(item, str) and len(names) != 1:
            raise DataError(
                f"text {number}: task '{task.info.name}' asks with {len(names)} inputs ({', '.join(names)}), not one; "
                "give each by its name, or a file with these columns"
            )
        rows.append(Row(f"text {number}", {names[0]: item} if isinstance(item, str) else dict(item)))
    return rows


def frame_rows(frame: pd.DataFrame, task: Task) -> list[Row]:
    """The rows of a data frame with their places.

    Raises:
        DataError: if it lacks columns, or has one of ours.
    """
    if frame.empty:
        return []
    errors = ValidationErrors()
    table = table_of(arrow_table(frame, "data frame"), "data frame", errors)
    check_columns(table, task, errors)
    errors.check()
    return list(table.rows)


def check_columns(table: Table, task: Task, errors: ValidationErrors) -> None:
    """Every input of the task is there, and nothing that has the name of an answer."""
    require_columns(table, dict.fromkeys(task.info.inputs, f"the task '{task.info.name}'"), errors)
    added = {PREDICTION, PROBABILITIES, CALIBRATION, CUT}
    for name in (name for name in table.columns if name in added or name.startswith(f"{PROBABILITIES}.")):
        errors.add(f"{table.where}, column '{name}'", "the name of what is predicted", "another name")


def examples_of(rows: Sequence[Row], task: Task, language: str) -> list[Example]:
    """Examples without answers.

    Raises:
        DataError: with every input that is missing or empty.
    """
    errors, info = ValidationErrors(), task.info
    inputs = [read_inputs(row, info.inputs, errors) for row in rows]
    errors.check()
    return [question(info, pieces, row.where, language) for row, pieces in zip(rows, inputs, strict=True)]


def shown_answer(
    example: Example, prediction: Prediction, said: str | None = None, cut: bool = False
) -> dict[str, Any]:
    """What an answer adds to its question.

    Args:
        said: what was divided out of its probabilities.
        cut: whether its context was too long for the model.
    """
    more = {**({CALIBRATION: said} if said else {}), **({CUT: True} if cut else {})}
    if not example.choices:
        return {PREDICTION: prediction.prediction, **more}
    top = max(prediction.log_likelihoods)
    weights = [math.exp(value - top) for value in prediction.log_likelihoods]
    shares = {choice: weight / sum(weights) for choice, weight in zip(example.choices, weights, strict=True)}
    return {PREDICTION: prediction.prediction, PROBABILITIES: shares, **more}
