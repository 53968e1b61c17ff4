"""Law: what a service holds is what the run's files say: settings, curves by step, scores, the table of languages, the report.

Each service is the real one, offline, where it is installed (pip install trackio wandb mlflow-skinny).
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from polyprefix.errors import ConfigError, OutputError
from polyprefix.integrations.tracking import tracker
from polyprefix.results.files import RESULT, write_predictions
from polyprefix.results.folder import RunFolder
from polyprefix.results.log import JsonlLog
from polyprefix.types import Prediction, RunResult, Score

Command = Callable[..., tuple[int, str, str]]
RECORDS = (
    {"step": 1, "loss": 3.0}, {"step": 2, "loss": 9.0}, {"step": 2, "loss": 2.0}, {"step": 2, "validation_accuracy": 0.5},
    {"step": 3, "loss": 1.0},
)  # fmt: skip
"""Of a run that was interrupted after its second step."""
BLOCK = 32768
CURVE = {1: 3.0, 2: 2.0, 3: 1.0}
SCORES = {"eng_Latn/accuracy": 0.5, "swh_Latn/accuracy": 0.25}


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    folder = RunFolder(tmp_path, "run-é")
    log = JsonlLog(folder.train_log)
    for record in RECORDS:
        log.write(record)
    scores = {code.split("/")[0]: {"accuracy": Score(value, 4, (0.1, 0.9))} for code, value in SCORES.items()}
    config = {"task": "terms", "model": "tiny", "method": {"name": "prefix"}, "train": {"steps": 3}}
    right = [n / 4 < found["accuracy"].value for found in scores.values() for n in range(4)]
    codes = [code for code in scores for _ in range(4)]
    rows = [
        Prediction(str(n % 4), code, ("a",), "a" if yes else "b", (0.0, -1.0), "text")
        for n, (code, yes) in enumerate(zip(codes, right, strict=True))
    ]
    write_predictions(folder.predictions, rows, [float(yes) for yes in right])
    return folder.finish(RunResult("run-é", config, {}, {"trainable": 1, "total": 2}, scores, {"train_seconds": 3.0}))


def test_mlflow_holds_the_run(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed: pip install mlflow-skinny")
    pytest.importorskip("sqlalchemy", reason="sqlalchemy is not installed, in which mlflow keeps runs offline")
    monkeypatch.chdir(tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path / 'mlflow.db'}")
    tracker("mlflow", "study")(finished)
    client = mlflow.MlflowClient()
    [run] = client.search_runs([client.get_experiment_by_name("study").experiment_id])
    assert run.data.params["method.name"] == "prefix" and run.info.run_name == "run-é"
    assert {one.step: one.value for one in client.get_metric_history(run.info.run_id, "loss")} == CURVE
    assert {key: run.data.metrics[key] for key in SCORES} == SCORES and run.data.metrics["cost/train_seconds"] == 3.0
    place = Path(client.download_artifacts(run.info.run_id, "", str(tmp_path)))
    table = json.loads((place / "languages.json").read_text())
    assert [row[table["columns"].index("name")] for row in table["data"]] == ["English", "Swahili"]
    assert [row[table["columns"].index("training")] for row in table["data"]] == ["source", "zero-shot"]
    assert (place / "report.html").read_text().startswith("<!") and (place / RESULT).is_file()


def test_trackio_holds_the_run(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    trackio = pytest.importorskip("trackio", reason="trackio is not installed: pip install trackio")
    if Path(trackio.TRACKIO_DIR) != tmp_path / "trackio":
        pytest.skip("trackio was imported before with another folder")
    tracker("trackio", "study")(finished)
    from trackio.sqlite_storage import SQLiteStorage

    logs = SQLiteStorage.get_logs("study", "run-é")
    assert {row["step"]: row["loss"] for row in logs if "loss" in row} == CURVE
    assert {key: row[key] for row in logs for key in SCORES if key in row} == SCORES
    assert any("languages" in row for row in logs)
    digest = hashlib.sha256((finished / RESULT).read_bytes()).hexdigest()
    blobs = {path.name for path in (tmp_path / "trackio" / "artifacts").rglob("*") if path.is_file()}
    assert digest in blobs and len(blobs) >= 2


def test_weights_and_biases_holds_the_run(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="wandb is not installed: pip install wandb")
    for key, value in {"WANDB_MODE": "offline", "WANDB_DIR": str(tmp_path), "WANDB_SILENT": "true"}.items():
        monkeypatch.setenv(key, value)
    tracker("wandb", "study")(finished)
    records = written_offline(next(tmp_path.rglob("*.wandb")))
    history = [
        {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in record.history.item}
        for record in records
        if record.WhichOneof("record_type") == "history"
    ]
    assert {row["_step"]: row["loss"] for row in history if "loss" in row} == CURVE
    assert {key: row[key] for row in history for key in SCORES if key in row} == SCORES
    assert any("languages" in str(sorted(row)) for row in history)
    artefacts = [record.request.log_artifact.artifact for record in records if record.request.HasField("log_artifact")]
    artefacts += [record.artifact for record in records if record.HasField("artifact")]
    files = {entry.path for one in artefacts for entry in one.manifest.contents}
    assert {"report.html", RESULT} <= files and all(one.name.isascii() for one in artefacts)


def written_offline(path: Path) -> list[Any]:
    """The records of a run that was not sent: LevelDB's log format behind a header of seven bytes."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, pending, found = path.read_bytes(), 7, b"", []
    while place + 7 <= len(data):
        size, kind = int.from_bytes(data[place + 4 : place + 6], "little"), data[place + 6]
        pending += data[place + 7 : place + 7 + size]
        place += 7 + size
        if kind in (1, 4):  # whole, or the last part
            found.append(Record.FromString(pending))
            pending = b""
        left = BLOCK - place % BLOCK
        place += left if left < 7 else 0  # no header starts so near the end of a block
    return found


def test_a_service_that_fails_costs_no_result(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("wandb")

    def refuse(**_: Any) -> None:
        raise RuntimeError("no key.\nTraceback")

    module.init = refuse
    monkeypatch.setitem(sys.modules, "wandb", module)
    with pytest.raises(OutputError, match=f"no key; the result is whole in {finished}"):
        tracker("wandb")(finished)


def test_a_service_that_is_unknown_or_missing(polyprefix: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="did you mean 'wandb'"):
        tracker("wand")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match="pip install mlflow"):
        tracker("mlflow")
    status, out, err = polyprefix("run", "--task", "terms", "--model", "gemma-3-270m", "--track", "wand")
    assert (status, out) == (2, "") and err.splitlines()[-1].startswith("polyprefix: --track wand: no such service")
