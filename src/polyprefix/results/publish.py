"""Finished runs as they may be published: what they scored and answered, without adapters and without a benchmark's texts.

A kept run is a finished run to everything that reads runs: reports, comparisons, and a study that looks for what is left to do.
"""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path
from typing import Any

from polyprefix.atomic import output_errors
from polyprefix.calibration.record import CALIBRATION
from polyprefix.errors import OutputError
from polyprefix.results.files import (
    CONFIG,
    PREDICTIONS,
    TRAIN_LOG,
    read_predictions,
    read_result,
    write_predictions,
    write_result,
)
from polyprefix.results.log import read_jsonl
from polyprefix.serialize import to_json

DIGITS = 7
"""Significant digits of a figure in a published log."""


def keep(run: Path, out: Path, *, texts: bool = False) -> Path:
    """Copy a run's settings, figures, training log and answers; returns the copy's folder, in place of an earlier one.

    Args:
        run: the folder of a finished run.
        out: the folder of kept runs.
        texts: keep what the examples say; without it ids, accepted answers, answers and log-likelihoods remain.

    Raises:
        OutputError: if the run is not finished or damaged, if it is in that folder itself, or the copy cannot be written.
    """
    if out.resolve() == run.parent.resolve():
        raise OutputError(f"{out}: holds the runs themselves, which copies would replace; give another folder")
    result = read_result(run)
    predictions, correctness = read_predictions(run / PREDICTIONS)
    copy = out / run.name
    with output_errors(copy):
        shutil.rmtree(copy, ignore_errors=True)
        copy.mkdir(parents=True)
        for name in (CONFIG, CALIBRATION):
            if (run / name).exists():
                shutil.copyfile(run / name, copy / name)
        if (run / TRAIN_LOG).exists():
            _copy_log(run / TRAIN_LOG, copy / TRAIN_LOG)
    said = predictions if texts else [dataclasses.replace(prediction, text="") for prediction in predictions]
    write_predictions(copy / PREDICTIONS, said, correctness)
    write_result(copy, result)  # last: without it the folder is no result
    return copy


def _copy_log(log: Path, copy: Path) -> None:
    """A training log without the digits that its figures, which are float32, do not have."""
    copy.write_text("".join(f"{to_json(_rounded(record))}\n" for record in read_jsonl(log)), encoding="utf-8")


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
