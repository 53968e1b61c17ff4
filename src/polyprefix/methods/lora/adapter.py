"""What LoRA trains: PEFT's matrices beside the chosen weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from peft import get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.lora.layer import ParamWrapper
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from polyprefix.errors import ConfigError
from polyprefix.methods.adapter import Adapter
from polyprefix.methods.base import Start
from polyprefix.methods.lora.targets import peft_config
from polyprefix.models.load import BaseModel

if TYPE_CHECKING:
    from polyprefix.methods.lora import LoRA


def build(method: LoRA, base: BaseModel, start: Start) -> Adapter:
    """PEFT's layers in place of the chosen ones.

    Raises:
        ConfigError: if the model has no module of a given name.
    """
    config = peft_config(
        method, base.model
    )  # before the seed: nothing but initial values may take random numbers after it
    with torch.random.fork_rng():
        torch.manual_seed(start.seed)
        try:
            inject_adapter_in_model(config, base.model)
        except ValueError as error:
            raise ConfigError(f"method.targets: {_reason(base.model, error)}") from None
    return LowRank(base.model)


def _reason(model: PreTrainedModel, error: ValueError) -> str:
    """PEFT's error in a line."""
    text = str(error)
    if "is not supported" in text:
        kinds = sorted(
            {type(module).__name__ for module in model.modules() if f"module {type(module).__name__}(" in text}
        )
        return f"PEFT has no LoRA for {' or '.join(kinds) or 'these modules'}; name linear layers of the model"
    return f"{text.splitlines()[0].split('. ')[0]}; name linear layers of the model"


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
