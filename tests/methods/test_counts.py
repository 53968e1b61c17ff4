"""Closed formulas equal real counts for the shapes of five models, other tools' numbers, and the table of the page.

Models and adapters are built on the meta device. Other tools' numbers are those of PEFT 0.21 on the same shapes.
After a change, `python -m tests.methods.test_counts` prints the table for docs/methods.md.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import inject_adapter_in_model
from transformers import AutoModelForCausalLM, Gemma3TextConfig, LlamaConfig, MistralConfig

from polyprefix.adapters import registry
from polyprefix.adapters.attach import attach
from polyprefix.engine.flop_counter import WorkSizes
from polyprefix.methods.adapter import Adapter
from polyprefix.methods.base import Start
from polyprefix.methods.llama_adapter.adapter import GatedPrompts
from polyprefix.methods.lora.targets import peft_config
from polyprefix.methods.prefix_tuning.adapter import MLPPrefix, ProjectedPrefix, RawPrefix
from polyprefix.methods.soft_prompt.adapter import EncodedPrompt, PromptTable
from polyprefix.prefix import LayerKV, parse_layers
from polyprefix.testing.tiny import tiny_base

PAGE = Path(__file__).parents[2] / "docs" / "methods.md"
SHAPES: dict[str, Any] = {
    "Llama 3.1 8B": lambda: LlamaConfig(
        vocab_size=128256, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32,
        num_attention_heads=32, num_key_value_heads=8, tie_word_embeddings=False,
    ),
    "Mistral 7B v0.3": lambda: MistralConfig(
        vocab_size=32768, hidden_size=4096, intermediate_size=14336, num_hidden_layers=32,
        num_attention_heads=32, num_key_value_heads=8, tie_word_embeddings=False,
    ),
    "Llama 3.2 1B": lambda: LlamaConfig(
        vocab_size=128256, hidden_size=2048, intermediate_size=8192, num_hidden_layers=16,
        num_attention_heads=32, num_key_value_heads=8, head_dim=64, tie_word_embeddings=True,
    ),
    "Mistral Small 24B": lambda: MistralConfig(
        vocab_size=131072, hidden_size=5120, intermediate_size=32768, num_hidden_layers=40,
        num_attention_heads=32, num_key_value_heads=8, head_dim=128, tie_word_embeddings=False,
    ),
    "Gemma 3 270M": lambda: Gemma3TextConfig(
        vocab_size=262144, hidden_size=640, intermediate_size=2048, num_hidden_layers=18,
        num_attention_heads=4, num_key_value_heads=1, head_dim=256, tie_word_embeddings=True,
    ),
}  # fmt: skip
METHODS: dict[str, dict[str, Any]] = {
    "full": {"name": "full"},
    "full, embeddings frozen": {"name": "full", "train_embeddings": False},
    "soft prompt, 20": {"name": "soft-prompt", "length": 20},
    "soft prompt, 20, encoded (while training)": {"name": "soft-prompt", "length": 20, "encoded": 1},
    "soft prompt, 20, half encoded (while training)": {"name": "soft-prompt", "length": 20, "encoded": 0.5},
    "prefix, 10 raw": {"name": "prefix", "length": 10},
    "prefix, 10 projected": {"name": "prefix", "length": 10, "parametrization": "projected"},
    "prefix, 10 mlp (while training)": {"name": "prefix", "length": 10, "parametrization": "mlp"},
    "Llama-Adapter, 10, gate a layer": {"name": "llama-adapter", "variant": "peft"},
    "Llama-Adapter, 10, gate a head": {"name": "llama-adapter"},
    "Llama-Adapter, 10, no gate": {"name": "llama-adapter", "gate": "none"},
    "LoRA r8, q and v": {"name": "lora"},
    "LoRA r8, all linear": {"name": "lora", "targets": "all-linear"},
}
ELSEWHERE = {
    "full": (8_030_261_248, 7_248_023_552, 1_235_814_400, 23_572_403_200, 268_098_176),
    "soft prompt, 20": (81_920, 81_920, 40_960, 102_400, None),
    "prefix, 10 raw": (655_360, 655_360, 163_840, 819_200, None),
    "Llama-Adapter, 10, gate a layer": (1_228_830, 1_228_830, 286_734, None, None),
    "LoRA r8, q and v": (3_407_872, 3_407_872, 851_968, 4_915_200, None),
    "LoRA r8, all linear": (20_971_520, 20_971_520, 5_636_096, 46_202_880, None),
}
"""In the order of SHAPES; full counts are the published ones. None: not served there (24B), or not measured."""


def new_model(shape: str) -> Any:
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(SHAPES[shape](), attn_implementation="eager")


model_of = cache(new_model)


def formula(shape: str, settings: dict[str, Any]) -> int:
    return registry.build(settings).parameters(model_of(shape))


def real(shape: str, settings: dict[str, Any]) -> int:
    """The parameters of the adapter itself, shaped by the model's modules and not by its config."""
    method: Any = registry.build(settings)
    if method.name == "lora":
        model = new_model(shape)
        inject_adapter_in_model(peft_config(method, model), model)
        return sum(p.numel() for name, p in model.named_parameters() if "lora_" in name)
    model = model_of(shape)
    if method.name == "full":
        tables = {model.get_input_embeddings().weight, model.get_output_embeddings().weight}
        kept = set() if method.train_embeddings else {id(t) for t in tables}
        return sum(p.numel() for p in model.parameters() if id(p) not in kept)
    return sum(p.numel() for _, p in adapter(model, method).trainable())


