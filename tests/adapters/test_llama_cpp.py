"""Law: what llama.cpp restores from our slot file, or adds with our GGUF adapter, computes what the adapted model computes here."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.adapters.llama_cpp_files import read_slot, write_slot
from tests.adapters.test_exports import adapted
from transformers import DynamicCache

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.formats import export_adapter
from polyprefix.adapters.formats.llama_cpp.slot import Section, SlotFile, parse
from polyprefix.errors import AdapterError, ConfigError
from polyprefix.testing.methods import close
from polyprefix.testing.tiny import tiny_base, tokens

PREFIXES: tuple[dict[str, Any], ...] = (
    {"name": "prefix", "length": 5},
    {"name": "prefix", "length": 3, "parametrization": "projected"},
    {"name": "soft-prompt", "length": 4},
)
READ = [1, 17, 90, 33, 4, 250, 61, 7]
pytestmark = pytest.mark.filterwarnings("ignore:the model has a sliding window")


def neighbours(rows: torch.Tensor, head: int) -> torch.Tensor:
    """Rows [..., out] in the order in which the converter for Llama writes them: 0, K/2, 1, K/2 + 1, ... in each head."""
    order = [at for pair in range(head // 2) for at in (pair, pair + head // 2)]
    return rows.unflatten(-1, (-1, head))[..., order].flatten(-2)


def template(model: AdaptedModel, caches: list[list[int]], moved: bool, dtype: str, noise: float = 0.02) -> bytes:
    """What a server would save of some tokens: keys and values with the noise of quantised activations."""
    with torch.no_grad():
        made = model.hook.compute_kv(input_ids=torch.tensor([READ])).joined
    generator = torch.Generator().manual_seed(0)

    def rows(part: torch.Tensor, turned: bool) -> np.ndarray:
        flat = part[0].transpose(0, 1).flatten(1)
        flat = flat + noise * flat.std() * torch.randn(flat.shape, generator=generator)
        return (neighbours(flat, part.shape[-1]) if turned else flat).numpy().astype(dtype)

    return write_slot(READ, [[(rows(made[i].keys, moved), rows(made[i].values, False)) for i in one] for one in caches])


@pytest.mark.parametrize("kind", ["llama-gqa-tied", "gemma3", "qwen3", "gpt-oss"])
@pytest.mark.parametrize("method", PREFIXES, ids=str)
@pytest.mark.parametrize("moved", [False, True])
@torch.no_grad()
def test_a_restored_slot_has_the_same_logits(kind: str, method: dict[str, Any], moved: bool, tmp_path: Path) -> None:
    model, caches = adapted(kind, method), [[1], [2, 0]] if moved else [[0, 1, 2]]
    (tmp_path / "saved.bin").write_bytes(template(model, caches, moved, "float32"))
    out = export_adapter(model, "llama.cpp", tmp_path / "out", tmp_path / "saved.bin")
    said = json.loads((out / "llama_cpp.json").read_text())
    ids, found = read_slot((out / "slot.bin").read_bytes())
    assert ids == said["tokens"] and len(ids) == said["length"] == method["length"]
    plain = tiny_base(kind).model
    cache, text = DynamicCache(config=plain.config), tokens(1, 3)
    by_layer = {
        layer: pair
        for places, pairs in zip(caches, found, strict=True)
        for layer, pair in zip(places, pairs, strict=True)
    }
    for layer in range(3):
        G, K, _ = model.hook.kv_shape(layer)
        keys, values = (torch.from_numpy(rows.copy()).unflatten(1, (G, K)) for rows in by_layer[layer])  # [P, G, K]
        if moved:
            keys = torch.cat([keys[..., 0::2], keys[..., 1::2]], -1)
        cache.update(keys.transpose(0, 1)[None], values.transpose(0, 1)[None], layer)
    P = len(ids)
    logits = plain(text, past_key_values=cache, attention_mask=torch.ones(1, P + 3, dtype=torch.long)).logits
    close(logits, model(text).logits)


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_a_slot_file_is_read_as_it_was_written(data: st.DataObject) -> None:
    P = data.draw(st.integers(1, 6))
    ids = data.draw(st.lists(st.integers(0, 2**31 - 1), min_size=P, max_size=P))
    dtype = data.draw(st.sampled_from(["float16", "float32"]))
    generator = np.random.default_rng(data.draw(st.integers(0, 99)))
    caches = [
        [
            tuple(generator.standard_normal((P, size)).astype(dtype) for size in (2 * width, 3 * width))
            for width in range(1, data.draw(st.integers(2, 4)))
        ]
        for _ in range(data.draw(st.integers(1, 2)))
    ]
    written = write_slot(ids, caches)  # type: ignore[arg-type]
    found = parse(written)
    assert list(found.tokens) == ids
    for section, cache in zip(found.sections, caches, strict=True):
        for keys, values, (k, v) in zip(section.keys, section.values, cache, strict=True):
            assert np.array_equal(keys, k) and np.array_equal(values, v)
    assert found.to_bytes() == written
    assert (
        read_slot(SlotFile(ids, [Section(*map(list, zip(*cache, strict=True))) for cache in caches]).to_bytes())[0]
        == ids
    )  # type: ignore[arg-type]
    place = data.draw(st.integers(0, len(written) - 1))
    with pytest.raises(ValueError):
        parse(written[:place])
    damaged = bytearray(written)
    damaged[place] ^= data.draw(st.integers(1, 255))
    try:
        parse(bytes(damaged))
    except ValueError as error:
        assert "\n" not in str(error)


def test_placeholders_are_the_adapters_own(tmp_path: Path) -> None:
    kinds = [adapted("qwen2", {"name": "prefix", "length": length}) for length in (8, 8, 8)]
    with torch.no_grad():
        for _, parameter in kinds[2].trainable():
            parameter += 1e-3
    (tmp_path / "saved.bin").write_bytes(template(kinds[0], [[0, 1, 2]], False, "float16"))
    said = [
        json.loads(
            (export_adapter(one, "llama.cpp", tmp_path / str(n), tmp_path / "saved.bin") / "llama_cpp.json").read_text()
        )
        for n, one in enumerate(kinds)
    ]
    assert said[0]["tokens"] == said[1]["tokens"] != said[2]["tokens"]
    assert not set(said[0]["tokens"]) & set(kinds[0].base.tokenizer.all_special_ids)


def test_what_does_not_fit_is_refused_in_one_line(tmp_path: Path) -> None:
    prefix, path, out = adapted("qwen2", PREFIXES[0]), tmp_path / "saved.bin", tmp_path / "out"
    good = template(prefix, [[0, 1, 2]], False, "float16")
    for content, word in (
        (
            template(adapted("llama-gqa-tied", PREFIXES[0]), [[0, 1, 2]], False, "float16"),
            "base model that the adapter",
        ),
        (template(prefix, [[0, 1]], False, "float16"), "base model that the adapter"),
        (template(prefix, [[0, 1, 1]], False, "float16"), "base model that the adapter"),
        (template(prefix, [[0, 1, 2]], False, "float16", noise=0.5), "base model that the adapter"),
        (good[:4] + bytes([5]) + good[5:], "version 5, version 4 is known"),
        (write_slot([1, 2], [[(np.ones((2, 4), "float16"),) * 2]], transposed=1), "--flash-attn on"),
        (b"GGUF" + bytes(60), "no slot file"),
        (good[:-1], "ends too early"),
        (b"", "ends too early"),
    ):
        path.write_bytes(content)
        with pytest.raises(AdapterError, match=word) as error:
            export_adapter(prefix, "llama.cpp", out, path)
        assert "\n" not in str(error.value) and str(path) in str(error.value)
    path.write_bytes(good)
    for method, word in (
        ({"name": "llama-adapter"}, "softmax of its own"),
        ({"name": "prefix", "layers": "top:1"}, "layers=all"),
        ({"name": "none"}, "trained nothing"),
        ({"name": "full"}, "export transformers"),
        ({"name": "lora", "dora": True}, "GGUF"),
    ):
        with pytest.raises(Exception, match=word):
            export_adapter(adapted("qwen2", method), "llama.cpp", out, path)
    for form, wrong in (("llama.cpp", None), ("kv-cache", path)):
        with pytest.raises(ConfigError, match="--template"):
            export_adapter(prefix, form, out, wrong)
    with torch.no_grad():
        next(iter(prefix.adapter.parameters())).fill_(1e6)
    with pytest.raises(AdapterError, match="float16"):
        export_adapter(prefix, "llama.cpp", out, path)
    assert not out.exists()


@pytest.mark.parametrize("moved", [False, True])
@pytest.mark.parametrize(
    "method", [{"rank": 3, "alpha": 7}, {"rank": 2, "targets": "all-linear", "rslora": True}], ids=str
)
@torch.no_grad()
def test_a_gguf_adapter_adds_the_same_product(moved: bool, method: dict[str, Any], tmp_path: Path) -> None:
    gguf = pytest.importorskip("gguf", reason="no gguf here: pip install 'polyprefix[gguf]'")
    model, kind = adapted("llama-gqa-tied", {"name": "lora", **method}), "llama"
    plain = tiny_base("llama-gqa-tied").model
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.LLAMA, 3)
    writer = gguf.GGUFWriter(tmp_path / "base.gguf", kind)
    writer.add_block_count(3)

    def order(place: str, weight: torch.Tensor) -> torch.Tensor:
        turned = moved and place.rpartition(".")[2] in ("attn_q", "attn_k")
        return neighbours(weight.T, 8).T if turned else weight

    for name, weight in plain.state_dict().items():
        place = names.get_name(name.removesuffix(".weight"))
        writer.add_tensor(f"{place}.weight", order(place, weight).contiguous().numpy())
    for step in (writer.write_header_to_file, writer.write_kv_data_to_file, writer.write_tensors_to_file, writer.close):
        step()
    out = export_adapter(model, "llama.cpp", tmp_path / "out", tmp_path / "base.gguf")
    reader = gguf.GGUFReader(out / "adapter.gguf")
    alpha = float(reader.fields["adapter.lora.alpha"].contents())
    assert reader.fields["general.architecture"].contents() == kind
    assert reader.fields["adapter.type"].contents() == "lora"
    there = {tensor.name: torch.from_numpy(tensor.data.copy()) for tensor in reader.tensors}
    model.adapter.merge()
    adapted_weights = dict(model.model.named_parameters())
    changed = 0
    for name, weight in plain.state_dict().items():
        place = f"{names.get_name(name.removesuffix('.weight'))}.weight"
        if f"{place}.lora_a" in there:
            a, b = there[f"{place}.lora_a"], there[f"{place}.lora_b"]
            wanted = adapted_weights[f"{name.removesuffix('.weight')}.base_layer.weight"]
            close(
                order(place.removesuffix(".weight"), weight) + alpha / len(a) * b @ a,
                order(place.removesuffix(".weight"), wanted),
            )
            changed += 1
    assert changed == len(there) // 2 == (6 if method["rank"] == 3 else 21)
    with pytest.raises(AdapterError, match="GGUF file of the base model"):
        export_adapter(adapted("qwen2", {"name": "lora"}), "llama.cpp", tmp_path / "no", tmp_path / "base.gguf")


def test_lines_that_ask_are_python_without_packages(tmp_path: Path) -> None:
    model = adapted("qwen2", PREFIXES[0])
    (tmp_path / "saved.bin").write_bytes(template(model, [[0, 1, 2]], False, "float16"))
    out = export_adapter(model, "llama.cpp", tmp_path / "out", tmp_path / "saved.bin")
    spec = importlib.util.spec_from_file_location("ask", out / "ask.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    asked: list[tuple[str, Any]] = []

    def call(url: str, body: Any) -> Any:
        asked.append((url, body))
        return {"tokens": [1, 9]} if url.endswith("tokenize") else {"content": "x", "timings": {"cache_n": cached}}

    module.call, cached = call, 5
    assert module.ask("http://h", "text", n_predict=3)["content"] == "x"
    assert asked[1][1]["prompt"] == [*json.loads((out / "llama_cpp.json").read_text())["tokens"], 1, 9]
    cached = 0
    with pytest.raises(RuntimeError, match="restore it"):
        module.ask("http://h", "text")
