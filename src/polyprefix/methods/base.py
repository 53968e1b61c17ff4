"""What a method is. One method is one file or folder here that defines `METHOD`; the registry and the contract test find it there.

A method is its settings (frozen, strict), and they are known without torch: what reads a configuration, lists methods or plans a study has
no model. `build` makes the adapter (polyprefix.methods.adapter), the trainable part. Nothing outside this folder asks which method runs.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from polyprefix.settings import Settings

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel

    from polyprefix.methods.adapter import Adapter
    from polyprefix.models.load import BaseModel
    from polyprefix.prefix import AttentionHook


@dataclass(frozen=True, slots=True)
class TrainDefaults:
    """Training settings of a method, chosen on English validation data (docs/training.md)."""

    learning_rate: float
    steps: int | None = None
    """Optimiser steps of a method that has a length of its own, and a data set is passed over once in any case; 0 where nothing is trained.
    None means until validation no longer improves (polyprefix.training.length)."""
    weight_decay: float = 0.0
    inner_rate: float | None = None
    """Of plain gradient descent in the inner steps of meta-learning; None means the learning rate."""


@dataclass(frozen=True, slots=True)
class Start:
    """What initial values may be made from."""

    text: str
    """Real text, by default the task's own instruction."""
    seed: int = 0
    empty: bool = False
    """Whether values are loaded next: zeros of the right shape are then enough, and the model need not read the text."""

    def generator(self) -> torch.Generator:
        """The same random numbers for the same seed, on every device."""
        import torch

        return torch.Generator().manual_seed(self.seed)


@dataclass(frozen=True, slots=True)
class Footprint:
    """What a method adds to a forward and a backward pass, for estimates of time and memory."""

    virtual_tokens: int = 0
    """P, in each adapted layer."""
    computed: bool = False
    """Whether the virtual tokens go through the layers themselves, as those of a soft prompt do."""
    lowest_layer: int = 0
    """The lowest layer that needs gradients."""
    trains_base: bool = False
    """Whether the base's own weights are trained, in float32."""


class Method(Settings):
    """Settings of a method, and how to build its adapter."""

    name: ClassVar[str]
    title: ClassVar[str]
    source: ClassVar[str]
    defaults: ClassVar[TrainDefaults]
    changes_base: ClassVar[bool] = False
    """Whether attaching or training alters the base model's own modules, so that it can serve no other adapter."""
    trains_base_weights: ClassVar[bool] = False
    """Whether training moves the base model's own weights, so that `detach` needs a copy of them."""

    def tuned(self) -> TrainDefaults:
        """The defaults for these settings, where a variant wants others than its method."""
        return self.defaults

    def saved_as(self) -> Method:
        """The settings that saved tensors belong to; another parametrisation may be folded away (`Adapter.tensors`)."""
        return self

    @abstractmethod
    def build(self, base: BaseModel, hook: AttentionHook, start: Start) -> Adapter:
        """A new adapter with its initial values."""

    def footprint(self, layers: int) -> Footprint:
        """Its costs beside those of the trained parameters, in a model of so many layers."""
        return Footprint()

    def stored_bytes(self, model: PreTrainedModel, itemsize: int) -> int:
        """Bytes that wait for the backward pass because of the method, a token, in all layers; those of the frozen model are not among them.

        Args:
            model: it may be on the meta device.
            itemsize: bytes of a value of the hidden states.
        """
        return 0

    @abstractmethod
    def parameters(self, model: PreTrainedModel) -> int:
        """The number of trained parameters by closed formula; the model may be on the meta device."""
