"""The shapes of models, without their weights: shapes.json holds the facts of published config.json files, others are read on the spot."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from polyprefix.errors import ModelError
from polyprefix.models.shape import ModelShape

FILE = Path(__file__).with_name("shapes.json")


@cache
def meta_model(name: str) -> Any:
    """The model on torch's meta device: modules and shapes, no weights.

    Raises:
        ModelError: if neither we nor a folder nor the local cache of the Hub know its config.json.
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    known: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8")).get(name, {})
    try:
        config: Any = (
            AutoConfig.for_model(**known) if known else AutoConfig.from_pretrained(name, local_files_only=True)
        )
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"model '{name}': its shape is not known here ({reason}); fetch its config.json first"
        ) from None
    with torch.device("meta"):
        return AutoModelForCausalLM.from_config(config.get_text_config(), attn_implementation="eager")


@cache
def shape(name: str) -> ModelShape:
    """The shape of a model.

    Raises:
        ModelError: see `meta_model`.
    """
    return ModelShape.of(meta_model(name))


@cache
def norm_width(name: str) -> int:
    """Values that the norms of one layer read of a token: those of hidden states, and of queries and keys where these have norms.

    Raises:
        ModelError: see `meta_model`.
    """
    model, s = meta_model(name), shape(name)
    norms = {key: m for key, m in model.named_modules() if "norm" in type(m).__name__.lower() and ".0." in key}
    heads = {"q_norm": s.H, "k_norm": s.G}
    return sum(m.weight.numel() * heads.get(key.rpartition(".")[2], 1) for key, m in norms.items())


@cache
def parameters(name: str) -> int:
    """Of a whole model.

    Raises:
        ModelError: see `meta_model`.
    """
    return sum(parameter.numel() for parameter in meta_model(name).parameters())
