"""Law: what is exported computes in plain transformers what the adapted model computes here."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.formats import export_adapter
from polyprefix.errors import AdapterError
from polyprefix.testing.methods import close
from polyprefix.testing.tiny import tiny_base, tokens

PLAIN = (
    {"name": "full"},
    {"name": "lora", "rank": 3},
    {"name": "lora", "rank": 2, "targets": "all-linear", "dora": True},
)
KV = (
    {"name": "prefix", "length": 5},
    {"name": "prefix", "length": 3, "parametrization": "projected"},
    {"name": "soft-prompt", "length": 4},
)


def adapted(kind: str, settings: dict[str, Any]) -> AdaptedModel:
    model = attach(tiny_base(kind), registry.build(settings), seed=1)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for _, parameter in model.trainable():
            parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


@pytest.mark.parametrize("kind", ["llama-gqa-tied", "gemma3", "phi3", "qwen2"])
@pytest.mark.parametrize("settings", PLAIN, ids=str)
@torch.no_grad()
def test_a_plain_folder_has_the_same_logits(kind: str, settings: dict[str, Any], tmp_path: Path) -> None:
    model, ids = adapted(kind, settings), tokens(2, 12)
    wanted = model(ids).logits
    export_adapter(model, "transformers", tmp_path)
    assert torch.equal(model(ids).logits, wanted), "it stays as it was"
    loaded = AutoModelForCausalLM.from_pretrained(tmp_path, dtype=torch.float32)
    close(loaded(ids).logits, wanted)
    assert AutoTokenizer.from_pretrained(tmp_path)("a").input_ids == model.base.tokenizer("a").input_ids
    assert (tmp_path / "generation_config.json").is_file()
    assert "polyprefix" not in (tmp_path / "config.json").read_text()
    assert not any("lora" in name for name, _ in loaded.named_parameters())


@pytest.mark.parametrize("kind", ["llama-gqa-tied", "gemma3", "phi3", "qwen2"])
@pytest.mark.parametrize("settings", KV, ids=str)
@pytest.mark.filterwarnings("ignore:the model has a sliding window")
def test_a_cache_writes_the_same_answers(kind: str, settings: dict[str, Any], tmp_path: Path) -> None:
    model = adapted(kind, settings)
    export_adapter(model, "kv-cache", tmp_path)
    spec = importlib.util.spec_from_file_location("generate", tmp_path / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    plain, text = tiny_base(kind), "a"
    ids = plain.tokenizer(text, return_tensors="pt").input_ids
    new = 1 if kind == "gemma3" else 6  # its tiny window of 8 tokens holds no more
    wanted = model.generate(ids, max_new_tokens=new, do_sample=False)[0, ids.shape[1] :]
    found = module.generate(plain.model, plain.tokenizer, text, max_new_tokens=new, do_sample=False)
    assert found.tolist() == wanted.tolist()
    assert (
        plain.model.generate(ids, max_new_tokens=new, do_sample=False)[0, ids.shape[1] :].tolist() != wanted.tolist()
        or new == 1
    )
    assert json.loads((tmp_path / "kv_cache.json").read_text())["length"] == settings["length"]


def test_what_has_no_exact_counterpart_is_refused(tmp_path: Path) -> None:
    for settings, form, word in (
        ({"name": "prefix"}, "transformers", "kv-cache or peft"),
        ({"name": "lora"}, "kv-cache", "export transformers"),
        ({"name": "llama-adapter"}, "kv-cache", "export peft"),
        ({"name": "prefix", "layers": "top:1"}, "kv-cache", "layers=all"),
    ):
        with pytest.raises(AdapterError, match=word):
            export_adapter(adapted("llama-gqa-tied", settings), form, tmp_path / "out")
    half = attach(tiny_base("qwen2"), registry.build({"name": "lora"}))
    half.model.bfloat16()
    with pytest.raises(AdapterError, match="float32"):
        export_adapter(half, "transformers", tmp_path / "out")
    assert not (tmp_path / "out").exists()
