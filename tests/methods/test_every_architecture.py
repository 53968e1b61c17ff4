"""Laws over every decoder that transformers knows and that can be built tiny, for every variant of every method.

A method works or is refused in one line. What is counted is what is trained: each parameter that an adapter declares gets a gradient
from text, no other does, and the closed formula gives their number. A failed attach leaves nothing on the model.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from peft import inject_adapter_in_model
from tests.architectures import CONFIGS, tiny_copy
from tests.methods.test_contract import VARIANTS
from transformers import AutoModelForCausalLM, Gemma3Config, SiglipVisionConfig

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.files import load_adapter, save_adapter
from polyprefix.errors import ConfigError, ModelError, UserError
from polyprefix.models.load import BaseModel, identify
from polyprefix.models.text_part import beside_text, text_part
from polyprefix.prefix import AttentionHook

MIXTURES = ("mixtral", "qwen3_moe", "olmoe", "deepseek_v3")
LATENT = ("deepseek_v3", "minicpm3", "glm4_moe_lite", "youtu")


def copy_of(base: BaseModel) -> BaseModel:
    return BaseModel(base.name, copy.deepcopy(base.model), base.tokenizer, base.identity)


def loss(model: AdaptedModel) -> torch.Tensor:
    ids = torch.randint(4, 260, (2, 10), generator=torch.Generator().manual_seed(0))
    return model(ids).logits.square().mean()


def state(model: Any) -> dict[str, Any]:
    """All that an attach may change on a model."""
    return {
        "attention": model.config._attn_implementation,
        "modules": [(name, type(module)) for name, module in model.named_modules()],
        "ours": [name for name, m in model.named_modules() if any("polyprefix" in key for key in m.__dict__)],
        "root": sorted(model.__dict__),
        "hooks": [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()],
        "trained": [parameter.requires_grad for parameter in model.parameters()],
        "training": model.training,
    }


@pytest.mark.parametrize("kind", CONFIGS)
def test_what_is_counted_is_what_gets_gradients(kind: str) -> None:
    base = tiny_copy(kind)
    if isinstance(base, str):
        return
    for variant, settings in VARIANTS.items():
        method = registry.build({"name": variant.split()[0], **settings})
        fresh = copy_of(base)
        try:
            formula = method.parameters(fresh.model)
            model = attach(fresh, method)
        except UserError as error:
            assert "\n" not in str(error), variant
            continue
        trained = dict(model.trainable())
        assert formula == model.parameter_counts()["trainable"] == sum(p.numel() for p in trained.values()), variant
        if trained:
            loss(model).backward()
            assert not [name for name, p in trained.items() if p.grad is None], variant


@pytest.mark.parametrize("kind", MIXTURES)
def test_experts_are_adapted_trained_saved_and_loaded(kind: str, tmp_path: Any) -> None:
    base = tiny_copy(kind)
    assert isinstance(base, BaseModel)
    model = attach(copy_of(base), registry.build({"name": "lora", "rank": 4, "targets": "all-linear"}), seed=1)
    optimizer = torch.optim.SGD([p for _, p in model.trainable()], lr=1.0)
    loss(model).backward()
    optimizer.step()
    ids = torch.arange(4, 20)[None]
    with torch.no_grad():
        model.adapter.merge()
        wanted = model(ids).logits
        model.adapter.unmerge()
    save_adapter(model, tmp_path)
    with torch.no_grad():
        found = load_adapter(copy_of(base), tmp_path)(ids).logits
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("kind", LATENT)
@pytest.mark.parametrize("variant", [v for v in VARIANTS if v.startswith(("prefix", "llama"))])
def test_latent_attention_takes_every_prefix(kind: str, variant: str) -> None:
    base = tiny_copy(kind)
    assert isinstance(base, BaseModel)
    (_, _, keys, values), *_ = (AttentionHook.of(base.model).heads(0), *AttentionHook.of(base.model).kv_shape(0)), None
    assert keys != values, "not latent"
    model = attach(copy_of(base), registry.build({"name": variant.split()[0], **VARIANTS[variant]}), seed=1)
    assert model(torch.arange(4, 20)[None]).logits.isfinite().all()


# --- a vision tower ----------------------------------------------------------------------------------------------


def with_a_vision_tower() -> BaseModel:
    text = {
        "vocab_size": 272, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 8, "sliding_window": 16, "query_pre_attn_scalar": 8,
    }  # fmt: skip
    vision = SiglipVisionConfig(
        hidden_size=16, intermediate_size=24, num_hidden_layers=1, num_attention_heads=2, image_size=28, patch_size=14
    )
    config = Gemma3Config(text_config=text, vision_config=vision.to_dict(), mm_tokens_per_image=4)
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config, attn_implementation="sdpa").eval().requires_grad_(False)
    base = tiny_copy("gemma3_text")
    assert isinstance(base, BaseModel)
    return BaseModel("vision", model, base.tokenizer, identify("vision", None, model))


@pytest.mark.parametrize("name", ["full", "lora"])
def test_a_vision_tower_is_neither_trained_nor_counted(name: str) -> None:
    method = registry.build({"name": name} | ({"targets": "all-linear"} if name == "lora" else {}))
    base = with_a_vision_tower()
    tower = {id(p) for n, p in base.model.named_parameters() if "vision" in n or "projector" in n}
    assert tower and method.parameters(base.model) == method.parameters(with_a_vision_tower().model)
    model = attach(base, method)
    names = [n for n, _ in model.trainable()]
    assert names and not [n for n in names if "vision" in n or "projector" in n]
    assert model.parameter_counts()["trainable"] == method.parameters(with_a_vision_tower().model)
    loss(model).backward()
    assert all(p.grad is not None for _, p in model.trainable())


def test_the_outermost_modules_beside_text_are_named() -> None:
    model = with_a_vision_tower().model
    assert beside_text(model) == ["model.vision_tower", "model.multi_modal_projector"]
    assert text_part(model)("model.language_model.layers.0.mlp.up_proj.weight")


# --- a failed attach ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_refused_model_is_as_it_was(kind: str) -> None:
    try:
        from polyprefix.models.shrink import shrunken

        model, _ = shrunken(CONFIGS[kind](), "eager")
        before = state(model)
    except Exception:
        return
    base = BaseModel("m", model, None, None)  # type: ignore[arg-type]
    try:
        attach(base, registry.build({"name": "prefix", "layers": "90-"}))
    except UserError:
        assert state(model) == before
    except Exception as error:
        raise AssertionError(f"{kind}: {error!r}") from error


def test_lora_that_fails_half_way_leaves_no_layer_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    base = tiny_copy("llama")
    assert isinstance(base, BaseModel)
    base = copy_of(base)
    AttentionHook.of(base.model).remove()
    before = state(base.model)

    def fail(config: Any, model: Any) -> None:
        inject_adapter_in_model(config, model)
        raise ValueError("the second half")

    monkeypatch.setattr("polyprefix.methods.lora.adapter.inject_adapter_in_model", fail)
    with pytest.raises(ConfigError, match="the second half"):
        attach(base, registry.build({"name": "lora"}))
    assert state(base.model) == before


def test_weights_that_are_no_numbers_are_not_blamed_on_the_architecture() -> None:
    base = tiny_copy("llama")
    assert isinstance(base, BaseModel)
    base = copy_of(base)
    AttentionHook.of(base.model).remove()
    next(base.model.parameters()).data[:] = float("nan")
    with pytest.raises(ModelError, match="its logits are not finite numbers; its weights are damaged") as error:
        attach(base, registry.build({"name": "prefix"}))
    assert "architecture" not in str(error.value) and "cannot be served" not in str(error.value)


@pytest.mark.parametrize("variant", [v for v in VARIANTS if v != "none"])
def test_initial_values_depend_on_the_seed_alone(variant: str) -> None:
    """Not on what a process learned about the architecture before."""
    from polyprefix.models.text_part import unreached_by_text
    from polyprefix.prefix.limits import _of_copy

    base = tiny_copy("llama")
    assert isinstance(base, BaseModel)
    found = []
    for _ in range(2):
        unreached_by_text.cache_clear()
        _of_copy.cache_clear()
        for _ in range(2):  # first measured, then remembered
            model = attach(copy_of(base), registry.build({"name": variant.split()[0], **VARIANTS[variant]}), seed=3)
            found.append([p.detach().clone() for _, p in model.trainable()])
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))
