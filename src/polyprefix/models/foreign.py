"""What is checked of a model's folder before transformers reads it: it may have come from anywhere."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from polyprefix.errors import ModelError
from polyprefix.safe_files import read_bytes, read_json, require_regular
from polyprefix.terminal import UNSAFE

INDEX, PICKLED_INDEX = "model.safetensors.index.json", "pytorch_model.bin.index.json"
READ = (
    "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "vocab.json", "chat_template.jinja", "model.safetensors", INDEX, "pytorch_model.bin", PICKLED_INDEX,
)  # fmt: skip
"""Files that transformers opens where they are there."""
MOST = {
    "num_hidden_layers": 2000, "num_attention_heads": 4096, "num_key_value_heads": 4096, "hidden_size": 1 << 20,
    "head_dim": 1 << 20, "intermediate_size": 1 << 24, "vocab_size": 1 << 26,
}  # fmt: skip
"""Far more than any model has. What a config says is allocated before the weights are looked at."""


CONTROL_IN_KEY = re.compile(
    rb'\\u00(?:[01][0-9a-fA-F]|7[fF]|[89][0-9a-fA-F])[^"]{0,200}"[ \n]{0,9}:[ \n]{0,9}[^0-9 \n]'
)
"""In `tokenizer.json`, by its bytes, for it is large: tokens may hold controls, and their values are numbers."""


def check_folder(name: str, folder: Path, allow_pickle: bool) -> None:
    """Raises ModelError if a file is none that can be read, points outside of the folder, or is pickled without leave."""
    for file in READ:
        path = folder / file
        try:
            if path.exists() or path.is_symlink():
                require_regular(path)
        except OSError as error:
            raise ModelError(
                f"model '{name}': {path} cannot be read ({error.strerror}); fetch the model again"
            ) from None
    config = _object(name, folder / "config.json")
    if not config:
        raise ModelError(f"model '{name}': {folder / 'config.json'} holds nothing; fetch the model again")
    for file in ("config.json", "tokenizer_config.json", "special_tokens_map.json"):
        if (folder / file).exists() and (key := _unprintable_key(_object(name, folder / file))) is not None:
            raise ModelError(
                f"model '{name}': {folder / file} has the key {key[:40]!r}, which is no name; fetch the model again"
            )
    vocabulary = folder / "tokenizer.json"
    if vocabulary.exists() and CONTROL_IN_KEY.search(read_bytes(vocabulary, 1 << 30)):
        raise ModelError(
            f"model '{name}': {vocabulary} has a key with control characters, which is no name; fetch the model again"
        )
    for file in (INDEX, PICKLED_INDEX):
        if (folder / file).exists():
            _check_index(name, folder, folder / file)
    pickled = sorted(path.name for path in folder.glob("pytorch_model*.bin"))
    has_tensors = any(folder.glob("*.safetensors")) or (folder / INDEX).exists()
    if pickled and not has_tensors and not allow_pickle:
        raise ModelError(
            f"model '{name}': its weights are pickled ({pickled[0]}), a form that can run code; "
            "convert it to safetensors with save_pretrained, or set runtime.allow_pickle=true"
        )


def check_shape(name: str, config: Any) -> None:
    """Raises ModelError if a transformers config has sizes that no model has."""
    text = config.get_text_config()
    for key, most in MOST.items():
        value = getattr(text, key, None)
        for size in value if isinstance(value, list | tuple) else [value]:
            if size is not None and (not isinstance(size, int) or isinstance(size, bool) or not 1 <= size <= most):
                raise ModelError(
                    f"model '{name}': {key} in its config.json is {str(size)[:40]}, expected 1 to {most:,}; fetch the model again"
                )


def _check_index(name: str, folder: Path, path: Path) -> None:
    weights = _object(name, path).get("weight_map")
    files = set(weights.values()) if isinstance(weights, Mapping) and all(map(_is_text, weights.values())) else None
    if not files:
        raise ModelError(f"model '{name}': {path} has no weight_map of names and files; fetch the model again")
    for file in sorted(files):
        parts = PurePath(file.replace("\\", "/")).parts
        if PurePath(file).is_absolute() or ".." in parts or "\0" in file or ":" in file:
            raise ModelError(
                f"model '{name}': {path} names {file[:80]!r}, outside of the folder; fetch the model again"
            )
        try:
            require_regular(folder / file)
        except OSError as error:
            reason = error.strerror
            raise ModelError(
                f"model '{name}': {folder / file} cannot be read ({reason}); fetch the model again"
            ) from None


def _object(name: str, path: Path) -> dict[str, Any]:
    try:
        found = read_json(path)
    except (OSError, ValueError) as error:
        raise ModelError(f"model '{name}': {path} cannot be read ({error}); fetch the model again") from None
    if not isinstance(found, dict):
        raise ModelError(
            f"model '{name}': {path} holds {type(found).__name__}, expected an object; fetch the model again"
        )
    return found


def _unprintable_key(value: Any) -> str | None:
    """A key with control characters: libraries print unknown keys past Python, where nothing escapes them."""
    if isinstance(value, dict):
        own = next((key for key in value if UNSAFE.search(key)), None)
        return own if own is not None else _unprintable_key(list(value.values()))
    if isinstance(value, list):
        return next((found for found in map(_unprintable_key, value) if found is not None), None)
    return None


def _is_text(value: object) -> bool:
    return isinstance(value, str)
