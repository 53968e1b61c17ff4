"""Adapters on disk: `adapter.safetensors` and `adapter.json`, nothing that runs code.

An adapter carries the identity of the base model that it was trained on; another base would accept its tensors in silence and write
gibberish, so it is refused unless forced.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.saved import FORMAT, SETTINGS, TENSORS, find_adapter, read_settings
from polyprefix.atomic import output_errors, write_text, writing
from polyprefix.errors import AdapterError, ConfigError, first_line
from polyprefix.models.identity import ModelIdentity
from polyprefix.models.load import BaseModel
from polyprefix.models.sharded import whole
from polyprefix.safe_files import require_regular

__all__ = ["FORMAT", "SETTINGS", "TENSORS", "find_adapter", "load_adapter", "read_settings", "save_adapter"]


def save_adapter(
    model: AdaptedModel, path: str | Path, *, task: Mapping[str, Any] | None = None, write: bool = True
) -> Path:
    """Write the adapter into a folder; the settings come last, so that a folder cut short is never taken for an adapter.

    Args:
        task: what it learned, as plain values, so that it can be asked where nothing but its folder is; None means
            `model.learned`.
        write: of several processes that hold sharded tensors, all merge them together and one writes.

    Raises:
        OutputError: if the folder cannot be written.
    """
    folder = Path(path)
    method = model.method.saved_as()
    settings = {
        "format": FORMAT,
        "method": {"name": method.name, **method.model_dump(mode="json")},
        "trained_as": {"name": method.name, **model.method.model_dump(mode="json")},
        "base": asdict(model.base.identity),
        **({"task": dict(task)} if (task := task or model.learned) else {}),
    }
    tensors = {name: whole(t).contiguous().clone().cpu() for name, t in model.adapter.tensors().items()}
    if not write:
        return folder
    with output_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        (folder / SETTINGS).unlink(missing_ok=True)
    with writing(folder / TENSORS) as temporary:
        _save(tensors, temporary)
    write_text(folder / SETTINGS, json.dumps(settings, indent=2) + "\n")
    return folder


def load_adapter(base: BaseModel, path: str | Path, *, force: bool = False, restorable: bool = True) -> AdaptedModel:
    """Attach a saved adapter.

    Args:
        base: the model that it was trained on.
        path: the folder of the adapter or of its run, or a file in one of them.
        force: also onto another base model.
        restorable: as for `attach`.

    Raises:
        AdapterError: if the folder holds no adapter, is damaged, or belongs to another base model (unless `force`).
    """
    folder = find_adapter(Path(path))
    settings = read_settings(folder)
    saved = settings["base"]
    trained_on = ModelIdentity.read(saved)
    if not base.identity.same_as(trained_on) and not force:
        other = "other weights of that name" if trained_on.name == base.name else base.name
        raise AdapterError(
            f"{folder}: trained on {trained_on.name} ({trained_on.architecture}), not on {other}; load that model, or force it"
        )
    try:
        method = registry.build(settings["method"])
    except ConfigError as error:
        raise AdapterError(f"{folder / SETTINGS}: {error}; update polyprefix, or export it again") from None
    try:
        require_regular(folder / TENSORS)
    except OSError as error:
        raise AdapterError(f"{folder / TENSORS}: cannot be read ({error.strerror}); export it again") from None
    model = attach(base, method, restorable=restorable, empty=True)
    model.learned = settings.get("task")
    try:
        model.adapter.load_tensors({name: t.to(model.device) for name, t in load_file(folder / TENSORS).items()})
    except (SafetensorError, RuntimeError, OSError, LookupError, AttributeError, TypeError, ValueError) as error:
        raise AdapterError(
            f"{folder / TENSORS}: does not fit its settings ({first_line(error)}); export it again"
        ) from None
    return model


def _save(tensors: dict[str, Tensor], path: Path) -> None:
    path.touch()
    mode = path.stat().st_mode
    try:
        save_file(tensors, path)
        path.chmod(mode)  # safetensors lets nobody else read its files
    except SafetensorError as error:  # it wraps what the system said
        raise OSError(errno.ENOSPC if "os error 28" in str(error) else errno.EIO, str(error)) from error
