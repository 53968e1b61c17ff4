"""Law: a training stopped at any step and begun again ends with the same weights, log and report, to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.engine.interruption import stopped_after
from tests.training.test_loop import examples
from torch import Tensor

from polyprefix.adapters import registry
from polyprefix.adapters.attach import attach
from polyprefix.config import RunConfig, TrainConfig
from polyprefix.progress import Silent
from polyprefix.results.log import JsonlLog, read_jsonl
from polyprefix.testing.tiny import tiny_base
from polyprefix.training.checkpoint import Checkpoint
from polyprefix.training.loop import train
from polyprefix.training.report import TrainReport

METHODS: dict[str, dict[str, Any]] = {
    **{name: {"name": name} for name in registry.names() if name != "none"},
    "lora with dropout": {"name": "lora", "dropout": 0.3},
    "prefix, mlp": {"name": "prefix", "parametrization": "mlp", "hidden": 8},
}


@pytest.fixture(params=["of a given length", "in cycles"])
def length(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Nine steps at most: three passes, or cycles of three, three and three steps."""
    monkeypatch.setattr("polyprefix.config.train.FIRST_CYCLE", (3, 3))
    return {"epochs": 3, "validations": 3} if request.param == "of a given length" else {"max_steps": 9}


def fit(
    place: Path, method: dict[str, Any], length: dict[str, Any] | None = None
) -> tuple[dict[str, Tensor], list[dict[str, Any]], TrainReport]:
    settings = TrainConfig(batch_size=8, learning_rate=1e-2, **(length or {"epochs": 3, "validations": 3}))
    run = registry.resolve(RunConfig(model="tiny", task="none", method=method, seed=1, train=settings))
    model = attach(tiny_base("gemma3"), registry.build(run.method), seed=run.seed)
    rows, log = examples(24), place / "train.jsonl"
    checkpoint = Checkpoint(place / "checkpoint.pt", log, every_seconds=0)
    checkpoint.due = lambda: True  # type: ignore[method-assign]  # after every step
    report = train(model, rows, rows[:8], run, reporter=Silent(), log=JsonlLog(log).write, checkpoint=checkpoint)
    return {name: p.detach().clone() for name, p in model.trainable()}, list(read_jsonl(log)), report


@pytest.mark.parametrize("method", METHODS)
def test_stopped_and_resumed_is_bit_identical(
    method: str, length: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "max_steps" in length:
        monkeypatch.setattr("polyprefix.training.validation.IMPROVEMENT", -1.0)  # no cycle ends it
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole, log, report = fit(tmp_path / "whole", METHODS[method], length)
    for survives in (2, 4, 1):
        with stopped_after(survives, monkeypatch):
            fit(tmp_path / "parts", METHODS[method], length)
        JsonlLog(tmp_path / "parts" / "train.jsonl").write({"step": 99, "loss": 0.0})  # behind the checkpoint
    torch.manual_seed(12345)
    parts, log_of_parts, resumed = fit(tmp_path / "parts", METHODS[method], length)
    assert parts.keys() == whole.keys() and all(torch.equal(parts[name], whole[name]) for name in whole)
    assert log_of_parts == log and report.resumed_at is None and resumed.resumed_at == 7
    assert (resumed.steps, resumed.examples, resumed.kept_step, resumed.work, resumed.validation, resumed.stopped) == (
        report.steps, report.examples, report.kept_step, report.work, report.validation, report.stopped,
    )  # fmt: skip


def test_memory_is_the_most_of_all_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = iter([3, 7, 5])
    monkeypatch.setattr("polyprefix.training.optimizer.peak_memory_bytes", lambda device: next(held, 1))
    with stopped_after(2, monkeypatch):
        fit(tmp_path, METHODS["prefix"])
    _, _, report = fit(tmp_path, METHODS["prefix"])
    assert report.resumed_at == 2 and report.memory == 7


def test_a_damaged_checkpoint_is_not_used(tmp_path: Path) -> None:
    whole, log, _ = fit(tmp_path, METHODS["prefix"])
    file = tmp_path / "checkpoint.pt"
    file.write_bytes(file.read_bytes()[:-100])
    again, log_again, report = fit(tmp_path, METHODS["prefix"])
    assert report.resumed_at is None and log_again == log
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_checkpoints_take_a_small_share_of_the_time(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "c.pt", tmp_path / "log", every_seconds=0)
    assert checkpoint.due()
    checkpoint.save({"big": torch.zeros(2_000_000)})
    assert not checkpoint.due()
