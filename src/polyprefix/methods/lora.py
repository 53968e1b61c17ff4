"""LoRA: a trained low-rank product beside chosen weights. arXiv 2106.09685; DoRA 2402.09353; rsLoRA 2312.03732. Through PEFT.

W x + (alpha / r) B A x,  A [r, in] random, B [out, r] zero: training begins at the base model          r (in + out) a weight
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal

import torch
from peft import LoraConfig, get_peft_model_state_dict, inject_adapter_in_model, set_peft_model_state_dict
from peft.tuners.tuners_utils import BaseTunerLayer
from pydantic import Field
from torch import Tensor, nn
from torch.distributed.tensor import DTensor
from transformers import PreTrainedModel

from polyprefix.errors import ConfigError
from polyprefix.methods.base import Adapter, Method, Start, TrainDefaults
from polyprefix.models.load import BaseModel
from polyprefix.prefix import Seam


class LoRA(Method):
    """Low-rank updates of chosen weights, through PEFT."""

    name: ClassVar[str] = "lora"
    title: ClassVar[str] = "low-rank updates of chosen weights"
    source: ClassVar[str] = "arXiv 2106.09685"
    defaults: ClassVar[TrainDefaults] = TrainDefaults(learning_rate=3e-3, steps=60)
    changes_base: ClassVar[bool] = True

    rank: int = Field(default=8, ge=1)
    """r."""
    alpha: int = Field(default=8, gt=0)
    """The update is scaled by alpha / r, or alpha / sqrt(r) with rsLoRA."""
    dropout: float = Field(default=0.0, ge=0, lt=1)
    """On the input of A."""
    targets: tuple[str, ...] | Literal["attention", "all-linear"] = "attention"
    """Module names; `attention` is query and value projections, `all-linear` every linear layer but the head."""
    dora: bool = False
    """Weight-decomposed LoRA."""
    rslora: bool = False
    """Rank-stabilised scaling."""

    def build(self, base: BaseModel, seam: Seam, start: Start) -> Adapter:
        """PEFT's layers in place of the chosen ones.

        Raises:
            ConfigError: if the model has no module of a given name.
        """
        with torch.random.fork_rng():
            torch.manual_seed(start.seed)
            try:
                inject_adapter_in_model(self.peft_config(base.model), base.model)
            except ValueError as error:
                raise ConfigError(f"method.targets: {str(error).splitlines()[0]}") from None
        return LowRank(base.model)

    def peft_config(self, model: PreTrainedModel) -> LoraConfig:
        """The same settings in PEFT's words."""
        return LoraConfig(
            r=self.rank, lora_alpha=self.alpha, lora_dropout=self.dropout, target_modules=self._names(model),
            use_dora=self.dora, use_rslora=self.rslora, task_type="CAUSAL_LM",
        )  # fmt: skip

    def parameters(self, model: PreTrainedModel) -> int:
        """r (in + out) a weight, and with DoRA a magnitude for each output."""
        count = 0
        for module in self._targets(model):
            inner, out = module.in_features, module.out_features  # a quantised weight's shape is not these
            count += self.rank * (inner + out) + (out if self.dora else 0)
        return count

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
        linear = [(name, module) for name, module in model.named_modules() if isinstance(module, nn.Linear)]
        if names == "all-linear":
            head = model.get_output_embeddings()
            return [module for _, module in linear if module is not head]
        return [module for name, module in linear if any(f".{name}".endswith(f".{wanted}") for wanted in names)]


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
        """Into float32 weights, where rounding is 1e-7; half precision would lose small updates, so it stays beside them."""
        for layer in self._layers():
            base = layer.get_base_layer()
            if not layer.merged and base.weight.dtype == torch.float32 and not isinstance(base.weight, DTensor):
                self._unmerged[layer] = base.weight.data
                base.weight.data = base.weight.data.clone()
                layer.merge()

    def unmerge(self) -> None:
        """Give back the very weights that were there: subtracting the update again would change their last bits."""
        for layer, weight in self._unmerged.items():
            layer.unmerge()
            layer.get_base_layer().weight.data = weight
        self._unmerged.clear()


METHOD = LoRA
