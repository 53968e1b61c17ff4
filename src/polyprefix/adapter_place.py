"""Where an adapter lies: the one answer for whoever reads adapters, their settings, or their digest."""

from __future__ import annotations

from pathlib import Path

TENSORS, SETTINGS = "adapter.safetensors", "adapter.json"
PEFT_SETTINGS = "adapter_config.json"
"""What PEFT calls the file of its settings."""


def find_adapter(path: str | Path) -> Path:
    """The folder of an adapter, wherever somebody points to it.

    Args:
        path: the folder itself, ours or PEFT's; the folder of a run, which holds it as `adapter`; or a file of either, such as
            `result.json` or `adapter.safetensors`.
    """
    path = Path(path).expanduser()
    if path.is_file():
        path = path.parent
    inside = path / "adapter"
    return inside if inside.is_dir() and not (path / SETTINGS).exists() else path


def is_peft(folder: Path) -> bool:
    """Whether PEFT wrote the adapter in a folder."""
    return not (folder / SETTINGS).exists() and (folder / PEFT_SETTINGS).is_file()
