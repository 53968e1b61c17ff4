"""Law: what is remembered of a model is what was found, for the same weights, settings, device and code alone; errors and damage are not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
import torch

from polyprefix.errors import ModelError
from polyprefix.models import facts
from polyprefix.models.facts import Facts, known_by
from polyprefix.models.load import load_model
from polyprefix.prefix import probe
from polyprefix.prefix.hook import AttentionHook


@pytest.fixture(autouse=True)
def notes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POLYPREFIX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "facts"


def never() -> bool:
    raise AssertionError("asked again")


def test_a_second_process_asks_nothing_and_knows_the_same(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> list[Any]:
        hook = AttentionHook.of(load_model(str(tiny_folder)).model)
        answers = [hook.supports_packing(), hook.isolates_packed_sequences(), hook.caches_what_it_attends_to()]
        return [*answers, asdict(hook.lengths.limits)]

    first = found()
    for question in ("serves_exactly", "takes_rows", "keeps_packed_sequences_apart", "caches_what_it_attends_to"):
        monkeypatch.setattr(probe, question, lambda hook: never())
    assert found() == first


def test_a_model_that_a_caller_built_is_asked_each_time(tiny_folder: Path) -> None:
    model = load_model(str(tiny_folder)).model
    del model.__dict__[facts.WEIGHTS]
    assert Facts.of(model).recall("question", lambda: True) is True
    assert Facts.of(model).recall("question", lambda: False) is False


@pytest.mark.parametrize(
    "change",
    [
        lambda model: known_by(model, "cd" * 32),
        lambda model: model.to(torch.float64),
        lambda model: model.set_attn_implementation("eager"),
        lambda model: setattr(model.config, "sliding_window", 7),
    ],
    ids=["weights", "dtype", "attention", "config"],
)
def test_another_model_is_asked(tiny_folder: Path, change: Callable[[Any], Any]) -> None:
    model = load_model(str(tiny_folder)).model
    assert Facts.of(model).recall("question", lambda: True) is Facts.of(model).recall("question", never)
    change(model)
    assert Facts.of(model).recall("question", lambda: False) is False


def test_other_code_asks(tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = load_model(str(tiny_folder)).model
    Facts.of(model).recall("question", lambda: True)
    monkeypatch.setattr(facts, "_code", lambda: "a later version")
    assert Facts.of(model).recall("question", lambda: False) is False


def test_an_error_is_not_kept(tmp_path: Path) -> None:
    note = Facts(tmp_path / "facts" / "model.json")

    def refuse() -> bool:
        raise ModelError("cannot be served")

    for _ in range(2):
        with pytest.raises(ModelError):
            note.recall("serves_exactly", refuse)
    assert note.recall("serves_exactly", lambda: True) is note.recall("serves_exactly", never) is True


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b"\xff\x00", b'{"other": 1}'])
def test_damage_asks_again_and_is_mended(tmp_path: Path, damage: bytes) -> None:
    note = Facts(tmp_path / "model.json")
    (tmp_path / "model.json").write_bytes(damage)
    assert note.recall("question", lambda: True) is note.recall("question", never) is True


def test_where_nothing_can_be_written_each_process_asks(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    note = Facts(tmp_path / "file" / "model.json")
    assert note.recall("question", lambda: True) is True
    assert note.recall("question", lambda: False) is False
