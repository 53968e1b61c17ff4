"""LoRA: a trained low-rank product beside chosen weights. arXiv 2106.09685; DoRA 2402.09353; rsLoRA 2312.03732. Through PEFT.

W x + (alpha / r) B A x,  A [r, in] random, B [out, r] zero: training begins at the base model    r (in + out) a weight, with DoRA + out

Merged into float32 weights for evaluation, where rounding is 1e-7; beside half-precision and quantised weights it stays apart. It cannot
share a base model with another adapter in the same process, since it changes the base's own modules.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, ClassVar, Literal

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.lora.layer import ParamWrapper
from peft.tuners.tuners_utils import BaseTunerLayer
from pydantic import Field
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import AutoModelForCausalLM, PreTrainedModel
from transformers.conversion_mapping import get_checkpoint_conversion_mapping

from polyprefix.errors import ConfigError
from polyprefix.methods.base import Adapter, Method, Start, TrainDefaults
from polyprefix.models.load import BaseModel
from polyprefix.models.text_part import beside_text, text_part
from polyprefix.prefix import AttentionHook


class LoRA(Method):
    """Low-rank updates of chosen weights, through PEFT."""

    name: ClassVar[str] = "lora"
    title: ClassVar[str] = "low-rank updates of chosen weights"
    source: ClassVar[str] = "arXiv 2106.09685"
    defaults: ClassVar[TrainDefaults] = TrainDefaults(learning_rate=3e-3)
    changes_base: ClassVar[bool] = True

    rank: int = Field(default=8, ge=1, le=16_384)
    """r."""
    alpha: int = Field(default=8, gt=0, le=1_000_000)
    """The update is scaled by alpha / r, or alpha / sqrt(r) with rsLoRA."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """On the input of A."""
    targets: tuple[str, ...] | Literal["attention", "all-linear"] = "attention"
    """Module names; `attention` is query and value projections, `all-linear` every linear layer but the head."""
    dora: bool = False
    """Weight-decomposed LoRA."""
    rslora: bool = False
    """Rank-stabilised scaling."""

    def tuned(self) -> TrainDefaults:
        """Changes of every linear layer add up: a third of the rate is best there."""
        return replace(self.defaults, learning_rate=1e-3) if self.targets == "all-linear" else self.defaults

    def build(self, base: BaseModel, hook: AttentionHook, start: Start) -> Adapter:
        """PEFT's layers in place of the chosen ones.

        Raises:
            ConfigError: if the model has no module of a given name.
        """
        config = self.peft_config(
            base.model
        )  # before the seed: nothing but initial values may take random numbers after it
        with torch.random.fork_rng():
            torch.manual_seed(start.seed)
            try:
                inject_adapter_in_model(config, base.model)
            except ValueError as error:
                raise ConfigError(f"method.targets: {_reason(base.model, error)}") from None
        return LowRank(base.model)

    def peft_config(self, model: PreTrainedModel) -> LoraConfig:
        """The same settings in PEFT's words."""
        return LoraConfig(
            r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=self._names(model),
            use_dora=self.dora, use_rslora=self.rslora, task_type="CAUSAL_LM",
            exclude_modules=self._excluded(model),
        )  # fmt: skip

    def parameters(self, model: PreTrainedModel) -> int:
        """r (in + out) a weight, and with DoRA a magnitude for each output."""
        if self.targets == "all-linear" and get_checkpoint_conversion_mapping(model.config.model_type) is not None:
            return self._counted(model)
        count = 0
        for module in self._targets(model):
            inner, out = module.in_features, module.out_features  # a quantised weight's shape is not these
            count += self.rank * (inner + out) + (out if self.dora else 0)
        return count

    def stored_bytes(self, model: PreTrainedModel, itemsize: int) -> int:
        """The input of each adapted weight, in float32, and what A makes of it."""
        return 4 * sum(module.in_features + self.rank for module in self._targets(model))

    def _counted(self, model: PreTrainedModel) -> int:
        """By PEFT's own layers on the meta device: what it adapts in a mixture of experts depends on how their weights are fused.

        PEFT then leaves the feed-forward parts of layers without experts alone (DeepSeek's first ones).
        """
        with torch.device("meta"):
            copy = AutoModelForCausalLM.from_config(model.config)
        copy.requires_grad_(False)
        with torch.device("meta"):
            inject_adapter_in_model(self.peft_config(copy), copy)
        return sum(parameter.numel() for parameter in copy.parameters() if parameter.requires_grad)

    @staticmethod
    def _excluded(model: PreTrainedModel) -> str | None:
        """A pattern for the modules that get no gradient from text, and for routers: linear layers that give more than a product."""
        names = [*beside_text(model), *(name for name, module in model.named_modules() if _is_router(module))]
        return rf"({'|'.join(map(re.escape, names))})(\..*)?" if names else None

    def _names(self, model: PreTrainedModel) -> Any:
        if self.targets == "all-linear":
            return "all-linear"
        if self.targets != "attention":
            return list(self.targets)
        names = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
        for wanted in (["q_proj", "v_proj"], ["qkv_proj"], ["query_key_value"]):
            if names.issuperset(wanted):
                return wanted
        raise ConfigError("method.targets 'attention': no q_proj and v_proj in this model; name its modules")

    def _targets(self, model: PreTrainedModel) -> list[nn.Linear]:
        names = self._names(model)
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


