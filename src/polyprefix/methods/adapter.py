"""The trainable part of a method: a torch module that says, once per forward pass, which keys and values precede the text."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from polyprefix.models.head import embedding_table
from polyprefix.models.load import BaseModel
from polyprefix.prefix import AttentionHook, KVPrefix


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

    def merge(self) -> None:
        """Fold the adapter into the base's weights for inference, where that is exact to rounding."""

    def unmerge(self) -> None:
        """Undo `merge`."""

    @property
    def merged(self) -> bool:
        """Whether it is folded in now."""
        return False


def empty_states(hook: AttentionHook, layers: Iterable[int], length: int) -> dict[int, Tensor]:
    """Zeros in place of hidden states that are loaded next, layer -> [1, P, D]."""
    return {i: torch.zeros(1, length, hook.width, dtype=torch.float32, device=hook.device_of(i)) for i in layers}


def tokens_of_length(base: BaseModel, text: str, length: int) -> Tensor:
    """Exactly `length` tokens of a text, repeated as often as needed, [1, P]."""
    known = base.vocabulary
    ids = [token for token in base.tokenizer(text, add_special_tokens=False)["input_ids"] if token < known] or [0]
    repeated = (ids * (length // len(ids) + 1))[:length]
    return torch.tensor([repeated], device=embedding_table(base.model).device)
