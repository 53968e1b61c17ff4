"""Law: what a run keeps for calibration is read as it was written, or refused in one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyprefix.calibration.questions import question_prior
from polyprefix.calibration.record import (
    CALIBRATION,
    CalibrationRecord,
    LabelPrior,
    Validation,
    read_record,
    write_record,
)
from polyprefix.errors import OutputError
from polyprefix.types import Example, Prediction

RECORD = CalibrationRecord(
    ("yes", "no"),
    {"swh_Latn": LabelPrior(20, (0.8, 0.2)), "tha_Thai": LabelPrior(10, (0.6, 0.4))},
    {"swh_Latn": ((-1.0, -2.0), (-3.0, -1.0))},
    {"swh_Latn": (-1.0, -1.5)},
    Validation(((-1.0, -2.0), (-2.0, -0.5)), (0, 1)),
)
REALS = st.floats(-1e6, 0)


@given(st.lists(st.tuples(REALS, REALS), max_size=5), st.floats(1e-9, 1))
def test_what_is_written_is_read(
    tmp_path_factory: pytest.TempPathFactory, rows: list[tuple[float, float]], mean: float
) -> None:
    folder = tmp_path_factory.mktemp("run")
    record = CalibrationRecord(
        ("ndiyo", "hapana"), {"swh_Latn": LabelPrior(3, (mean, 1.0))}, {"swh_Latn": tuple(rows)}, {},
        Validation(tuple(rows), (0,) * len(rows)),
    )  # fmt: skip
    write_record(folder, record)
    assert read_record(folder) == record


WORDINGS = st.dictionaries(st.sampled_from(["swh_Latn", "tha_Thai", "urd_Arab"]), st.sampled_from([-1.0, -2.0]))


@given(WORDINGS, WORDINGS)
def test_what_all_languages_have_is_written_once(
    tmp_path_factory: pytest.TempPathFactory, tested: dict[str, float], said: dict[str, float]
) -> None:
    folder = tmp_path_factory.mktemp("run")
    record = CalibrationRecord(
        ("yes", "no"), {code: LabelPrior(3, (0.5, 0.5)) for code in tested},
        {code: ((value, -1.0),) for code, value in said.items()}, {code: (value, -1.0) for code, value in said.items()},
    )  # fmt: skip
    write_record(folder, record)
    assert read_record(folder) == record
    rows = json.loads((folder / CALIBRATION).read_text())["premise"]
    once = len(said) > 1 and said.keys() == tested.keys() and len(set(said.values())) == 1
    assert len(rows) == (1 if once else len(said))


def test_a_record_of_version_1_is_read(tmp_path: Path) -> None:
    write_record(tmp_path, RECORD)
    path = tmp_path / CALIBRATION
    path.write_text(json.dumps(json.loads(path.read_text()) | {"schema_version": 1}))
    assert read_record(tmp_path) == RECORD


def test_a_folder_without_one_has_none(tmp_path: Path) -> None:
    assert read_record(tmp_path) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"schema_version": 3}, "schema_version is 3"),
        ({"labels": 3}, "malformed"),
        ({"priors": {"swh_Latn": {"n": 3, "mean": [1.0]}}}, "expected 2 finite numbers"),
        ({"priors": {"swh_Latn": {"n": 3, "mean": [1.0, 0.0]}}}, "not positive"),
        ({"validation": {"log_likelihoods": [[0, 0]], "targets": []}}, "targets do not fit"),
        ({"validation": {"log_likelihoods": [[0, 0]], "targets": [2]}}, "targets do not fit"),
        ({"content_free": []}, "malformed"),
    ],
)
def test_damage_is_said_in_one_line(tmp_path: Path, change: dict[str, object], said: str) -> None:
    write_record(tmp_path, RECORD)
    path = tmp_path / CALIBRATION
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(OutputError, match=said) as found:
        read_record(tmp_path)
    assert "\n" not in str(found.value) and CALIBRATION in str(found.value)


def test_a_tested_language_has_its_own_prior_and_another_the_mean() -> None:
    assert RECORD.prior("swh_Latn")[0].tolist() == [0.8, 0.2]
    mean, whose = RECORD.prior("urd_Arab")
    assert mean == pytest.approx([0.7, 0.3]) and whose == "2 tested languages"


def questions(ll: list[tuple[float, float]]) -> tuple[list[Example], list[Prediction]]:
    examples = [Example(str(i), "swh_Latn", {"text": "?"}, ("yes", "no"), ("yes",)) for i in range(len(ll))]
    return examples, [
        Prediction(e.id, e.language, e.references, "yes", one) for e, one in zip(examples, ll, strict=True)
    ]


def test_questions_are_divided_by_the_kept_prior() -> None:
    prior = question_prior("prior", RECORD, RECORD.labels, "swh_Latn", "run")
    (one,) = prior.applied(*questions([(float(np.log(0.7)), float(np.log(0.3)))]))
    assert prior.temperature != 1.0 and prior.name == "prior of swh_Latn"
    assert one.prediction == "no" and np.exp(one.log_likelihoods).sum() == pytest.approx(1)
    odds = (np.log(0.7 / 0.3) - np.log(0.8 / 0.2)) / prior.temperature
    assert one.log_likelihoods[0] - one.log_likelihoods[1] == pytest.approx(odds)


def test_a_batch_of_no_questions_is_no_error_and_one_without_a_run_is_drawn_to_nothing() -> None:
    prior = question_prior("batch", None, ("yes", "no"), "swh_Latn", "run")
    assert prior.applied([], []) == []
    (one,) = prior.applied(*questions([(-0.1, -2.0)]))
    assert one.prediction == "yes", "one question is no reason to change an answer"
    with pytest.raises(OutputError, match="no kept prior"):
        question_prior("prior", None, ("yes", "no"), "swh_Latn", "run")
