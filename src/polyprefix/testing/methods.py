"""What holds for every method, on tiny random models in float32: to 1e-5 of the logits' spread, or to the last bit."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.files import load_adapter, save_adapter
from polyprefix.methods.base import Method
from polyprefix.testing.tiny import tiny_base, tokens

ARCHITECTURES = ("llama-gqa-tied", "mistral-sliding", "gemma3", "phi3")
"""Grouped keys, a sliding window, a hybrid, and fused projections."""


def close(a: Tensor, b: Tensor, tolerance: float = 1e-5) -> None:
    """Equal to a share of the largest value."""
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance * max(1.0, b.abs().max().item()))


def moved(method: Method, architecture: str) -> AdaptedModel:
    """An adapted model off its initial values, as training would leave it."""
    model = attach(tiny_base(architecture), method, seed=1)
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for _, parameter in model.trainable():
            parameter.add_(0.1 * torch.randn(parameter.shape, generator=generator))
    return model.eval()


@pytest.mark.parametrize("architecture", ARCHITECTURES)
class MethodContract:
    """Derive a class whose name begins with `Test` and set `method`."""

    method: ClassVar[Method]

    def test_settings_survive_the_record(self, architecture: str) -> None:
        """A run's configuration gives the same method back."""
        settings = {"name": self.method.name, **self.method.model_dump(mode="json")}
        assert registry.build(settings) == self.method

    @torch.no_grad()
    def test_padding_and_batches_change_nothing(self, architecture: str) -> None:
        """A batch is its examples."""
        model = moved(self.method, architecture)
        rows = [tokens(1, length, seed=length)[0] for length in (3, 20, 7)]
        ids, mask = torch.zeros(3, 20, dtype=torch.long), torch.zeros(3, 20, dtype=torch.long)
        for number, row in enumerate(rows):
            ids[number, 20 - len(row) :], mask[number, 20 - len(row) :] = row, 1
        together = model(ids, mask).logits
        for number, row in enumerate(rows):
            close(together[number][mask[number].bool()], model(row[None]).logits[0])

    def test_training_moves_the_adapter_and_nothing_else(self, architecture: str) -> None:
        """Two steps move every tensor of the adapter; the base model's other weights stay."""
        model = attach(tiny_base(architecture), self.method, seed=1)
        own = dict(model.trainable())
        frozen = {
            name: p.detach().clone()
            for name, p in model.model.named_parameters()
            if not any(p is o for o in own.values())
        }
        before = {name: p.detach().clone() for name, p in own.items()}
        for _ in range(2 if own else 0):
            ids = tokens(4, 12)
            model(ids, labels=ids).loss.backward()
            torch.optim.SGD(own.values(), lr=0.5).step()
            model.zero_grad()
        assert not [name for name, p in own.items() if torch.equal(p, before[name])]
        after = dict(model.model.named_parameters())
        assert all(torch.equal(after[name], value) for name, value in frozen.items())

    def test_the_count_is_the_closed_formula(self, architecture: str) -> None:
        """`parameters` says how many are trained, without building anything."""
        model = attach(tiny_base(architecture), self.method)
        counted = sum(p.numel() for _, p in model.trainable())
        assert counted == self.method.parameters(tiny_base(architecture).model)

    @torch.no_grad()
    def test_saving_and_loading_keep_the_function(self, architecture: str, tmp_path: Path) -> None:
        """The same logits from what was saved."""
        model, ids = moved(self.method, architecture), tokens(2, 12)
        before = model(ids).logits
        save_adapter(model, tmp_path)
        close(load_adapter(tiny_base(architecture), tmp_path)(ids).logits, before)

    def test_detach_gives_the_model_back(self, architecture: str) -> None:
        """The same logits to the last bit, state, flags, attention implementation and hooks as before `attach`."""
        base, ids = tiny_base(architecture), tokens(2, 12)
        base.model.requires_grad_(True)
        before, found = _logits(base.model, ids), _state(base.model)
        adapted = attach(base, self.method, seed=1)
        if parameters := [p for _, p in adapted.trainable()]:
            adapted.train()(ids, labels=ids).loss.backward()
            torch.optim.SGD(parameters, lr=0.5).step()
        adapted.eval().adapter.merge()
        assert adapted.detach() is base.model
        assert _state(base.model) == found
        assert torch.equal(_logits(base.model, ids), before)


@torch.no_grad()
def _logits(model: Any, ids: Tensor) -> Tensor:
    logits: Tensor = model(ids, use_cache=False).logits
    return logits


def _state(model: Any) -> list[Any]:
    """Everything of a model that an adapter might leave something in."""
    modules = list(model.named_modules())
    return [
        model.config._attn_implementation,
        [(name, p.requires_grad, p.dtype, id(p)) for name, p in model.named_parameters()],
        [(name, id(module), module.training, sorted(module.__dict__)) for name, module in modules],
        [(name, len(module._forward_hooks), len(module._forward_pre_hooks)) for name, module in modules],
        sorted(model.state_dict()),
    ]
