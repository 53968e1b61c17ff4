"""Law: a GGUF file gives the model and tokenizer that are in it, and a damaged one is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.models.tiny_gguf import write_tiny_gguf

from polyprefix.errors import ModelError
from polyprefix.models import gguf
from polyprefix.models.load import load_model
from polyprefix.testing.tiny import tokens


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POLYPREFIX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_logits_are_those_of_the_model_in_the_file(tmp_path: Path) -> None:
    model = write_tiny_gguf(tmp_path / "tiny.gguf")
    base = load_model(str(tmp_path / "tiny.gguf"), device="cpu", dtype="float32")
    ids = tokens(2, 9)
    torch.testing.assert_close(base.model(ids).logits, model(ids).logits)
    assert base.identity.revision is not None and base.identity.revision.startswith("sha256:")
    text = "à la ab 北京"
    assert base.tokenizer.decode(base.tokenizer(text)["input_ids"], skip_special_tokens=True) == text
    assert base.tokenizer.pad_token_id == 0


def test_the_second_start_converts_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(tmp_path / "tiny.gguf")
    write_tiny_gguf(tmp_path / "tiny.gguf")
    first = load_model(path, device="cpu", dtype="float32")
    monkeypatch.setattr(gguf, "convert", lambda *_: pytest.fail("converted twice"))
    second = load_model(path, device="cpu", dtype="float32")
    assert second.identity == first.identity
    for a, b in zip(first.model.parameters(), second.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_changed_file_under_the_same_name_is_converted_again(tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    write_tiny_gguf(path, seed=0)
    first = load_model(str(path), device="cpu", dtype="float32")
    write_tiny_gguf(path, seed=1)
    assert load_model(str(path), device="cpu", dtype="float32").identity.fingerprint != first.identity.fingerprint


@pytest.mark.parametrize("kept", [0, 3, 20, 200, 5_000, -1_000])
def test_a_truncated_file_is_refused_in_one_line(tmp_path: Path, root: Path, kept: int) -> None:
    path = tmp_path / "tiny.gguf"
    write_tiny_gguf(path)
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ModelError) as caught:
        load_model(str(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(root.glob("models/*/config.json"))


def test_what_is_no_gguf_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_text("hello, I am a text")
    with pytest.raises(ModelError, match="not a GGUF file"):
        load_model(str(tmp_path / "model.gguf"))
    with pytest.raises(ModelError, match="No such file"):
        load_model(str(tmp_path / "absent.gguf"))


def test_an_encoder_in_gguf_is_refused(tmp_path: Path) -> None:
    write_tiny_gguf(tmp_path / "bert.gguf", architecture="bert")
    with pytest.raises(ModelError, match="bert"):
        load_model(str(tmp_path / "bert.gguf"))
