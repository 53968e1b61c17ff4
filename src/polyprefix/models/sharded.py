"""Tensors that several processes share (FSDP's DTensor)."""

from __future__ import annotations

from torch import Tensor
from torch.distributed.tensor import DTensor


def whole(tensor: Tensor) -> Tensor:
    """A sharded tensor as a whole one, which all processes must ask for together; others as they are."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
