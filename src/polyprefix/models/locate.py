"""What a model's name means: an embedded model, a GGUF file, a folder, or an id of the Hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from polyprefix.errors import ModelError, nearest
from polyprefix.models import embedded, gguf

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")


@dataclass(frozen=True, slots=True)
class Place:
    """Where transformers finds a model."""

    where: str
    """A folder, or an id of the Hub."""
    kind: str
    """`converted` (from GGUF, in our cache), `folder` or `hub`."""
    revision: str | None = None
    """`sha256:` and the digest of a GGUF file."""


def locate(name: str) -> Place:
    """Where a model lies; GGUF files are converted on the way.

    A folder or file comes before an id of the Hub with the same name.

    Raises:
        ModelError: if the name means nothing, or two things.
        OutputError: if a GGUF file has to be converted and the cache cannot be written.
    """
    path = Path(name).expanduser()
    if known := embedded.EMBEDDED.get(name):
        if path.exists():
            raise ModelError(
                f"model '{name}': both an embedded model and a path here; write './{name}' for the path, or rename it"
            )
        return Place(str(embedded.folder_of(known)), "converted", f"sha256:{known.sha256}")
    if name and path.is_dir():
        return _folder(name, path)
    if path.is_file() or path.suffix.lower() == ".gguf":
        folder, digest = gguf.converted(path)
        return Place(str(folder), "converted", f"sha256:{digest}")
    if not HUB_ID.fullmatch(name):
        raise ModelError(f"model '{name}': no such folder or file, and no id of the Hub; {advice(name)}")
    return Place(name, "hub")


def check_name(name: str) -> None:
    """Raises ModelError if a name can mean no model; nothing is read or converted."""
    path = Path(name).expanduser()
    if name in embedded.EMBEDDED or path.suffix.lower() == ".gguf" or HUB_ID.fullmatch(name):
        if path.suffix.lower() == ".gguf":
            gguf.check_magic(path)
        return
    if path.is_dir():
        _folder(name, path)
    elif not path.is_file():
        locate(name)


def advice(name: str) -> str:
    """What else to write instead of a name that nobody knows."""
    return f"{nearest(name, embedded.EMBEDDED)}; or give --model a folder with config.json, or a GGUF file"


def _folder(name: str, path: Path) -> Place:
    if (path / "config.json").is_file():
        return Place(str(path), "folder")
    files = sorted(path.glob("*.gguf"))
    hint = f"give the GGUF file itself, such as {files[0]}" if files else "give a folder that save_pretrained wrote"
    raise ModelError(f"model '{name}': the folder holds no config.json; {hint}")
