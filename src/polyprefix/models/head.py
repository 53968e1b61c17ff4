"""Both ends of a language model: the table of embeddings, and the head, called with what it computes fast on."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 1 << 26
"""Logits in one batch: 256 MB in float32. A vocabulary of 262,144 allows 256 rows."""


def keep_contiguous(model: Any) -> None:
    """Give the head contiguous hidden states.

    A slice of the last positions is not contiguous, and `F.linear` then falls back to a batched product that copies the head's
    weight for every row: seconds instead of hundredths for a large vocabulary.
    """
    head = model.get_output_embeddings()
    if head is not None and not getattr(head, "_polyprefix_contiguous", False):
        head.register_forward_pre_hook(lambda module, args: (args[0].contiguous(), *args[1:]))
        head._polyprefix_contiguous = True


def most_rows(model: Any, positions: int) -> int:
    """How many rows may be scored together when each needs logits at so many positions."""
    return max(1, LARGEST // (positions * embedding_table(model).shape[0]))


def embedding_table(model: Any) -> Tensor:
    """The input embeddings' weight, [V, D]; its device and precision are those of the hidden states."""
    table: Tensor = model.get_input_embeddings().weight
    return table
