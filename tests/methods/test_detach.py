"""Law: `attach`, training and `detach` leave the caller's model with the same logits to the last bit, and with nothing of ours on it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.methods.test_contract import ARCHITECTURES, VARIANTS, every

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.errors import ModelError
from polyprefix.models.load import BaseModel
from polyprefix.prefix.attention import STATE
from polyprefix.testing.tiny import tiny_base, tiny_model, tokens


def build(variant: str) -> Any:
    return registry.build({"name": variant.split()[0], **VARIANTS[variant]})


def caller_model(kind: str) -> BaseModel:
    """A model as a caller may have it: with gradients, in training mode but for a part of it."""
    base = tiny_base(kind)
    base.model.requires_grad_(True).train()
    next(iter(base.model.children())).eval()
    next(base.model.parameters()).requires_grad_(False)
    return base


def snapshot(model: Any) -> dict[str, Any]:
    modules = list(model.named_modules())
    return {
        "attention": model.config._attn_implementation,
        "flags": [(name, p.requires_grad, p.dtype, id(p)) for name, p in model.named_parameters()],
        "modes": [(name, id(module), module.training) for name, module in modules],
        "hooks": [(name, len(m._forward_pre_hooks), len(m._forward_hooks)) for name, m in modules],
        "attributes": [(name, sorted(set(m.__dict__) - {"_is_hf_initialized"})) for name, m in modules],
        "methods": [(name, "forward" in m.__dict__) for name, m in modules],
    }


@torch.no_grad()
def logits(model: Any, ids: torch.Tensor) -> torch.Tensor:
    torch.manual_seed(0)
    return model(ids, use_cache=False).logits


def train_a_step(adapted: AdaptedModel) -> None:
    parameters = [p for _, p in adapted.trainable()]
    if not parameters:
        return
    adapted.train()
    ids = tokens(2, 9)
    adapted(ids, labels=ids).loss.backward()
    torch.optim.SGD(parameters, lr=0.5).step()
    adapted.eval()


@every(kinds=ARCHITECTURES)
def test_detach_gives_the_model_back(variant: str, kind: str) -> None:
    base, ids = caller_model(kind), tokens(2, 12)
    model = base.model
    before, found = logits(model, ids), snapshot(model)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    adapted = attach(base, build(variant), seed=1)
    train_a_step(adapted)
    adapted.adapter.merge()
    assert adapted.detach() is model
    assert snapshot(model) == found
    assert model.state_dict().keys() == state.keys()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert torch.equal(logits(model, ids), before)
    with pytest.raises(ModelError, match="detached"):
        adapted(ids)
    again = attach(base, build(variant), seed=1)
    assert torch.isfinite(logits(again, ids)).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_full_fine_tuning_gives_precision_and_weights_back(dtype: torch.dtype) -> None:
    base = tiny_base("llama-gqa-tied")
    base.model.to(dtype)
    before = logits(base.model, tokens(2, 12))
    adapted = attach(base, build("full"))
    train_a_step(adapted)
    adapted.detach()
    assert next(base.model.parameters()).dtype == dtype
    assert torch.equal(logits(base.model, tokens(2, 12)), before)


def test_without_a_copy_of_the_weights_detach_says_so() -> None:
    adapted = attach(tiny_base("llama-mha"), build("full"), restorable=False)
    with pytest.raises(ModelError, match="restorable=False"):
        adapted.detach()


def test_two_adapters_share_a_model_until_the_last_is_detached() -> None:
    base, ids = caller_model("llama-mha"), tokens(2, 12)
    before, found = logits(base.model, ids), snapshot(base.model)
    first, second = attach(base, build("prefix"), seed=1), attach(base, build("soft-prompt random"), seed=2)
    alone = logits(first, ids)
    assert not torch.equal(logits(second, ids), alone)
    second.detach()
    assert torch.equal(logits(first, ids), alone)
    first.detach()
    assert snapshot(base.model) == found and torch.equal(logits(base.model, ids), before)


def test_a_method_that_changes_the_model_wants_it_alone() -> None:
    base = tiny_base("llama-mha")
    first = attach(base, build("prefix"))
    with pytest.raises(ModelError, match="detach first"):
        attach(base, build("lora"))
    first.detach()
    second = attach(base, build("lora"))
    with pytest.raises(ModelError, match="changed by an earlier 'lora'"):
        attach(base, build("prefix"))
    second.detach()
    attach(base, build("prefix"))


def test_an_adapter_that_nobody_holds_stands_in_no_way() -> None:
    base = tiny_base("llama-mha")
    attach(base, build("prefix"))
    attach(base, build("lora")).detach()
    assert not any(STATE in module.__dict__ for module in base.model.modules())


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_attention_that_somebody_changed_is_taken_over(implementation: str) -> None:
    base = tiny_base("llama-mha", "sdpa")
    adapted, ids = attach(base, build("prefix"), seed=1), tokens(2, 12)
    before = logits(adapted, ids)
    base.model.set_attn_implementation(implementation)
    torch.testing.assert_close(logits(adapted, ids), before, rtol=0, atol=1e-4)
    adapted.detach()
    assert base.model.config._attn_implementation == implementation
    plain = tiny_model("llama-mha", implementation)
    assert torch.equal(logits(base.model, ids), logits(plain, ids))
