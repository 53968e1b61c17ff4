"""Law: what is written is read back equal, and what is damaged is refused in one line that names the file."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from polyprefix.config import RunConfig
from polyprefix.errors import OutputError
from polyprefix.results.files import (
    find_results,
    read_predictions,
    read_result,
    write_config,
    write_predictions,
    write_result,
)
from polyprefix.settings import read_yaml, validate
from polyprefix.types import Prediction, RunResult, Score

RESULT = RunResult(
    run_id="terms-prefix-tiny-s0-01234567",
    config={"model": "tiny", "task": "terms", "method": {"name": "prefix"}},
    provenance={"packages": {"torch": "2.9"}, "git": {"commit": None, "dirty": True}},
    parameters={"trainable": 10, "total": 1000},
    scores={
        "eng_Latn": {"accuracy": Score(0.5, 4, (0.15, 0.85)), "macro_f1": Score(1 / 3, 4, (0.1, 0.6))},
        "arb_Arab": {"accuracy": Score(0.25, 4, (0.05, 0.7))},
    },
    cost={"train_seconds": 1.5},
    notes=("Arabic: “نعم” 🙂",),
    baselines={"characters": {"eng_Latn": Score(0.4, 4, (0.1, 0.8))}},
)
PREDICTIONS = [
    Prediction("1", "eng_Latn", ("yes",), "yes", (-0.1, -2.5), "Is it?\nYes"),
    Prediction("1", "arb_Arab", ("نعم", "أجل"), "", (), ""),
]


def test_result_round_trip(tmp_path: Path) -> None:
    write_result(tmp_path, RESULT)
    read = read_result(tmp_path)
    assert read == RESULT
    assert list(read.scores["eng_Latn"]) == ["accuracy", "macro_f1"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"schema_version": 3}, "schema_version is 3"),
        ({"schema_version": None}, "schema_version is None"),
        ({"status": "running"}, "status is 'running'"),
        ({"extra": 1}, "unknown keys extra"),
        ({"scores": None}, "malformed"),
        ({"scores": {"eng_Latn": {"accuracy": {"value": 1, "n": 3}}}}, "malformed"),
        ({"scores": {"eng_Latn": {"accuracy": {"value": 1, "n": 3, "ci95": [0]}}}}, "malformed"),
    ],
)
def test_a_changed_result_is_refused(tmp_path: Path, change: dict[str, object], message: str) -> None:
    values = {**dataclasses.asdict(RESULT), **change}
    (tmp_path / "result.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(OutputError, match=message) as caught:
        read_result(tmp_path)
    assert "\n" not in str(caught.value) and "result.json" in str(caught.value)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"schema_version": 1', b"\xff\xfe", b'{"schema_version": 1}', b"NaN"]
)
def test_a_damaged_result_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "result.json").write_bytes(content)
    with pytest.raises(OutputError, match=r"result\.json"):
        read_result(tmp_path)


def test_a_missing_result_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="not a finished run"):
        read_result(tmp_path / "nowhere")


def test_every_truncation_of_a_result_is_refused(tmp_path: Path) -> None:
    write_result(tmp_path, RESULT)
    path = tmp_path / "result.json"
    whole = path.read_bytes().rstrip()
    for length in range(0, len(whole), 17):
        path.write_bytes(whole[:length])
        with pytest.raises(OutputError):
            read_result(tmp_path)


def test_a_figure_that_is_no_number_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="JSON"):
        write_result(tmp_path, dataclasses.replace(RESULT, cost={"train_seconds": float("nan")}))
    assert list(tmp_path.iterdir()) == []


def test_predictions_round_trip(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    write_predictions(path, PREDICTIONS, [1.0, 0.25])
    assert read_predictions(path) == (PREDICTIONS, [1.0, 0.25])
    assert [file.name for file in tmp_path.iterdir()] == ["predictions.parquet"]


def test_no_predictions_round_trip(tmp_path: Path) -> None:
    write_predictions(tmp_path / "p", [], [])
    assert read_predictions(tmp_path / "p") == ([], [])


def test_predictions_must_match_their_correctness(tmp_path: Path) -> None:
    with pytest.raises(ValueError):
        write_predictions(tmp_path / "p", PREDICTIONS, [1.0])
    with pytest.raises(ValueError):
        write_predictions(tmp_path / "p", PREDICTIONS, [1.0, float("nan")])


def test_damaged_predictions_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "predictions.parquet"
    with pytest.raises(OutputError, match="no such file"):
        read_predictions(path)
    write_predictions(path, PREDICTIONS, [1, 0])
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(OutputError, match="damaged"):
        read_predictions(path)


def test_config_is_read_back_as_the_same_run(tmp_path: Path) -> None:
    config = RunConfig(model="tiny", task="terms", languages=("eng_Latn", "swh_Latn"))
    write_config(tmp_path, config)
    path = tmp_path / "config.yaml"
    assert validate(RunConfig, read_yaml(path), "config.yaml") == config


def test_only_finished_runs_are_found(tmp_path: Path) -> None:
    for name in ("b", "a", "study/c", ".d.partial", "study/.e.replaced", "one/two/three"):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        write_result(folder, RESULT)
    (tmp_path / "empty").mkdir()
    assert find_results(tmp_path) == [tmp_path / "a", tmp_path / "b", tmp_path / "study" / "c"]
    assert find_results(tmp_path / "a") == [tmp_path / "a"]
    with pytest.raises(OutputError, match="no such folder"):
        find_results(tmp_path / "nowhere")