def adapter(model: Any, method: Any) -> Adapter:
    attention = [layer.self_attn for layer in model.model.layers]
    width = model.get_input_embeddings().weight.shape[1]
    states = torch.empty(1, method.length, width, device="meta")
    if method.name == "soft-prompt":
        encoded = method.encoded_tokens()
        return EncodedPrompt(states, encoded, method.encoder_hidden, Start("text")) if encoded else PromptTable(states)
    layers = parse_layers(method.layers, len(attention))
    if method.name == "llama-adapter":
        heads = attention[0].q_proj.out_features // attention[0].head_dim
        gates = {"head": heads, "layer": 1, "none": 0}[method.gate]
        return GatedPrompts(dict.fromkeys(layers, states), dict.fromkeys(layers, gates), method.tanh)
    if method.parametrization == "projected":
        return ProjectedPrefix(dict.fromkeys(layers, states))
    groups, size = attention[0].k_proj.out_features // attention[0].head_dim, attention[0].head_dim
    kv = torch.empty(1, groups, method.length, size, device="meta")
    values = {i: LayerKV(kv, kv) for i in layers}
    return RawPrefix(values) if method.parametrization == "raw" else MLPPrefix(values, method.hidden, Start("text"))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", METHODS)
def test_the_formula_is_the_real_count(shape: str, name: str) -> None:
    assert formula(shape, METHODS[name]) == real(shape, METHODS[name])


@pytest.mark.parametrize("name", ELSEWHERE)
def test_other_tools_count_the_same(name: str) -> None:
    for shape, count in zip(SHAPES, ELSEWHERE[name], strict=True):
        if count is not None:
            assert formula(shape, METHODS[name]) == count, shape


@pytest.mark.parametrize("more", ({"length": 20}, {"length": 10, "parametrization": "projected"}), ids=str)
def test_both_readings_of_the_studys_count(more: dict[str, Any]) -> None:
    """arXiv 2510.24619 reports 1.23M trained parameters: 20 raw or 10 projected tokens on 30 layers of Llama 3.1 8B."""
    assert formula("Llama 3.1 8B", {"name": "prefix", "layers": "top:30", **more}) == 1_228_800


@pytest.mark.parametrize(("variant", "gates"), [("before-study-ungated", 0), ("before-study", 30 * 32)])
def test_code_older_than_the_study_has_its_count(variant: str, gates: int) -> None:
    """10 tokens x the top 30 of 32 layers x 4,096 numbers; gates are not part of the count that is known of it."""
    settings = {"name": "llama-adapter", "variant": variant}
    assert formula("Llama 3.1 8B", settings) == real("Llama 3.1 8B", settings) == 1_228_800 + gates


def table() -> str:
    """Trained parameters, method by model, in Markdown."""
    lines = ["| trained parameters | " + " | ".join(SHAPES) + " |", "|---|" + "---:|" * len(SHAPES)]
    for name, settings in METHODS.items():
        lines.append(f"| {name} | " + " | ".join(f"{formula(shape, settings):,}" for shape in SHAPES) + " |")
    return "\n".join(lines)


def test_the_pages_table() -> None:
    assert table() in PAGE.read_text(encoding="utf-8"), "docs/methods.md: run python -m tests.methods.test_counts"


if __name__ == "__main__":
    print(table())


@pytest.mark.parametrize(
    "settings",
    [
        {"name": "none"},
        {"name": "prefix", "length": 3},
        {"name": "prefix", "length": 3, "layers": "top:1"},
        {"name": "llama-adapter", "length": 3},
        {"name": "llama-adapter", "length": 3, "layers": "top:1"},
        {"name": "soft-prompt", "length": 3},
        {"name": "lora"},
        {"name": "full"},
    ],
    ids=str,
)
def test_a_footprint_says_what_the_adapted_model_does(settings: dict[str, Any]) -> None:
    """Law: the lowest layer with gradients, the virtual tokens and the trained weights are those of the model itself."""
    base = tiny_base("llama-gqa-tied")
    own = {id(parameter) for parameter in base.model.parameters()}
    method = registry.build(settings)
    model = attach(base, method)
    footprint = method.footprint(model.hook.layers)
    trained = {id(parameter) for _, parameter in model.trainable()}
    assert footprint.trains_base == bool(trained & own)
    if trained:
        assert footprint.lowest_layer == WorkSizes.of(model).lowest
    prefix = model.compute_prefix().kv
    lengths = {kv.length for kv in prefix.joined.values()} | {gated.kv.length for gated in prefix.gated.values()}
    assert lengths == ({footprint.virtual_tokens} if footprint.virtual_tokens else set())
    assert footprint.computed == (settings["name"] == "soft-prompt")
