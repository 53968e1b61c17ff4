"""Law: every method but full fine-tuning runs on a base in 4 or 8 bits, and its adapters fit the base in full
precision too.

Where bitsandbytes is missing, what needs it is refused with the command that brings it.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig

from polyprefix.adapters import registry
from polyprefix.adapters.attach import attach
from polyprefix.adapters.files import load_adapter, save_adapter
from polyprefix.config import RuntimeConfig
from polyprefix.errors import ConfigError, ModelError
from polyprefix.models import load, quantized
from polyprefix.models.load import BaseModel, load_model
from polyprefix.models.quantized import choose_quantization, is_quantized
from polyprefix.testing.tiny import tiny_base, tiny_tokenizer, tokens

needs_bitsandbytes = pytest.mark.skipif(
    importlib.util.find_spec("bitsandbytes") is None, reason=f"bitsandbytes is not here; {quantized.INSTALL}"
)
METHODS: dict[str, dict[str, Any]] = {
    "soft prompt": {"name": "soft-prompt", "length": 4},
    "prefix": {"name": "prefix", "length": 4},
    "projected": {"name": "prefix", "length": 4, "parametrization": "projected"},
    "llama-adapter": {"name": "llama-adapter", "length": 4, "layers": "all"},
    "lora": {"name": "lora"},
    "lora all-linear": {"name": "lora", "targets": "all-linear"},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A small Llama whose rows fill the blocks of 64 that 4-bit weights are scaled by."""
    where = tmp_path_factory.mktemp("llama")
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=260, hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    AutoModelForCausalLM.from_config(config).save_pretrained(where)
    tiny_tokenizer().save_pretrained(where)
    return str(where)


@pytest.fixture(autouse=True)
def _offline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "hub_answers", lambda: False)


def loaded(folder: str, bits: str, dtype: str = "float32") -> BaseModel:
    return load_model(folder, device="cpu", dtype=dtype, quantize=bits)


@needs_bitsandbytes
@pytest.mark.parametrize(("bits", "spread"), [("4bit", 0.3), ("8bit", 0.05)])
def test_it_is_the_same_model_to_rounding(folder: str, bits: str, spread: float) -> None:
    """The difference of logits in standard deviations; an unrelated model's would be 1.4. NF4 keeps 16 levels."""
    base, exact = loaded(folder, bits), loaded(folder, "none")
    ids = tokens(2, 12)
    with torch.no_grad():
        wanted = exact.model(ids).logits
        difference = (base.model(ids).logits - wanted).pow(2).mean().sqrt() / wanted.std()
    assert is_quantized(base.model) and not is_quantized(exact.model)
    assert 1e-4 < difference < spread
    assert base.identity == exact.identity


@needs_bitsandbytes
@pytest.mark.parametrize("bits", ["4bit", "8bit"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", METHODS)
def test_a_step_moves_the_adapter_and_not_the_base(folder: str, bits: str, dtype: str, name: str) -> None:
    base, method = loaded(folder, bits, dtype), registry.build(METHODS[name])
    count = method.parameters(base.model)
    model = attach(base, method)
    adapter = dict(model.trainable())
    assert sum(p.numel() for p in adapter.values()) == count
    frozen = {n: p.clone() for n, p in base.model.named_parameters() if n not in adapter}
    before = {n: p.detach().clone() for n, p in adapter.items()}
    optimizer = torch.optim.AdamW(adapter.values(), lr=0.1, weight_decay=0)
    ids, losses = tokens(4, 12), []
    for _ in range(4):
        loss = model(ids, labels=ids).loss
        loss.backward()
        losses.append(loss.item())
        optimizer.step()
        optimizer.zero_grad()
    assert losses[-1] < losses[0]
    for n, p in adapter.items():
        assert p.dtype == torch.float32 and not torch.equal(p, before[n]), f"{n} did not move"
    for n, p in frozen.items():
        assert torch.equal(p, base.model.get_parameter(n)), f"{n} of the base moved"


@needs_bitsandbytes
@pytest.mark.parametrize("name", METHODS)
def test_an_adapter_fits_the_base_in_full_precision(folder: str, name: str, tmp_path: Path) -> None:
    model = attach(loaded(folder, "4bit"), registry.build(METHODS[name]))
    with torch.no_grad():
        for _, p in model.trainable():
            p += 0.05 * torch.randn_like(p)
    save_adapter(model, tmp_path)
    ids = tokens(2, 12)
    with torch.no_grad():
        exact = load_adapter(loaded(folder, "none"), tmp_path)(ids).logits
        difference = (model(ids).logits - exact).pow(2).mean().sqrt() / exact.std()
        torch.testing.assert_close(load_adapter(loaded(folder, "4bit"), tmp_path)(ids).logits, model(ids).logits)
    assert difference < 0.4


@needs_bitsandbytes
@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_a_checkpoint_that_is_quantised_already(folder: str, bits: str, tmp_path: Path) -> None:
    base = loaded(folder, bits)
    base.model.save_pretrained(tmp_path)
    base.tokenizer.save_pretrained(tmp_path)
    again = load_model(str(tmp_path), device="cpu", dtype="float32")
    ids = tokens(2, 12)
    assert is_quantized(again.model)
    torch.testing.assert_close(again.model(ids).logits, base.model(ids).logits)
    with pytest.raises(ModelError, match="quantised already"):
        load_model(str(tmp_path), device="cpu", quantize="4bit")


@needs_bitsandbytes
def test_full_fine_tuning_is_refused(folder: str) -> None:
    with pytest.raises(ModelError, match="cannot be trained"):
        attach(loaded(folder, "4bit"), registry.build({"name": "full"}))


def test_full_fine_tuning_asks_transformers_own_flag() -> None:
    base = tiny_base("llama-gqa-tied")
    base.model.is_quantized = True
    with pytest.raises(ModelError, match="cannot be trained"):
        attach(base, registry.build({"name": "full"}))


@pytest.mark.parametrize("bits", ["4bit", "8bit"])
def test_without_bitsandbytes_the_command_is_named(monkeypatch: pytest.MonkeyPatch, folder: str, bits: str) -> None:
    monkeypatch.setattr(quantized.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"pip install 'polyprefix\[quantized\]'"):
        load_model(folder, device="cpu", quantize=bits)


def test_what_is_asked_for_is_checked() -> None:
    with pytest.raises(ConfigError, match="did you mean '4bit'"):
        choose_quantization("4-bit", "m", LlamaConfig(), torch.float32)
    assert choose_quantization("none", "m", LlamaConfig(), torch.float32) == {}
    config = LlamaConfig(quantization_config={"quant_method": "gptq", "bits": 4})
    assert choose_quantization("none", "m", config, torch.float32) == {}
    with pytest.raises(ModelError, match="gptq"):
        choose_quantization("8bit", "m", config, torch.float32)
    assert set(RuntimeConfig.model_fields["quantize"].annotation.__args__) == set(quantized.Quantize.__args__)
