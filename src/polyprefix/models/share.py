"""A second model of the same weights: modules of its own, for adapters that put theirs in place of some, and no memory for the rest."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

from torch import nn

from polyprefix.models.load import BaseModel


def sharing_weights(base: BaseModel) -> BaseModel:
    """A base model whose modules are copies and whose weights are those of another.

    Each weight is a parameter of its own over the same memory, so that flags and replaced data of one model are not seen by the other.
    Nothing may write into the memory. Quantised weights are the same objects.

    Args:
        base: without adapters; a copied hook would belong to the other model.

    Raises:
        ValueError: if an adapter is attached.
    """
    if "_polyprefix_hook" in base.model.__dict__:
        raise ValueError(f"{base.name}: copy it before an adapter is attached")
    memo: dict[int, Any] = {}
    for parameter in base.model.parameters():
        plain = type(parameter) is nn.Parameter
        memo[id(parameter)] = nn.Parameter(parameter.data, requires_grad=False) if plain else parameter
    return replace(base, model=copy.deepcopy(base.model, memo))
