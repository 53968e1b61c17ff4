"""Choosing settings on English validation examples, with the same number of tries for every method that asks for it.

    tune:
      base: {task: terms, languages: [], eval_size: 1}    the runs that choose, on top of `base`, the model and the method
      values:
        prefix: {train.learning_rate: [1.0e-2, 3.0e-2]}
        lora: {train.learning_rate: [3.0e-4, 1.0e-3]}

The first seed alone is tried. What is chosen for a model and a method holds for all of its cells, in every part of the study. Other
languages are not looked at: candidates are compared by the accuracy and log-likelihood of the kept weights on English validation examples, or
with `by: log_likelihood` by the log-likelihood after the last step.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from polyprefix.config import RunConfig
from polyprefix.results.files import TRAIN_LOG, read_result
from polyprefix.results.folder import is_finished
from polyprefix.results.log import read_jsonl
from polyprefix.study.grid import Cell, decide
from polyprefix.study.locks import Bookkeeping


def resolved(cell: Cell, books: Bookkeeping) -> RunConfig | None:
    """The run of a cell; None while a run that its settings are chosen from is missing."""
    if not cell.candidates:
        return cell.config
    finished = [c for c in cell.candidates if is_finished(books.out, c.config.run_id())]
    diverged = [c for c in cell.candidates if c not in finished and books.diverged(c.config.run_id())]
    if not finished or len(finished) + len(diverged) < len(cell.candidates):
        return None
    measure: Callable[[Path], tuple[float, ...]] = (
        kept_validation if cell.tuned_by == "accuracy" else last_log_likelihood
    )
    return decide(cell, max(finished, key=lambda c: measure(books.out / c.config.run_id())))


def kept_validation(folder: Path) -> tuple[float, float]:
    """Accuracy (0 where answers are written freely) and mean log-likelihood of the kept weights on English validation examples."""
    training = read_result(folder).training
    if training:
        kept = [point for point in training["validation"] if point["step"] == training["kept_step"]]
        return (kept[-1]["accuracy"] or 0.0, kept[-1]["log_likelihood"]) if kept else (0.0, 0.0)
    records = _validations(folder)  # earlier versions kept the best
    return max(
        ((r.get("validation_accuracy", 0.0), r["validation_log_likelihood"]) for r in records), default=(0.0, 0.0)
    )


def last_log_likelihood(folder: Path) -> tuple[float]:
    """Mean log-likelihood of the right answers of English validation examples after the last step."""
    records = _validations(folder)
    return (records[-1]["validation_log_likelihood"] if records else -math.inf,)


def _validations(folder: Path) -> list[dict[str, Any]]:
    return [record for record in read_jsonl(folder / TRAIN_LOG) if "validation_log_likelihood" in record]
