"""The folder that PEFT saves: `adapter_config.json` and `adapter_model.safetensors` (once `.bin`)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from polyprefix.atomic import output_errors, write_text, writing
from polyprefix.errors import AdapterError, first_line
from polyprefix.safe_files import read_json, require_regular

MOST_LENGTH = 16_384
"""Of lengths, ranks and layers, as in the settings of our methods."""
TYPES: dict[str, tuple[type, ...]] = {
    "base_model_name_or_path": (str,), "r": (int,), "lora_alpha": (int, float), "lora_dropout": (int, float),
    "use_dora": (bool,), "use_rslora": (bool,), "num_virtual_tokens": (int,), "adapter_len": (int,), "adapter_layers": (int,),
    "prefix_projection": (bool,), "init_lora_weights": (bool, str), "token_dim": (int,), "num_layers": (int,),
    "num_attention_heads": (int,), "prompt_tuning_init": (str,), "prompt_tuning_init_text": (str,),
}  # fmt: skip
"""Of PEFT's settings, where they are given."""
CONFIG, TENSORS, PICKLED = "adapter_config.json", "adapter_model.safetensors", "adapter_model.bin"


@dataclass(frozen=True, slots=True)
class Saved:
    """What such a folder holds."""

    config: dict[str, Any]
    tensors: dict[str, Tensor]
    folder: Path = Path()
    """Where it was read from."""

    def number(self, key: str) -> int:
        """A setting that must be a positive whole number.

        Raises:
            AdapterError: if it is missing or anything else.
        """
        value = self.config.get(key)
        if not isinstance(value, int) or not 1 <= value <= MOST_LENGTH:
            where = self.folder / CONFIG
            raise AdapterError(
                f"{where}: {key} is {value!r}, not a number from 1 to {MOST_LENGTH:,}; save the adapter again"
            )
        return value

    def misfit(self, found: str, expected: str) -> AdapterError:
        """The error for tensors that do not fit the base model or the settings."""
        return AdapterError(
            f"{self.folder}: {found}, expected {expected}; give the base model that the adapter was trained on, "
            "or save it again"
        )


def write(folder: Path, saved: Saved, base: str) -> Path:
    """Write both files; the settings come last, so that a folder cut short is never taken for an adapter.

    Args:
        folder: made if it is not there.
        saved: a complete configuration, and tensors by PEFT's names.
        base: the base model's name, for the record.

    Raises:
        OutputError: if the folder cannot be written.
    """
    tensors = {name: tensor.detach().contiguous().clone().cpu() for name, tensor in saved.tensors.items()}
    config = {**saved.config, "base_model_name_or_path": base, "inference_mode": True}
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / CONFIG).unlink(missing_ok=True)
    with writing(folder / TENSORS) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
    write_text(folder / CONFIG, json.dumps(config, indent=2, sort_keys=True, default=_plain) + "\n")
    return folder


def read(folder: Path, *, allow_pickle: bool = False) -> Saved:
    """Read both files.

    Args:
        allow_pickle: also tensors in pickled form, with torch's loader for weights only.

    Raises:
        AdapterError: if one is missing or damaged, or tensors are pickled and that is not allowed.
    """
    try:
        config = read_json(folder / CONFIG)
    except (FileNotFoundError, NotADirectoryError):
        raise AdapterError(f"{folder}: no {CONFIG} there; give a folder that PEFT's save_pretrained wrote") from None
    except (OSError, ValueError) as error:
        raise AdapterError(f"{folder / CONFIG}: damaged ({_line(error)}); save the adapter again") from None
    if not isinstance(config, dict) or not isinstance(config.get("peft_type"), str):
        raise AdapterError(f"{folder / CONFIG}: names no peft_type; give a folder that PEFT's save_pretrained wrote")
    _check_types(config, folder / CONFIG)
    path = folder / TENSORS if (folder / TENSORS).exists() else folder / PICKLED
    try:
        require_regular(path)
        if path.name == PICKLED and not allow_pickle:
            raise AdapterError(
                f"{path}: pickled, a form that can run code; save the adapter as {TENSORS}, or allow it with --allow-pickle"
            )
        tensors = load_file(path) if path.name == TENSORS else torch.load(path, map_location="cpu", weights_only=True)
    except FileNotFoundError:
        raise AdapterError(f"{folder}: no {TENSORS} there; copy it next to {CONFIG}") from None
    except AdapterError:
        raise
    except Exception as error:  # a damaged archive of torch raises anything
        raise AdapterError(f"{path}: damaged ({_line(error)}); save the adapter again") from None
    if not isinstance(tensors, dict) or not all(isinstance(value, Tensor) for value in tensors.values()):
        raise AdapterError(f"{path}: holds something other than tensors by name; save the adapter again")
    return Saved(config, tensors, folder)


def _check_types(config: dict[str, Any], path: Path) -> None:
    """The settings that converters read have the types that PEFT writes.

    Raises:
        AdapterError: if not.
    """
    for key, kinds in TYPES.items():
        value = config.get(key)
        if value is not None and (not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)):
            raise AdapterError(f"{path}: {key} is {type(value).__name__} ({str(value)[:40]!r}); save the adapter again")


def only_tensor(saved: Saved, name: str) -> Tensor:
    """The one tensor of a prompt or a prefix, in float32.

    Raises:
        AdapterError: if it is missing, or not alone.
    """
    if set(saved.tensors) != {name}:
        raise saved.misfit(f"tensors {sorted(saved.tensors)[:3]}", f"'{name}' alone")
    return saved.tensors[name].float()


def _plain(value: Any) -> Any:
    """PEFT's settings hold sets."""
    if isinstance(value, set):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} is not JSON")


def _line(error: Exception) -> str:
    return first_line(error)
