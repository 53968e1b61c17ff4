"""Content as identity: SHA-256 over the files that decide what a model or an adapter computes.

A path says nothing: weights are replaced, tokenizers edited. Each file is read once and remembered by its path, size and time of change
(polyprefix.models.cache), so that a model of any size is known in milliseconds afterwards.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from polyprefix.adapter_place import find_adapter
from polyprefix.config import RunConfig
from polyprefix.errors import ConfigError
from polyprefix.models import embedded
from polyprefix.models.cache import remembered_sha256

MODEL = (
    "*.safetensors", "*.safetensors.index.json", "pytorch_model*.bin", "config.json", "tokenizer*", "special_tokens_map.json",
    "added_tokens.json", "vocab.*", "merges.txt", "*.model", "*.jinja", "*.tiktoken", "generation_config.json",
)  # fmt: skip
"""Files of a model folder that decide what is computed; those of generation say which tokens end an answer."""
ADAPTER = ("adapter*.safetensors", "adapter*.json", "adapter*.bin")
LENGTH = 16
"""Hexadecimal digits that are kept: 64 bits tell any two models of a user apart."""


def digest_of(files: Iterable[Path]) -> str:
    """The digest of files by their names and contents, in hexadecimal.

    Raises:
        OSError: if one cannot be read.
    """
    found = sorted(files, key=lambda path: path.name)
    with ThreadPoolExecutor() as pool:  # hashing releases the interpreter
        digests = list(pool.map(remembered_sha256, found))
    whole = "\n".join(f"{path.name} {digest}" for path, digest in zip(found, digests, strict=True))
    return hashlib.sha256(whole.encode()).hexdigest()


def digest_of_folder(folder: Path, patterns: Iterable[str]) -> str:
    """The digest of the files of a folder whose names match; subfolders are left out."""
    return digest_of({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})


def digest_of_model(name: str) -> str | None:
    """The digest of a folder or a GGUF file; None of what has a name for its content, embedded models and ids of the Hub."""
    path = Path(name).expanduser()
    if name in embedded.EMBEDDED:
        return None
    if name and path.is_dir():
        return digest_of_folder(path, MODEL)[:LENGTH]
    return remembered_sha256(path)[:LENGTH] if path.is_file() else None


def with_digests(config: RunConfig) -> RunConfig:
    """The configuration with the digests of its model and its adapter, so that other weights make another run.

    Raises:
        ConfigError: if the configuration was made with other weights.
    """
    found = {"model_digest": digest_of_model(config.model), "adapter_digest": None}
    if config.adapter is not None:
        folder = find_adapter(config.adapter)
        found["adapter_digest"] = digest_of_folder(folder, ADAPTER)[:LENGTH] if folder.is_dir() else None
    for key, digest in found.items():
        kept, what = getattr(config, key), key.removesuffix("_digest")
        if kept is not None and digest is not None and kept != digest:
            raise ConfigError(
                f"{what} '{getattr(config, what)}': its weights are not those of this configuration ({key} {kept}, now {digest}); "
                f"restore them, or leave '{key}' out for a new run"
            )
    return config.model_copy(update={key: digest or getattr(config, key) for key, digest in found.items()})
