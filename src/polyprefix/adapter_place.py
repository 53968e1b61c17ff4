"""Where an adapter lies: the one answer for whoever reads adapters, their settings, or their digest."""

from __future__ import annotations

import os
import re
from pathlib import Path

from polyprefix.errors import AdapterError, first_line
from polyprefix.network import hub_answers

REPOSITORY = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
"""An id of the Hub: `organisation/name`."""
TENSORS, SETTINGS = "adapter.safetensors", "adapter.json"
PEFT_TENSORS, PEFT_SETTINGS = "adapter_model.safetensors", "adapter_config.json"
"""What PEFT calls its files."""


def find_adapter(path: str | Path) -> Path:
    """The folder of an adapter, wherever somebody points to it.

    Args:
        path: the folder itself, ours or PEFT's; the folder of a run, which holds it as `adapter`; or a file of either, such as
            `result.json` or `adapter.safetensors`. Where there is no such path, an id of the Hub, whose files are fetched.

    Raises:
        AdapterError: if the Hub answers, and has no such repository.
    """
    name, path = str(path), Path(path).expanduser()
    if not path.exists() and REPOSITORY.fullmatch(name):
        path = _fetched(name) or path
    if path.is_file():
        path = path.parent
    inside = path / "adapter"
    return inside if inside.is_dir() and not (path / SETTINGS).exists() else path


def _fetched(name: str) -> Path | None:
    """The folder of a repository's adapter in the cache of the Hub, where what was fetched before serves without a network; None where
    the Hub does not answer and nothing was fetched."""
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    wanted = [SETTINGS, TENSORS, PEFT_SETTINGS, PEFT_TENSORS]  # nothing pickled
    try:
        found = snapshot_download(
            name, allow_patterns=wanted, endpoint=os.environ.get("HF_ENDPOINT"), local_files_only=not hub_answers()
        )
    except LocalEntryNotFoundError:
        return None
    except (HfHubHTTPError, ValueError, OSError) as error:
        raise AdapterError(
            f"{name}: no such folder, and not on the Hub, or not open to you ({first_line(error)}); check the name"
        ) from error
    return Path(found)


def is_peft(folder: Path) -> bool:
    """Whether PEFT wrote the adapter in a folder."""
    return not (folder / SETTINGS).exists() and (folder / PEFT_SETTINGS).is_file()
