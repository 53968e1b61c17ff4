"""Meta-learning: its gradients are those of brute force, its episodes are fair, and it resumes, from an adapter's weights alone."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel, attach
from polyprefix.config import MetaConfig, RunConfig, TrainConfig, validate
from polyprefix.errors import ConfigError
from polyprefix.progress import Silent
from polyprefix.testing.tiny import tiny_base, tiny_tokenizer
from polyprefix.text.tokens import TokenizedPrompt, encode
from polyprefix.training.checkpoint import Checkpoint
from polyprefix.training.length import Length
from polyprefix.training.loop import train
from polyprefix.training.meta import Draw, draws, meta_gradient
from polyprefix.training.optimizer import Optimizer
from polyprefix.types import Prompt

METHODS: dict[str, dict[str, Any]] = {
    "soft-prompt": {"length": 3},
    "prefix": {"length": 2},
    "llama-adapter": {"length": 3, "layers": "1-"},
    "lora": {"rank": 2},
}
RATE = 0.2
EPISODE = [Draw((0, 1, 2), (3, 4)), Draw((5, 6), (7, 8, 9))]


def examples(codes: tuple[str, ...] = ("hin_Deva",), each: int = 10) -> list[TokenizedPrompt]:
    prompts = [
        Prompt(f"{code} {i}", code, f"{code[:i % 3]} {i * 7919 % (10 ** (i % 4 + 1))}=", ("even", "odd")[i % 2], ("even", "odd"))
        for code in codes
        for i in range(each)
    ]  # fmt: skip
    return encode(prompts, tiny_tokenizer(), 256)


def exact(kind: str, **settings: Any) -> Optimizer:
    """An optimiser in float64, at weights that are no initial values: a gate that is closed would hide its prompts."""
    name = settings.pop("name")
    model = attach(tiny_base(kind), registry.build({"name": name, **settings})).double()
    torch.manual_seed(3)
    with torch.no_grad():
        for _, parameter in model.trainable():
            parameter += 0.1 * torch.randn_like(parameter)
    return Optimizer(model, examples(), TrainConfig(learning_rate=1.0, cache_lower_layers=False), Length.exactly(1))


def config(order: str, inner_steps: int = 2) -> MetaConfig:
    return MetaConfig(order=order, inner_steps=inner_steps, inner_rate=RATE)  # type: ignore[arg-type]


def flat(tensors: Any) -> Tensor:
    return torch.cat([t.detach().flatten().clone() for t in tensors])


def put(optimizer: Optimizer, values: Tensor) -> None:
    with torch.no_grad():
        for p, part in zip(optimizer.parameters, values.split([p.numel() for p in optimizer.parameters]), strict=True):
            p.copy_(part.view_as(p))


def gradient(optimizer: Optimizer, rows: tuple[int, ...]) -> tuple[float, Tensor]:
    loss = optimizer.gradients(rows)
    return loss, flat(p.grad for p in optimizer.parameters)  # type: ignore[misc]


def adapted(optimizer: Optimizer, start: Tensor, batches: list[tuple[int, ...]]) -> Tensor:
    """The weights after plain gradient descent over these batches."""
    put(optimizer, start)
    now = start
    for rows in batches:
        now = now - RATE * gradient(optimizer, rows)[1]
        put(optimizer, now)
    return now


def after(optimizer: Optimizer, start: Tensor, steps: int) -> float:
    """The mean loss on query examples of the weights that adapted to support examples."""
    total = 0.0
    for draw in EPISODE:
        adapted(optimizer, start, [draw.support] * steps)
        total += gradient(optimizer, draw.query)[0] / len(EPISODE)
    return total


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("name", METHODS)
def test_the_second_order_gradient_is_that_of_the_adapted_loss(name: str, steps: int) -> None:
    """Central differences along the gradient and along random directions, each through all inner steps anew."""
    optimizer = exact("gpt-neox", name=name, **METHODS[name])
    start = flat(optimizer.parameters)
    loss, _ = meta_gradient(optimizer, EPISODE, config("second", steps))
    ours = flat(p.grad for p in optimizer.parameters)
    assert torch.equal(flat(optimizer.parameters), start)
    assert loss == pytest.approx(after(optimizer, start, steps), rel=1e-10)
    for direction in (ours, *torch.randn(2, len(start), dtype=start.dtype, generator=torch.Generator().manual_seed(1))):
        unit = direction / direction.norm()
        step = 1e-4
        difference = (after(optimizer, start + step * unit, steps) - after(optimizer, start - step * unit, steps)) / (2 * step)
        assert float(ours @ unit) == pytest.approx(difference, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", METHODS)
def test_the_first_order_gradient_is_that_at_the_adapted_weights(name: str) -> None:
    optimizer = exact("gpt-neox", name=name, **METHODS[name])
    start = flat(optimizer.parameters)
    meta_gradient(optimizer, EPISODE, config("first"))
    ours, expected = flat(p.grad for p in optimizer.parameters), torch.zeros_like(start)
    for draw in EPISODE:
        adapted(optimizer, start, [draw.support] * 2)
        expected += gradient(optimizer, draw.query)[1] / len(EPISODE)
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("name", METHODS)
def test_the_gradient_of_reptile_is_the_difference_of_weights(name: str) -> None:
    optimizer = exact("gpt-neox", name=name, **METHODS[name])
    start = flat(optimizer.parameters)
    meta_gradient(optimizer, EPISODE, config("reptile", 3))
    ours = flat(p.grad for p in optimizer.parameters)
    ends = [adapted(optimizer, start, [draw.support, draw.query, draw.support]) for draw in EPISODE]
    torch.testing.assert_close(ours, start - sum(ends) / len(ends))
