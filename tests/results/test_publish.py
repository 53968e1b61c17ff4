"""Law: a published run says what the run says, but for a benchmark's texts and for digits that its figures do not have."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest
from tests.results.test_files import PREDICTIONS, RESULT

from polyprefix.config import RunConfig
from polyprefix.errors import OutputError
from polyprefix.results import publish
from polyprefix.results.files import read_predictions, read_result, write_config, write_predictions, write_result
from polyprefix.results.log import JsonlLog, read_jsonl
from polyprefix.settings import validate

RECORDS = [
    {"step": 1, "loss": 0.6909281015396118, "learning_rate": 9.883511496722175e-07, "cycle": 0},
    {"step": 176, "validation_log_likelihood": -1234.59328771660698, "watched": {"swh_Latn": 0.123456789012345}},
    {"step": 177, "loss": None, "note": "skipped"},
]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / RESULT.run_id
    folder.mkdir(parents=True)
    log = JsonlLog(folder / "train.jsonl")
    for record in RECORDS:
        log.write(record)
    write_config(folder, validate(RunConfig, {"model": "m", "task": "terms"}, "run"))
    write_predictions(folder / "predictions.parquet", PREDICTIONS, [1.0, 0.25])
    write_result(folder, RESULT)
    return folder


@pytest.mark.parametrize("texts", [False, True])
def test_a_published_run_says_what_the_run_says(run: Path, tmp_path: Path, texts: bool) -> None:
    copy = publish.keep(run, tmp_path / "kept", texts=texts)
    assert read_result(copy) == read_result(run)
    assert (copy / "config.yaml").read_bytes() == (run / "config.yaml").read_bytes()
    shown = [p if texts else dataclasses.replace(p, text="") for p in PREDICTIONS]
    assert read_predictions(copy / "predictions.parquet") == (shown, [1.0, 0.25])
    for written, original in zip(read_jsonl(copy / "train.jsonl"), RECORDS, strict=True):
        assert list(written) == list(original)
        for name, value in original.items():
            assert written[name] == (pytest.approx(value, rel=5e-7) if isinstance(value, float | dict) else value)
    assert (copy / "train.jsonl").stat().st_size < (run / "train.jsonl").stat().st_size
    again = publish.keep(copy, tmp_path / "again", texts=texts)
    assert (again / "train.jsonl").read_bytes() == (copy / "train.jsonl").read_bytes()


def test_runs_are_not_published_over_themselves(run: Path) -> None:
    with pytest.raises(OutputError, match="holds the runs themselves"):
        publish.keep(run, run.parent)
    assert read_result(run) == RESULT


def test_a_copy_that_was_interrupted_is_no_result(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(publish, "write_predictions", stop)
    with pytest.raises(KeyboardInterrupt):
        publish.keep(run, tmp_path / "kept")
    with pytest.raises(OutputError):
        read_result(tmp_path / "kept" / run.name)
