"""What full fine-tuning trains: the base model's own weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from transformers import PreTrainedModel

from polyprefix.errors import ModelError
from polyprefix.methods.adapter import Adapter
from polyprefix.models.load import BaseModel
from polyprefix.models.quantized import is_quantized
from polyprefix.models.text_part import text_part

if TYPE_CHECKING:
    from polyprefix.methods.full import FullFineTuning


def build(method: FullFineTuning, base: BaseModel) -> Adapter:
    """Thaw the base model.

    Raises:
        ModelError: if its weights are quantised.
    """
    if is_quantized(base.model):
        raise ModelError(
            f"{base.name}: quantised weights cannot be trained; load it with quantize=none, or choose another method"
        )
    base.model.float()
    ends: list[Any] = [base.model.get_input_embeddings(), base.model.get_output_embeddings()]
    embeddings = {id(end.weight) for end in ends if end is not None}
    inside = text_part(base.model)
    for name, parameter in base.model.named_parameters():
        wanted = method.train_embeddings or id(parameter) not in embeddings
        parameter.requires_grad_(wanted and inside(name))
    return AllWeights(base.model)


class AllWeights(Adapter):
    """The base model's own weights."""

    def __init__(self, model: PreTrainedModel) -> None:
        super().__init__()
        self._model: PreTrainedModel
        object.__setattr__(self, "_model", model)  # not a submodule: it is the base

    def trainable(self) -> list[tuple[str, nn.Parameter]]:
        """Every weight, tied ones once."""
        return [(name, p) for name, p in self._model.named_parameters() if p.requires_grad]

    def tensors(self) -> dict[str, Tensor]:
        """The trained weights, by the base model's names."""
        return {name: p.detach() for name, p in self.trainable()}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Copy into the base model.

        Raises:
            RuntimeError: if a name or a shape is unknown.
        """
        missing, unexpected = self._model.load_state_dict(tensors, strict=False)
        lost = set(dict(self.trainable())) & set(missing)
        if unexpected or lost:
            raise RuntimeError(f"unknown weights {unexpected[:3]}, missing weights {sorted(lost)[:3]}")
