"""No adaptation: the base model reads the same prompt, zero-shot. The line that every method must beat."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from polyprefix.methods.base import Footprint, Method, Start, TrainDefaults

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from polyprefix.methods.adapter import Adapter
    from polyprefix.models.load import BaseModel
    from polyprefix.prefix import AttentionHook


class NoAdapter(Method):
    """The base model as it is."""

    name: ClassVar[str] = "none"
    title: ClassVar[str] = "the base model, nothing trained"
    source: ClassVar[str] = "-"
    defaults: ClassVar[TrainDefaults] = TrainDefaults(learning_rate=0.0, steps=0)

    def build(self, base: BaseModel, hook: AttentionHook, start: Start) -> Adapter:
        """An adapter without parameters."""
        from polyprefix.methods.adapter import Adapter

        return Adapter()

    def footprint(self, layers: int) -> Footprint:
        """Every layer lies below what is adapted, which is nothing."""
        return Footprint(lowest_layer=layers)

    def parameters(self, model: PreTrainedModel) -> int:
        """None."""
        return 0


METHOD = NoAdapter