def _reason(model: PreTrainedModel, error: ValueError) -> str:
    """PEFT's error in a line."""
    text = str(error)
    if "is not supported" in text:
        kinds = sorted(
            {type(module).__name__ for module in model.modules() if f"module {type(module).__name__}(" in text}
        )
        return f"PEFT has no LoRA for {' or '.join(kinds) or 'these modules'}; name linear layers of the model"
    return f"{text.splitlines()[0].split('. ')[0]}; name linear layers of the model"


def _is_router(module: nn.Module) -> bool:
    """Whether a linear layer has a forward pass of its own, such as one that gives scores with indices; PEFT would take them for a tensor."""
    own = type(module)
    return (
        isinstance(module, nn.Linear)
        and own.__module__.startswith("transformers.models")
        and own.forward is not nn.Linear.forward
    )


class LowRank(Adapter):
    """PEFT's matrices, which live inside the base model; this module only knows where."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self._model: PreTrainedModel
        self._unmerged: dict[Any, Tensor] = {}
        object.__setattr__(self, "_model", model)  # not a submodule: the base's weights are not the adapter's
        for layer in self._layers():
            for _, parameter in layer.named_parameters():
                if parameter.requires_grad:
                    parameter.data = parameter.data.float()

    def _layers(self) -> list[Any]:
        return [module for module in self._model.modules() if isinstance(module, BaseTunerLayer)]

    def trainable(self) -> list[tuple[str, nn.Parameter]]:
        """A, B and magnitudes."""
        return [(name, p) for name, p in self._model.named_parameters() if p.requires_grad]

    def tensors(self) -> dict[str, Tensor]:
        """Under PEFT's own names."""
        return {name: t.detach() for name, t in get_peft_model_state_dict(self._model).items()}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """From PEFT's own names.

        Raises:
            RuntimeError: if names or shapes differ.
        """
        if differ := tensors.keys() ^ self.tensors().keys():  # PEFT itself passes over them
            raise RuntimeError(f"names differ: {sorted(differ)[:3]}")
        set_peft_model_state_dict(self._model, tensors)

    def merge(self) -> None:
        """Into float32 weights, where rounding is 1e-7; half precision would lose small updates, so it stays beside them.

        So do updates of experts, whose fused weights PEFT wraps one in the other.
        """
        for layer in self._layers():
            base = layer.get_base_layer()
            weight = getattr(base, "weight", None)
            if isinstance(layer, ParamWrapper) or not isinstance(weight, Tensor) or isinstance(weight, DTensor):
                continue
            if not layer.merged and weight.dtype == torch.float32:
                self._unmerged[layer] = base.weight.data
                base.weight.data = base.weight.data.clone()
                layer.merge()

    def unmerge(self) -> None:
        """Give back the very weights that were there: subtracting the update again would change their last bits."""
        for layer, weight in self._unmerged.items():
            layer.unmerge()
            layer.get_base_layer().weight.data = weight
        self._unmerged.clear()

    @property
    def merged(self) -> bool:
        """Whether a weight holds its update."""
        return bool(self._unmerged)


METHOD = LoRA
