"""Calibrated answers to questions that are no test: with the prior that a run kept, or that of the questions themselves."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from polyprefix.calibration.answers import label_answers
from polyprefix.calibration.probabilities import calibrated, mean_probability, shrunken, uniform
from polyprefix.calibration.record import CalibrationRecord, priors_of
from polyprefix.calibration.temperature import fit_temperature
from polyprefix.config import ENGLISH
from polyprefix.errors import OutputError
from polyprefix.scoring.bootstrap import Floats
from polyprefix.types import Example, Prediction

QuestionCalibration = Literal["none", "batch", "prior"]


@dataclass(frozen=True)
class QuestionPrior:
    """What is divided out of the probabilities of questions."""

    name: str
    """What it is, for people: `prior of swh_Latn`."""
    reference: Floats
    """The prior that was kept, `[K]`."""
    own: bool
    """Whether the mean of the questions counts, shrunken to the reference."""
    temperature: float = 1.0

    def of_batch(self, log_likelihoods_NK: Floats) -> QuestionPrior:
        """The prior with the mean of a whole batch of questions in it, where that counts, so that parts of the batch can be calibrated."""
        if not self.own or not len(log_likelihoods_NK):
            return self
        return replace(self, reference=shrunken(log_likelihoods_NK, self.reference), own=False)

    def applied(self, examples: Sequence[Example], predictions: Sequence[Prediction]) -> list[Prediction]:
        """The predictions with calibrated log-probabilities, and the label that these make likeliest."""
        if not predictions:
            return []
        ll = np.array([prediction.log_likelihoods for prediction in predictions])
        scores = calibrated(ll, self.of_batch(ll).reference, self.temperature)
        return [
            replace(old, prediction=example.choices[int(row.argmax())], log_likelihoods=tuple(row.tolist()))
            for example, old, row in zip(examples, predictions, scores, strict=True)
        ]


def question_prior(
    calibration: QuestionCalibration, record: CalibrationRecord | None, labels: Sequence[str], language: str, where: str
) -> QuestionPrior:
    """The prior of a calibration other than `none`.

    Args:
        record: of the run; None where it kept none.
        language: of the questions, our code.
        where: the run, for the error.

    Raises:
        OutputError: for `prior` where the run kept none.
    """
    if record is None or not record.priors:
        if calibration == "prior":
            raise OutputError(
                f"{where}: no kept prior of the labels of this task; evaluate the run in some languages, or use batch"
            )
        return QuestionPrior("batch: mean of these questions", uniform(len(labels)), own=True)
    reference, whose = record.prior(language)
    T = 1.0
    if record.validation.targets:
        scores = np.array(record.validation.log_likelihoods)
        for rows in record.validation.places(ENGLISH).values():
            scores[rows] = calibrated(scores[rows], mean_probability(scores[rows]))
        T = fit_temperature(scores, np.array(record.validation.targets))
    if calibration == "prior":
        return QuestionPrior(f"prior of {whose}", reference, own=False, temperature=T)
    return QuestionPrior(f"batch: mean of these questions and prior of {whose}", reference, own=True, temperature=T)


def record_from_predictions(folder: Path) -> CalibrationRecord | None:
    """The priors of a finished run that kept no record; None where its answers cannot be calibrated, or are not there.

    Raises:
        OutputError: if its files are damaged.
    """
    from polyprefix.results.table import read_table

    table = read_table([folder])
    if table.runs.empty:
        return None
    answers = label_answers(table.runs.iloc[0], table.examples)
    return None if isinstance(answers, str) else CalibrationRecord(answers.labels, priors_of(answers.log_likelihoods))
