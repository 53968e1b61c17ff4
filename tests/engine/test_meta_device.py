"""A whole optimiser step of models that no test machine holds: no number of the model leaves the device, and memory is what a plan says.

Shapes are those of published models, at full width. Every method goes through four layers, the default one through all 40 of the largest.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.engine.meta_step import Kernel, Watch, facts_of, fused, on_meta
from transformers import AutoConfig

from polyprefix.adapters import registry
from polyprefix.adapters.attach import attach
from polyprefix.adapters.registry import resolve
from polyprefix.config import RunConfig
from polyprefix.settings import validate
from polyprefix.study.devices import GPUS
from polyprefix.study.estimate import Estimate, estimate
from polyprefix.study.lengths import Lengths
from polyprefix.study.shapes import FILE
from polyprefix.text.tokens import TokenizedPrompt
from polyprefix.training.length import Length
from polyprefix.training.optimizer import Optimizer
from polyprefix.types import Prompt

LLAMA, MISTRAL, SMALL = (
    "meta-llama/Llama-3.1-8B", "mistralai/Mistral-7B-v0.3", "mistralai/Mistral-Small-24B-Base-2501",
)  # fmt: skip
METHODS: dict[str, dict[str, Any]] = {
    "prefix": {"name": "prefix"},
    "projected": {"name": "prefix", "parametrization": "projected"},
    "mlp": {"name": "prefix", "parametrization": "mlp"},
    "upper layers": {"name": "prefix", "layers": "top:2"},
    "llama-adapter": {"name": "llama-adapter"},
    "soft-prompt": {"name": "soft-prompt"},
    "lora": {"name": "lora"},
    "lora all-linear": {"name": "lora", "targets": "all-linear"},
    "full": {"name": "full"},
}
ROWS, TOKENS = 16, 200
TOLERANCE = 0.1
"""Of what a plan says beside the weights."""


def step(model: str, method: dict[str, Any], rows: int, tokens: int) -> tuple[Watch, int]:
    """Two optimiser steps, so that moments are there in the second; what was seen, and the bytes of the base model."""
    config = AutoConfig.from_pretrained(model)
    kind = (
        "mistral-small-shape" if config.model_type == "mistral" else "gemma3" if "gemma" in model else "llama-gqa-tied"
    )
    train = validate(RunConfig, settings(model, method, rows), "test").train
    prompt, numbers = Prompt("a", "eng_Latn", "text", "x"), random.Random(0)
    items = [TokenizedPrompt(prompt, tuple(numbers.choices(range(3, 30_000), k=tokens)), (7,), ()) for _ in range(rows)]
    with facts_of(kind), Kernel():
        base = on_meta(config, torch.bfloat16)
        with Watch():
            adapted = attach(base, registry.build(method), restorable=False)
            adapted.train()
            optimizer = Optimizer(adapted, items, train, Length.of(train, rows, 0))
        weights = {id(p): p for p in (*base.model.parameters(), *adapted.adapter.parameters())}
        watch = Watch(list(weights.values()))
        with watch, fused(optimizer.adamw):
            for _ in range(2):
                optimizer.step(range(rows))
    return watch, sum(p.nbytes for p in base.model.parameters())


def settings(model: str, method: dict[str, Any], rows: int) -> dict[str, Any]:
    train = {
        "steps": 2, "learning_rate": 1e-3, "batch_size": rows, "token_budget": 1 << 20, "cache_lower_layers": False,
    }  # fmt: skip
    return {"model": model, "task": "xnli", "method": method, "train": train}


def planned(model: str, method: dict[str, Any], rows: int, tokens: int) -> Estimate:
    """Of texts that are all as long as the longest, for which a plan takes 1.2 times the mean."""
    run = resolve(validate(RunConfig, settings(model, method, rows), "test"))
    found = estimate(run, GPUS["h200"], lambda split, language: Lengths(rows, tokens / 1.2, 0, 1.0, 3, 3.0, 0))
    assert found is not None
    return found


def folder(tmp_path: Path, name: str, layers: int | None) -> str:
    """The published config.json, of so many layers."""
    facts = json.loads(FILE.read_text())[name]
    AutoConfig.for_model(**facts | ({"num_hidden_layers": layers} if layers else {})).save_pretrained(tmp_path)
    return str(tmp_path)


def check(
    model: str, method: dict[str, Any], rows: int = ROWS, tokens: int = TOKENS, within: float = TOLERANCE,
) -> None:  # fmt: skip
    """Law: nothing leaves the device, and a plan's memory beside the weights is what was held, to a tenth."""
    watch, weights = step(model, method, rows, tokens)
    assert not watch.faults
    found = planned(model, method, rows, tokens)
    assert found.weights == pytest.approx(weights, rel=0.01) or method["name"] == "lora"
    assert found.activations + found.optimiser == pytest.approx(watch.most - found.weights, rel=within)


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", [LLAMA, MISTRAL, SMALL])
def test_a_step_stays_on_its_device_and_takes_the_planned_memory(tmp_path: Path, name: str, method: str) -> None:
    check(folder(tmp_path, name, 4), METHODS[method])


@pytest.mark.parametrize(("name", "within"), [(SMALL, TOLERANCE), ("gemma-3-270m", 0.15)])
def test_so_do_all_layers(tmp_path: Path, name: str, within: float) -> None:
    """Gemma's norms of queries and keys are counted in each layer, and the lowest adapted one keeps none."""
    check(folder(tmp_path, name, None), METHODS["prefix"], within=within)


def test_masks_grow_with_the_longest_text_and_are_made_once(tmp_path: Path) -> None:
    """Four texts of 3,000 tokens: a mask kept by each layer would be a tenth of all that is kept."""
    check(folder(tmp_path, LLAMA, 8), METHODS["prefix"], rows=4, tokens=3000)


def test_a_tensor_on_the_cpu_is_noticed() -> None:
    with Watch() as watch:
        torch.ones(3, device="meta") + torch.ones(3, device="meta")
        assert not watch.faults
        torch.ones(3)
    assert watch.faults
