"""What a method is. One method is one file in this folder that defines `METHOD`; the registry and the contract test find it there.

A method is its settings (frozen, strict). `build` makes the adapter: the trainable part, a torch module that says, once per forward
pass, which keys and values precede the text. Nothing outside this folder asks which method runs.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from polyprefix.models.head import embedding_table
from polyprefix.models.load import BaseModel
from polyprefix.prefix import AttentionHook, KVPrefix
from polyprefix.settings import Settings


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

    def generator(self) -> torch.Generator:
        """The same random numbers for the same seed, on every device."""
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


class Adapter(nn.Module):
    """The trainable part of an adapted model. Its own tensors are float32, whatever the base's precision."""

    def prefix(self, hook: AttentionHook) -> KVPrefix | None:
        """The prefix at positions -P..-1, with gradients; computed once per forward pass."""
        return None

    def tensors(self) -> dict[str, Tensor]:
        """What is saved, by name."""
        return {name: tensor.detach() for name, tensor in self.state_dict().items()}

    def load_tensors(self, tensors: dict[str, Tensor]) -> None:
        """Take over saved tensors.

        Raises:
            RuntimeError: if names or shapes differ.
        """
        self.load_state_dict(tensors)

    def trainable(self) -> list[tuple[str, nn.Parameter]]:
        """The parameters that training moves."""
        return [(name, p) for name, p in self.named_parameters() if p.requires_grad]

    def saved_as(self, method: Method) -> Method:
        """The settings that the saved tensors belong to; another parametrisation may be folded away."""
        return method

    def merge(self) -> None:
        """Fold the adapter into the base's weights for inference, where that is exact to rounding."""

    def unmerge(self) -> None:
        """Undo `merge`."""

    @property
    def merged(self) -> bool:
        """Whether it is folded in now."""
        return False


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


def tokens_of_length(base: BaseModel, text: str, length: int) -> Tensor:
    """Exactly `length` tokens of a text, repeated as often as needed, [1, P]."""
    known = base.vocabulary
    ids = [token for token in base.tokenizer(text, add_special_tokens=False)["input_ids"] if token < known] or [0]
    repeated = (ids * (length // len(ids) + 1))[:length]
    return torch.tensor([repeated], device=embedding_table(base.model).device)
