"""Full fine-tuning: every weight is trained, in float32, tied ones once. The upper line in cost, and not always in transfer.

Without embeddings, languages that the training data never shows keep theirs. It cannot share a base, nor train quantised weights.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from polyprefix.methods.base import Footprint, Method, Start, TrainDefaults

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from polyprefix.methods.adapter import Adapter
    from polyprefix.models.load import BaseModel
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
        from polyprefix.methods.full.adapter import build

        return build(self, base)

    def footprint(self, layers: int) -> Footprint:
        """All weights."""
        return Footprint(trains_base=True)

    def stored_bytes(self, model: PreTrainedModel, itemsize: int) -> int:
        """The inputs of all matrices, which the same norm gives to several of them, and those of the norms' own weights."""
        from polyprefix.models.shape import ModelShape

        s = ModelShape.of(model)
        return s.L * (4 * s.D + s.H * s.K + s.I) * itemsize

    def parameters(self, model: PreTrainedModel) -> int:
        """Every parameter once, tied ones too, without those that text gives no gradient."""
        from polyprefix.models.text_part import text_part

        inside = text_part(model)
        ends: list[Any] = [] if self.train_embeddings else [model.get_input_embeddings(), model.get_output_embeddings()]
        kept = {id(end.weight) for end in ends if end is not None}
        return sum(p.numel() for name, p in model.named_parameters() if inside(name) and id(p) not in kept)


METHOD = FullFineTuning
