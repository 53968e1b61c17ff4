"""A trained model as a plain folder of transformers: full fine-tuning as it is, LoRA and its kin merged into the weights.

The folder needs nothing of polyprefix or PEFT: `AutoModelForCausalLM.from_pretrained` reads it. Weights are float32, in which a merged
update is exact to rounding; half precision would lose small updates. Load it with `dtype=torch.bfloat16` to round them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import Tensor

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.atomic import output_errors
from polyprefix.errors import AdapterError

BASE = ".base_layer."
"""In the names of weights that PEFT's layers are put around."""


@torch.no_grad()
def to_transformers(model: AdaptedModel, path: str | Path) -> Path:
    """Write the model with its tokenizer and generation settings; the adapted model stays as it is.

    Raises:
        AdapterError: if the adapter is keys and values before the text, which no weights are, or the base model is not in float32.
        OutputError: if the folder cannot be written.
    """
    folder = Path(path)
    if model.adapter.prefix(model.hook) is not None:
        raise AdapterError(
            f"'{model.method.name}' makes keys and values before the text, and no weights of a model hold those; export kv-cache or peft"
        )
    if wrong := {str(p.dtype).removeprefix("torch.") for p in model.model.parameters()} - {"float32"}:
        raise AdapterError(
            f"{model.base.name} is loaded in {', '.join(sorted(wrong))}, in which merged updates would be lost; load it in float32"
        )
    before = model.adapter.merged
    model.adapter.merge()
    try:
        _check_merged(model)
        weights = _plain(model.model.state_dict())
        attention = model.model.config._attn_implementation
        with output_errors(folder):
            model.model.save_pretrained(folder, state_dict=weights)
            model.base.tokenizer.save_pretrained(folder)
        model.model.config._attn_implementation = attention
    finally:
        if not before:
            model.adapter.unmerge()
    return folder


def _plain(weights: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights by the base model's own names, without those of PEFT's layers."""
    around = {name.partition(BASE)[0] for name in weights if BASE in name}
    own = {name.partition(BASE)[0] + "." + name.partition(BASE)[2]: w for name, w in weights.items() if BASE in name}
    return {name: w for name, w in weights.items() if not any(name.startswith(f"{layer}.") for layer in around)} | own


def _check_merged(model: AdaptedModel) -> None:
    layers = [module for module in model.model.modules() if isinstance(module, BaseTunerLayer)]
    if not all(layer.merged for layer in layers):
        raise AdapterError(
            f"'{model.method.name}' adapts weights that cannot be merged here, such as those of fused experts; export peft"
        )
