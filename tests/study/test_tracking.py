"""Tracking sends settings, records and scores of a finished run, by each service's own interface; the services are stand-ins."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from polyprefix.errors import ConfigError
from polyprefix.results.folder import RunFolder
from polyprefix.results.log import JsonlLog
from polyprefix.study.tracking import tracker
from polyprefix.types import RunResult, Score


@pytest.fixture
def finished(tmp_path: Path) -> Path:
    folder = RunFolder(tmp_path, "run")
    JsonlLog(folder.train_log).write({"step": 1, "loss": 2.0})
    scores = {"eng_Latn": {"accuracy": Score(0.5, 4, (0.1, 0.9))}}
    config = {"task": "terms", "train": {"steps": 1}}
    return folder.finish(RunResult("run", config, {}, {"trainable": 1, "total": 2}, scores, {"train_seconds": 3.0}))


@pytest.mark.parametrize("name", ["wandb", "trackio"])
def test_weights_and_biases_and_trackio(name: str, finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    module: Any = ModuleType(name)
    module.init = lambda **given: calls.append(given)
    module.log = calls.append
    module.finish = lambda: calls.append("finish")
    monkeypatch.setitem(sys.modules, name, module)
    tracker(name, "study")(finished)
    assert calls == [
        {"project": "study", "name": "run", "config": {"task": "terms", "train": {"steps": 1}}},
        {"step": 1, "loss": 2.0}, {"eng_Latn/accuracy": 0.5, "cost/train_seconds": 3.0}, "finish",
    ]  # fmt: skip


def test_mlflow(finished: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[Any] = []
    module: Any = ModuleType("mlflow")

    @contextmanager
    def start_run(run_name: str) -> Any:
        calls.append(run_name)
        yield

    module.set_experiment, module.start_run, module.log_params = calls.append, start_run, calls.append
    module.log_metrics = lambda metrics, step=None: calls.append((metrics, step))
    monkeypatch.setitem(sys.modules, "mlflow", module)
    tracker("mlflow", "study")(finished)
    assert calls == [
        "study", "run", {"task": "terms", "train.steps": "1"}, ({"loss": 2.0}, 1),
        ({"eng_Latn/accuracy": 0.5, "cost/train_seconds": 3.0}, None),
    ]  # fmt: skip


def test_a_service_that_is_unknown_or_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match="did you mean 'wandb'"):
        tracker("wand", "study")
    monkeypatch.setitem(sys.modules, "mlflow", None)
    with pytest.raises(ConfigError, match="pip install mlflow"):
        tracker("mlflow", "study")
