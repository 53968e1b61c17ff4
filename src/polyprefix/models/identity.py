"""Which model this is, whatever it is called and in whatever precision it was loaded."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

SHAPE = (
    "model_type", "vocab_size", "hidden_size", "intermediate_size",
    "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "head_dim",
)  # fmt: skip
ROWS = 64


@dataclass(frozen=True, slots=True)
class ModelIdentity:
    """What an adapter remembers of its base model."""

    name: str
    """As it was asked for."""
    revision: str | None
    """The commit of the Hub, or `sha256:` and the digest of a GGUF file; None for a folder."""
    architecture: str
    """The class in transformers, such as `Gemma3ForCausalLM`."""
    fingerprint: str
    """Equal for equal models, in float32 and in bfloat16 alike."""


def identify(name: str, revision: str | None, model: Any) -> ModelIdentity:
    """The identity of a loaded transformers model."""
    return ModelIdentity(name, revision, type(model).__name__, fingerprint(model))


def fingerprint(model: Any) -> str:
    """SHA-256 over the shape of a model and some rows of its input embeddings, in hexadecimal.

    Rows are rounded to bfloat16, so that it is the same for float32 and bfloat16. Their ids lie closer together at the
    beginning of the vocabulary, where frequent tokens are: those move when a model is tuned further.
    """
    import torch

    config = model.config.get_text_config()
    shape = {key: getattr(config, key, None) for key in SHAPE}
    weight = model.get_input_embeddings().weight.detach()
    V = weight.shape[0]
    ids = torch.unique(torch.logspace(0, 1, ROWS, base=float(V), dtype=torch.float64).round().long().clamp(max=V) - 1)
    rows = weight[ids.to(weight.device)].to(torch.bfloat16).cpu().contiguous().view(torch.int16).numpy()
    digest = hashlib.sha256(json.dumps([type(model).__name__, shape], sort_keys=True).encode())
    digest.update(rows.astype("<i2").tobytes())
    return digest.hexdigest()
