"""Choosing settings on English validation examples, with the same number of tries for every method that asks for it.

    tune:
      base: {task: terms, languages: [], eval_size: 1}    the runs that choose, on top of `base`, the model and the method
      values:
        prefix: {train.learning_rate: [1.0e-2, 3.0e-2]}
        lora: {train.learning_rate: [3.0e-4, 1.0e-3]}

The first seed alone is tried. What is chosen for a model and a method holds for all of its cells, in every part of the study. Other
languages are not looked at: the weights that a run keeps have an accuracy and a likelihood on English validation examples, and the candidate
with the best pair is taken.
"""

from __future__ import annotations

from pathlib import Path

from polyprefix.config import RunConfig
from polyprefix.results.files import TRAIN_LOG
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
    return decide(cell, max(finished, key=lambda c: best_validation(books.out / c.config.run_id())))


def best_validation(folder: Path) -> tuple[float, float]:
    """Accuracy (0 where answers are written freely) and mean log-likelihood of the kept weights on English validation examples."""
    records = [r for r in read_jsonl(folder / TRAIN_LOG) if "validation_log_likelihood" in r]
    return max(
        ((r.get("validation_accuracy", 0.0), r["validation_log_likelihood"]) for r in records), default=(0.0, 0.0)
    )
