"""Quantised base models: frozen weights in 4 or 8 bits, the adapter and its gradients in float32 beside them.

4bit    NF4 with double quantisation, arXiv 2305.14314 (QLoRA)      8bit    LLM.int8(), arXiv 2208.07339

Both through transformers and bitsandbytes, while loading. A checkpoint that is quantised already (bitsandbytes, GPTQ,
AWQ, ...) loads as it is, if its library is there. Embeddings, norms and the head keep their precision, so the fingerprint
is that of the model in full precision, and adapters fit both.
"""

from __future__ import annotations

import importlib.util
import logging
from typing import TYPE_CHECKING, Any, Literal, get_args

from polyprefix.errors import ConfigError, ModelError, nearest

if TYPE_CHECKING:
    import torch

Quantize = Literal["none", "4bit", "8bit"]
INSTALL = "pip install 'polyprefix[quantized]'"


def choose_quantization(wanted: str, name: str, config: Any, dtype: torch.dtype) -> dict[str, Any]:
    """Keyword arguments of `from_pretrained`: none, or how to quantise the weights while it reads them.

    Args:
        wanted: `none`, `4bit` or `8bit`.
        name: the model's, for messages.
        config: the model's, from transformers.
        dtype: the precision in which 4-bit weights are multiplied.

    Raises:
        ConfigError: if `wanted` is something else.
        ModelError: if bitsandbytes is needed and missing, or if the checkpoint is quantised already.
    """
    if wanted not in get_args(Quantize):
        raise ConfigError(f"quantize '{wanted}': unknown, {nearest(wanted, get_args(Quantize))}")
    already = _method(config)
    if wanted == "none":
        if already == "bitsandbytes":
            _require(name)
        return {}
    if already:
        raise ModelError(f"model '{name}': quantised already ({already}); leave runtime.quantize at none")
    _require(name)
    from transformers import BitsAndBytesConfig

    if wanted == "8bit":
        # it says at every product that inputs are rounded to 16 bits, which is what LLM.int8() does
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        return {"quantization_config": BitsAndBytesConfig(load_in_8bit=True)}
    return {
        "quantization_config": BitsAndBytesConfig(
            load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_use_double_quant=True, bnb_4bit_compute_dtype=dtype
        )
    }


def is_quantized(model: Any) -> bool:
    """Whether a loaded transformers model has quantised weights, which cannot be trained themselves."""
    return bool(getattr(model, "is_quantized", False))


def _method(config: Any) -> str | None:
    """The quantisation that a checkpoint says it has."""
    settings = getattr(config, "quantization_config", None)
    if not settings:
        return None
    found = settings.get("quant_method") if isinstance(settings, dict) else getattr(settings, "quant_method", None)
    return str(getattr(found, "value", found) or "unknown")


def _require(name: str) -> None:
    if importlib.util.find_spec("bitsandbytes") is None:
        raise ModelError(f"model '{name}': weights in 4 or 8 bits need bitsandbytes; run: {INSTALL}")
