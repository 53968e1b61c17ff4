"""The other formats by name; a soft prompt as prompt embeddings before the text's own is the adapted model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from polyprefix.adapters import registry
from polyprefix.adapters.attach import attach
from polyprefix.adapters.formats import FORMATS, export_adapter, import_adapter
from polyprefix.errors import AdapterError, ConfigError
from polyprefix.testing.tiny import tiny_base, tiny_model, tokens

SOFT = {"name": "soft-prompt", "length": 5}


def test_the_nearest_format_is_named(tmp_path: Path) -> None:
    model = attach(tiny_base("llama-mha"), registry.build(SOFT))
    with pytest.raises(ConfigError, match="did you mean 'peft'"):
        export_adapter(model, "pfet", tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'peft'"):
        import_adapter(model.base, "pfet", tmp_path)
    with pytest.raises(ConfigError, match="can only be exported"):
        import_adapter(model.base, "prompt-embeds", tmp_path)


@pytest.mark.parametrize("format", [name for name, known in FORMATS.items() if known.read])
def test_formats_are_looked_up_by_name(format: str, tmp_path: Path) -> None:
    model, ids = attach(tiny_base("llama-mha"), registry.build(SOFT)), tokens(2, 12)
    back = import_adapter(tiny_base("llama-mha"), format, export_adapter(model, format, tmp_path))
    with torch.no_grad():
        torch.testing.assert_close(back(ids).logits, model(ids).logits)


@pytest.mark.parametrize("kind", ["llama-gqa-tied", "qwen3"])
def test_prompt_embeddings_before_the_texts_own_are_the_adapted_model(kind: str, tmp_path: Path) -> None:
    model, ids, base = attach(tiny_base(kind), registry.build(SOFT)), tokens(1, 12), tiny_model(kind)
    folder = export_adapter(model, "prompt-embeds", tmp_path)
    prompt = torch.load(folder / "prompt_embeds.pt", weights_only=True)
    usage = json.loads((folder / "prompt_embeds.json").read_text())
    assert list(prompt.shape) == usage["shape"] == [5, 32]
    assert usage["dtype"] == "float32" and usage["base"]["fingerprint"] == model.base.identity.fingerprint
    with torch.no_grad():
        embeds = torch.cat([prompt, base.get_input_embeddings()(ids)[0]])
        logits = base(inputs_embeds=embeds[None]).logits[:, 5:]
        torch.testing.assert_close(logits, model(ids).logits, rtol=0, atol=1e-4)


def test_the_precision_is_the_base_models(tmp_path: Path) -> None:
    model = attach(tiny_base("llama-mha"), registry.build(SOFT))
    model.model.to(torch.bfloat16)
    folder = export_adapter(model, "prompt-embeds", tmp_path)
    assert torch.load(folder / "prompt_embeds.pt", weights_only=True).dtype == torch.bfloat16


def test_only_a_soft_prompt_is_prompt_embeddings(tmp_path: Path) -> None:
    model = attach(tiny_base("llama-mha"), registry.build({"name": "prefix", "length": 5}))
    with pytest.raises(AdapterError, match="only a soft prompt"):
        export_adapter(model, "prompt-embeds", tmp_path)
