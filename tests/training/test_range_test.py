"""Laws of the range test: it leaves no trace but the rate, the rate is usable, and an interrupted training keeps it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.engine.interruption import stopped_after
from tests.training.test_loop import examples

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.config import RunConfig, TrainConfig
from polyprefix.errors import ConfigError
from polyprefix.progress import Silent
from polyprefix.results.log import JsonlLog, read_jsonl
from polyprefix.settings import validate
from polyprefix.testing.tiny import tiny_base
from polyprefix.training.checkpoint import Checkpoint
from polyprefix.training.loop import train
from polyprefix.training.range_test import chosen, range_test
from polyprefix.training.report import TrainReport

METHODS = [name for name in registry.names() if name != "none"]


def fit(place: Path, method: str, rate: Any = "auto") -> tuple[AdaptedModel, list[dict[str, Any]], TrainReport]:
    place.mkdir(exist_ok=True)
    settings = TrainConfig(epochs=3, batch_size=8, learning_rate=rate, validations=1)
    run = registry.resolve(RunConfig(model="tiny", task="none", method={"name": method}, seed=1, train=settings))
    model = attach(tiny_base("llama-gqa-tied"), registry.build(run.method), seed=run.seed)
    rows, log = examples(24), place / "train.jsonl"
    checkpoint = Checkpoint(place / "checkpoint.pt", log, every_seconds=0)
    checkpoint.due = lambda: True  # type: ignore[method-assign]
    report = train(model, rows, rows[:8], run, reporter=Silent(), log=JsonlLog(log).write, checkpoint=checkpoint)
    return model, list(read_jsonl(log)), report


@pytest.mark.parametrize("method", METHODS)
def test_training_at_the_rate_that_was_found_is_training_at_that_rate(method: str, tmp_path: Path) -> None:
    found, log, report = fit(tmp_path / "auto", method)
    (test,) = [record for record in log if "rates" in record]
    assert report.learning_rate == test["chosen_rate"] == chosen(test["rates"], test["losses"], 0.0)
    again, _, repeated = fit(tmp_path / "given", method, report.learning_rate)
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(found.trainable(), again.trainable(), strict=True))
    assert repeated.validation == report.validation and repeated.work == report.work


@pytest.mark.parametrize("survives", [1, 5])
def test_an_interrupted_training_keeps_its_rate(survives: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    whole, _, report = fit(tmp_path / "whole", "prefix")
    with stopped_after(survives + 40, monkeypatch):  # the steps of the range test first
        fit(tmp_path / "parts", "prefix")
    parts, log, resumed = fit(tmp_path / "parts", "prefix")
    assert all(torch.equal(a, b) for (_, a), (_, b) in zip(whole.trainable(), parts.trainable(), strict=True))
    assert resumed.learning_rate == report.learning_rate and len([r for r in log if "rates" in r]) == 1


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=60))
def test_the_rate_was_tried_and_larger_ones_that_did_harm_change_nothing(losses: list[float]) -> None:
    rates = [1e-4 * 1.3**n for n in range(len(losses))]
    rate = chosen(rates, losses, 1e-4)
    assert rate in rates and chosen([], [], 1e-4) == 1e-4
    assert chosen([*rates, 1.0, 2.0], [*losses, 1e3, 1e4], 1e-4) == rate
    falling = [10 * 0.5**n for n in range(20)]
    assert chosen([1e-4 * 1.3**n for n in range(20)], falling, 1e-4) > 1e-4


def test_a_test_that_diverges_ends_and_gives_the_weights_back() -> None:
    model = attach(tiny_base("llama-gqa-tied"), registry.build({"name": "prefix", "length": 2}), seed=0)
    before = [p.detach().clone() for _, p in model.trainable()]
    found = range_test(model, examples(24), TrainConfig(batch_size=8, weight_decay=0.0), 1e300, 0, Silent())
    assert len(found.losses) < 40 and found.learning_rate > 0
    assert all(torch.equal(a, b) for a, (_, b) in zip(before, model.trainable(), strict=True))


@pytest.mark.parametrize("value", ["fast", -1, 1001, True, [1]])
def test_what_is_no_rate_is_one_line(value: Any) -> None:
    with pytest.raises(ConfigError, match=r"'train.learning_rate' is .*: expected a number from 0 to 1000, or auto$"):
        validate(RunConfig, {"model": "m", "task": "terms", "train": {"learning_rate": value}}, "run")
