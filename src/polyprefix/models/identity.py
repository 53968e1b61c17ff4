"""Which model this is, whatever it is called and in whatever precision it was loaded."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyprefix.models.cache import remembered

if TYPE_CHECKING:
    from torch import Tensor

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
    """Of shape and some input embeddings: what adapters of earlier versions remember."""
    weights: str | None = None
    """Of all weights, equal in float32 and in bfloat16; None in what earlier versions wrote."""

    @classmethod
    def read(cls, saved: Mapping[str, Any]) -> ModelIdentity:
        """What a file says, which may be of an earlier version."""
        texts = (str(saved.get(key) or "") for key in ("name", "architecture", "fingerprint"))
        name, architecture, known = texts
        return cls(name, saved.get("revision"), architecture, known, saved.get("weights"))

    def same_as(self, other: ModelIdentity) -> bool:
        """Whether both are one model, by all that both know of it."""
        if self.weights and other.weights:
            return self.weights == other.weights
        return self.fingerprint == other.fingerprint


def identify(name: str, revision: str | None, model: Any, files: Sequence[Path] = ()) -> ModelIdentity:
    """The identity of a loaded transformers model.

    Args:
        files: the safetensors files that it was loaded from: the weights as they are there, before any is quantised.
    """
    if files:
        weights = remembered("weights", sorted(files), lambda: weights_digest(_tensors(files)))
    else:
        weights = weights_digest(model.state_dict(keep_vars=True).values())
    return ModelIdentity(name, revision, type(model).__name__, fingerprint(model), weights)


def weights_digest(tensors: Iterable[Tensor]) -> str:
    """SHA-256 over a set of tensors, in hexadecimal; floating-point ones are rounded to bfloat16.

    Neither names nor order count, and equal tensors count once: a tied head may be stored or not.
    """
    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter
        digests = set(pool.map(_tensor_digest, tensors))
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def _tensor_digest(tensor: Tensor) -> str:
    import torch

    value = tensor.detach()
    if value.is_floating_point() and value.element_size() > 1:
        value = value.to(torch.bfloat16)
    digest = hashlib.sha256(str(tuple(value.shape)).encode())
    digest.update(value.cpu().contiguous().reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()


def _tensors(files: Iterable[Path]) -> Iterator[Tensor]:
    from safetensors import safe_open

    for path in files:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  no mapping
                yield file.get_tensor(name)


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
