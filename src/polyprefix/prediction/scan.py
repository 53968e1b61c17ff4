"""A first pass over a file of questions: every row is checked before a model is loaded."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from polyprefix.data import write
from polyprefix.data.files import read_chunks
from polyprefix.data.validation_errors import MOST, ValidationErrors
from polyprefix.prediction.predictor import Predictor
from polyprefix.prediction.rows import PREDICTION, check_columns
from polyprefix.tasks._custom_rows import read_inputs

CHUNK = 1024
"""Rows that are read, answered and kept together."""


@dataclass(slots=True)
class Scan:
    """What a first pass over a file says of it."""

    rows: int = 0
    kinds: dict[str, set[type]] = field(default_factory=dict)
    """Column -> the types of its values."""


def scan(ask: Predictor, questions: Path, chunk: int = CHUNK) -> Scan:
    """Check every row of a file in constant memory.

    Raises:
        DataError: with all that is wrong, as far as a message lists it.
    """
    found, errors = Scan(), ValidationErrors()
    for table in read_chunks(questions, chunk, errors):
        if not found.rows or PREDICTION in table.columns:
            check_columns(table, ask.task, errors)
        columns_are_there = errors.count == 0
        for row in table.rows:
            if columns_are_there or found.rows:
                read_inputs(row, ask.task.info.inputs, errors)
            for name, value in row.cells.items():
                kinds = found.kinds.setdefault(name, set())
                if value is not None:
                    kinds.add(write.kind_of(value))
        found.rows += len(table.rows)
        if errors.count > MOST:
            break
    if not found.rows and not errors.count:
        errors.add(str(questions), "no rows", "at least one")
    errors.check()
    return found
