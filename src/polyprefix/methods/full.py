"""Full fine-tuning: every weight is trained, in float32, tied ones once. The upper line in cost, and not always in transfer.

Without embeddings, languages that the training data never shows keep theirs. It cannot share a base, nor train quantised weights.
"""

from __future__ import annotations

from typing import Any, ClassVar

from torch import Tensor, nn
from transformers import PreTrainedModel

from polyprefix.errors import ModelError
from polyprefix.methods.base import Adapter, Footprint, Method, Start, TrainDefaults
from polyprefix.models.load import BaseModel
from polyprefix.models.quantized import is_quantized
from polyprefix.models.shape import ModelShape
from polyprefix.models.text_part import text_part
from polyprefix.prefix import AttentionHook


class FullFineTuning(Method):
    """All weights."""

    name: ClassVar[str] = "full"
    title: ClassVar[str] = "all weights"
    source: ClassVar[str] = "-"
    defaults: ClassVar[TrainDefaults] = TrainDefaults(learning_rate=3e-5, weight_decay=0.01)
    changes_base: ClassVar[bool] = True
    trains_base_weights: ClassVar[bool] = True

    train_embeddings: bool = True
    """Whether the embeddings (and a tied head) are trained too; without them unseen languages keep theirs."""

    def build(self, base: BaseModel, hook: AttentionHook, start: Start) -> Adapter:
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
            wanted = self.train_embeddings or id(parameter) not in embeddings
            parameter.requires_grad_(wanted and inside(name))
        return AllWeights(base.model)

    def footprint(self, layers: int) -> Footprint:
        """All weights."""
        return Footprint(trains_base=True)

    def stored_bytes(self, model: PreTrainedModel, itemsize: int) -> int:
        """The inputs of all matrices, which the same norm gives to several of them, and those of the norms' own weights."""
        s = ModelShape.of(model)
        return s.L * (4 * s.D + s.H * s.K + s.I) * itemsize

    def parameters(self, model: PreTrainedModel) -> int:
        """Every parameter once, tied ones too, without those that text gives no gradient."""
        inside = text_part(model)
        ends: list[Any] = [] if self.train_embeddings else [model.get_input_embeddings(), model.get_output_embeddings()]
        kept = {id(end.weight) for end in ends if end is not None}
        return sum(p.numel() for name, p in model.named_parameters() if inside(name) and id(p) not in kept)


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


METHOD = FullFineTuning
