"""LoRA: a trained low-rank product beside chosen weights. arXiv 2106.09685; DoRA 2402.09353; rsLoRA 2312.03732. Through PEFT.

W x + (alpha / r) B A x,  A [r, in] random, B [out, r] zero: training begins at the base model    r (in + out) a weight, with DoRA + out

Merged into float32 weights for evaluation, where rounding is 1e-7; beside half-precision and quantised weights it stays apart. It cannot
share a base model with another adapter in the same process, since it changes the base's own modules.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from polyprefix.methods.base import Method, Start, TrainDefaults

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from polyprefix.methods.adapter import Adapter
    from polyprefix.models.load import BaseModel
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
        from polyprefix.methods.lora.adapter import build

        return build(self, base, start)

    def parameters(self, model: PreTrainedModel) -> int:
        """r (in + out) a weight, and with DoRA a magnitude for each output."""
        from polyprefix.methods.lora.targets import parameters

        return parameters(self, model)

    def stored_bytes(self, model: PreTrainedModel, itemsize: int) -> int:
        """The input of each adapted weight, in float32, and what A makes of it."""
        from polyprefix.methods.lora.targets import adapted

        return 4 * sum(module.in_features + self.rank for module in adapted(self, model))


METHOD = LoRA
