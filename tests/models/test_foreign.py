"""Law: the folder of a model is read inside of it, without pickles and without sizes that no model has, or refused in one line."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from polyprefix.errors import ModelError
from polyprefix.models.load import load_model
from polyprefix.testing.tiny import tiny_base


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    base = tiny_base("llama-gqa-tied")
    base.model.save_pretrained(tmp_path / "m")
    base.tokenizer.save_pretrained(tmp_path / "m")
    return tmp_path / "m"


def config(**values: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "config.json"
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return change


def index(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder.parent / "outside.safetensors").write_bytes((folder / "model.safetensors").read_bytes())
        text = json.dumps({"metadata": {}, "weight_map": {"model.norm.weight": name}})
        (folder / "model.safetensors.index.json").write_text(text)

    return change


def pipe(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        os.mkfifo(folder / name)

    return change


def key_of_a_token(folder: Path) -> None:
    path = folder / "tokenizer.json"
    values = json.loads(path.read_text())
    values["added_tokens"][0]["\x1b]52;c;eA==\x07"] = False
    path.write_text(json.dumps(values))


def loop(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").symlink_to(folder / "model.safetensors")


DAMAGE: dict[str, Callable[[Path], Any]] = {
    "a key of a token": key_of_a_token, "a million layers": config(num_hidden_layers=10**6), "no heads": config(num_attention_heads=0),
    "minus heads": config(num_key_value_heads=-1),
    "a wide model": config(hidden_size=10**9), "a vocabulary": config(vocab_size=10**12),
    "text for a number": config(num_hidden_layers="many"),
    "a list of heads": config(num_attention_heads=[]), "no type": config(model_type=7), "a type that is a list": config(model_type=["llama"]),
    "outside": index("../outside.safetensors"), "absolute": index("/etc/passwd"), "a number": index(3),  # type: ignore[arg-type]
    "a file that is not there": index("b.safetensors"), "a pipe for tensors": pipe("model.safetensors"),
    "a pipe for settings": pipe("config.json"),
    "a pipe for a tokenizer": pipe("tokenizer.json"), "a loop": loop, "deep": lambda f: (f / "config.json").write_text('{"a":' * 10_000),
    "a key that moves the terminal": config(**{"\x1b]52;c;eA==\x07": 1}), "a list": lambda f: (f / "config.json").write_text("[]"),
    "nothing": lambda f: (f / "config.json").write_text(""),
}  # fmt: skip


@pytest.mark.parametrize("what", DAMAGE)
def test_what_no_model_has_is_refused_before_it_is_made(what: str, folder: Path) -> None:
    DAMAGE[what](folder)
    with pytest.raises(ModelError) as caught:
        load_model(str(folder), device="cpu", dtype="float32")
    assert "\n" not in str(caught.value) and ";" in str(caught.value)


def test_pickled_weights_are_read_only_where_that_is_allowed(folder: Path) -> None:
    whole = load_model(str(folder), device="cpu", dtype="float32")
    torch.save(whole.model.state_dict(), folder / "pytorch_model.bin")
    load_model(str(folder), device="cpu", dtype="float32")  # safetensors come first
    (folder / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="pickled"):
        load_model(str(folder), device="cpu", dtype="float32")
    again = load_model(str(folder), device="cpu", dtype="float32", allow_pickle=True)
    ids = torch.arange(3, 9)[None]
    assert torch.equal(again.model(ids).logits, whole.model(ids).logits)
    (folder / "pytorch_model.bin").write_bytes(b"PK\x03\x04 nothing")
    with pytest.raises(ModelError, match="cannot be loaded"):
        load_model(str(folder), device="cpu", dtype="float32", allow_pickle=True)
