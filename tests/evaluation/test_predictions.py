"""Law: what an interrupted evaluation answered is not answered again, and its cost is that of all parts."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.training.test_loop import examples

from polyprefix.adapters import registry
from polyprefix.adapters.attach import attach
from polyprefix.evaluation.predictions import predict
from polyprefix.progress import Silent
from polyprefix.results.unfinished import Unfinished
from polyprefix.testing.tiny import tiny_base
from polyprefix.types import Example


def test_answers_seconds_and_memory_of_both_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = attach(tiny_base("gemma3"), registry.build({"name": "none"}), seed=0)
    rows, kept = examples(4), Unfinished(tmp_path, {})
    items = [Example(str(n), "x", {"text": ""}, ("a", "b"), ("a",)) for n in range(4)]
    monkeypatch.setattr("polyprefix.evaluation.predictions.peak_memory_bytes", lambda device: 7)
    first = predict(model, {"x": items}, {"x": rows}, None, Silent(), "test", kept)
    monkeypatch.setattr("polyprefix.evaluation.predictions.peak_memory_bytes", lambda device: 3)
    both = predict(model, {"x": items, "y": items}, {"x": rows, "y": rows}, None, Silent(), "test", kept)
    assert both.predictions["x"] == first.predictions["x"] and len(both.predictions["y"]) == 4
    assert both.memory == 7 and both.seconds > first.seconds and both.work.passes == 2 * first.work.passes
