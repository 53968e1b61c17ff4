"""The weights that LoRA updates, and how many parameters that trains."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import torch
from peft import LoraConfig, inject_adapter_in_model
from torch import nn
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.conversion_mapping import get_checkpoint_conversion_mapping

from polyprefix.errors import ConfigError
from polyprefix.models.text_part import beside_text, text_part

if TYPE_CHECKING:
    from polyprefix.methods.lora import LoRA


def peft_config(method: LoRA, model: PreTrainedModel) -> LoraConfig:
    """The same settings in PEFT's words."""
    return LoraConfig(
        r=method.rank, lora_alpha=method.alpha, lora_dropout=method.dropout, target_modules=_names(method, model),
        use_dora=method.dora, use_rslora=method.rslora, task_type="CAUSAL_LM", exclude_modules=_excluded(model),
    )  # fmt: skip


def adapted(method: LoRA, model: PreTrainedModel) -> list[nn.Linear]:
    """The linear layers with an update."""
    names = _names(method, model)
    inside = text_part(model)
    linear = [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear) and inside(f"{name}.weight") and not _is_router(module)
    ]
    if names == "all-linear":
        head = model.get_output_embeddings()
        return [module for _, module in linear if module is not head]
    return [module for name, module in linear if any(f".{name}".endswith(f".{wanted}") for wanted in names)]


def parameters(method: LoRA, model: PreTrainedModel) -> int:
    """r (in + out) a weight, and with DoRA a magnitude for each output."""
    if method.targets == "all-linear" and get_checkpoint_conversion_mapping(model.config.model_type) is not None:
        return _counted(method, model)
    count = 0
    for module in adapted(method, model):
        inner, out = module.in_features, module.out_features  # a quantised weight's shape is not these
        count += method.rank * (inner + out) + (out if method.dora else 0)
    return count


def _counted(method: LoRA, model: PreTrainedModel) -> int:
    """By PEFT's own layers on the meta device: what it adapts in a mixture of experts depends on how their weights are fused.

    PEFT then leaves the feed-forward parts of layers without experts alone (DeepSeek's first ones).
    """
    with torch.device("meta"):
        copy = AutoModelForCausalLM.from_config(model.config)
    copy.requires_grad_(False)
    with torch.device("meta"):
        inject_adapter_in_model(peft_config(method, copy), copy)
    return sum(parameter.numel() for parameter in copy.parameters() if parameter.requires_grad)


def _excluded(model: PreTrainedModel) -> str | None:
    """A pattern for the modules that get no gradient from text, and for routers: linear layers that give more than a product."""
    names = [*beside_text(model), *(name for name, module in model.named_modules() if _is_router(module))]
    return rf"({'|'.join(map(re.escape, names))})(\..*)?" if names else None


def _names(method: LoRA, model: PreTrainedModel) -> Any:
    if method.targets == "all-linear":
        return "all-linear"
    if method.targets != "attention":
        return list(method.targets)
    names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    for wanted in (["q_proj", "v_proj"], ["qkv_proj"], ["query_key_value"]):
        if names.issuperset(wanted):
            return wanted
    raise ConfigError("method.targets 'attention': no q_proj and v_proj in this model; name its modules")


def _is_router(module: nn.Module) -> bool:
    """Whether a linear layer has a forward pass of its own, such as one that gives scores with indices; PEFT would take them for a tensor."""
    own = type(module)
    return (
        isinstance(module, nn.Linear)
        and own.__module__.startswith("transformers.models")
        and own.forward is not nn.Linear.forward
    )
