"""Law: what an interrupted evaluation answered is not answered again, and its cost is that of all parts."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.engine.test_train import examples

from polyprefix.engine.evaluate import predict
from polyprefix.methods import registry
from polyprefix.methods.adapted import attach
from polyprefix.progress import Silent
from polyprefix.records import Example
from polyprefix.results.unfinished import Unfinished
from polyprefix.testing.tiny import tiny_base


def test_answers_seconds_and_memory_of_both_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = attach(tiny_base("gemma3"), registry.build({"name": "none"}), seed=0)
    rows, kept = examples(4), Unfinished(tmp_path, {})
    items = [Example(str(n), "x", {"text": ""}, ("a", "b"), ("a",)) for n in range(4)]
    monkeypatch.setattr("polyprefix.engine.evaluate.peak_memory_bytes", lambda device: 7)
    first = predict(model, {"x": items}, {"x": rows}, None, Silent(), "test", kept)
    monkeypatch.setattr("polyprefix.engine.evaluate.peak_memory_bytes", lambda device: 3)
    both = predict(model, {"x": items, "y": items}, {"x": rows, "y": rows}, None, Silent(), "test", kept)
    assert both.predictions["x"] == first.predictions["x"] and len(both.predictions["y"]) == 4
    assert both.memory == 7 and both.seconds > first.seconds and both.work.passes == 2 * first.work.passes
