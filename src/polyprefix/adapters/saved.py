"""What a saved adapter says of itself, read without torch: where it is, and what `adapter.json` holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from polyprefix.adapter_place import SETTINGS, TENSORS, find_adapter, is_peft
from polyprefix.errors import AdapterError
from polyprefix.safe_files import read_json

__all__ = ["FORMAT", "SETTINGS", "TENSORS", "find_adapter", "is_peft", "read_settings"]

FORMAT = 1
MOST_NAME = 4096
"""Characters of the name of a base model, which may be a path."""


def read_settings(folder: Path) -> dict[str, Any]:
    """The contents of `adapter.json`.

    Raises:
        AdapterError: if it is missing, damaged, or of a later format.
    """
    try:
        settings = read_json(folder / SETTINGS)
        if isinstance(settings, dict) and isinstance(settings.get("format"), int) and settings["format"] > FORMAT:
            raise AdapterError(
                f"{folder / SETTINGS}: format {settings['format']} is newer than {FORMAT}; update polyprefix"
            )
        _check(settings)
    except (FileNotFoundError, NotADirectoryError):
        raise AdapterError(f"{folder}: no {SETTINGS} there; give the 'adapter' folder of a finished run") from None
    except (OSError, ValueError) as error:
        raise AdapterError(f"{folder / SETTINGS}: damaged ({error}); train or export it again") from None
    return settings


def _check(settings: Any) -> None:
    """What is read of it has the types that it is read with; what a method's settings may be, the method says.

    Raises:
        ValueError: if not.
    """
    if not isinstance(settings, dict):
        raise ValueError(f"found {type(settings).__name__}, expected an object")
    wanted: dict[str, Any] = {"format": int, "base": dict, "method": dict}
    for key, kind in wanted.items():
        if not isinstance(settings.get(key), kind) or isinstance(settings[key], bool):
            raise ValueError(f"'{key}' is {type(settings.get(key)).__name__}, expected {kind.__name__}")
    base, method, task = settings["base"], settings["method"], settings.get("task")
    for where, values, names in (("base", base, ("name", "fingerprint")), ("method", method, ("name",))):
        for name in names:
            if not isinstance(values.get(name), str):
                raise ValueError(f"'{where}.{name}' is {type(values.get(name)).__name__}, expected text")
    if "\0" in base["name"] or len(base["name"]) > MOST_NAME:
        raise ValueError("'base.name' is no name of a model")
    for name in ("revision", "architecture", "weights"):
        if not isinstance(base.get(name), str | None):
            raise ValueError(f"'base.{name}' is {type(base[name]).__name__}, expected text")
    if task is None:
        return
    if not isinstance(task, dict):
        raise ValueError(f"'task' is {type(task).__name__}, expected an object")
    for name in ("name", "protocol", "shots"):
        if not isinstance(task.get(name, ""), str):
            raise ValueError(f"'task.{name}' is {type(task[name]).__name__}, expected text")
    for name in ("source_languages", "target_languages"):
        if not isinstance(task.get(name, []), list) or not all(isinstance(code, str) for code in task.get(name, [])):
            raise ValueError(f"'task.{name}' is {task[name]!r}, expected a list of languages")
    if not isinstance(task.get("definition", {}), dict):
        raise ValueError(f"'task.definition' is {type(task['definition']).__name__}, expected an object")
