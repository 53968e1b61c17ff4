"""Converted models on disk: written once, checked at each start, rebuilt where damaged.

    CACHE/models/<first 16 hex digits of the source's SHA-256>/   the files of a model, and manifest.json

CACHE is the user's cache folder, or `POLYPREFIX_CACHE`.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import platformdirs
from filelock import FileLock, Timeout

from polyprefix.errors import OutputError

log = logging.getLogger(__name__)

FORMAT = 2
"""Raised when what we write changes: each version of polyprefix reads its own entries. 2: tokenizers begin texts as the file says."""
MANIFEST = "manifest.json"


def cache_folder() -> Path:
    """`POLYPREFIX_CACHE`, or polyprefix's folder among the user's caches."""
    chosen = os.environ.get("POLYPREFIX_CACHE")
    return Path(chosen).expanduser() if chosen else Path(platformdirs.user_cache_dir("polyprefix"))


def sha256_of(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def remembered_sha256(path: Path) -> str:
    """The SHA-256 of a file that is large and seldom changes: remembered by its path, size and time of change."""
    return remembered("", [path], lambda: sha256_of(path))


def remembered(kind: str, files: Sequence[Path], compute: Callable[[], str]) -> str:
    """A digest of files, computed once and remembered by their paths, sizes and times of change.

    Where the cache cannot be written it is computed each time.

    Args:
        kind: of digest; two kinds of the same files are remembered apart.
        compute: gives 64 hexadecimal digits.
    """
    stats = [(path.resolve(), path.stat()) for path in files]
    parts = [f"{path}|{stat.st_size}|{stat.st_mtime_ns}" for path, stat in stats]
    known_as = "|".join([kind, *parts] if kind else parts)
    note = cache_folder() / "digests" / hashlib.sha256(known_as.encode()).hexdigest()
    if note.is_file() and len(digest := note.read_text(encoding="ascii", errors="replace")) == 64:
        return digest
    digest = compute()
    try:
        note.parent.mkdir(parents=True, exist_ok=True)
        replace_text(note, digest)
    except OSError:
        log.debug("%s cannot be written; digests are computed again at each start", note.parent)
    return digest


def entry(digest: str) -> Path | None:
    """The folder of the converted model, if it is there and undamaged.

    Sizes and times of change are compared at each start; where a time differs (a copied cache), the contents are.
    """
    folder = _models() / _name(digest)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
        if (manifest["format"], manifest["source"]) != (FORMAT, digest):
            return None
        moved = [name for name, file in manifest["files"].items() if _moved(folder / name, file)]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not moved:
        return folder
    if any(sha256_of(folder / name) != manifest["files"][name]["sha256"] for name in moved):
        return None
    for name in moved:
        manifest["files"][name]["mtime_ns"] = (folder / name).stat().st_mtime_ns
    try:
        replace_text(folder / MANIFEST, json.dumps(manifest, indent=2))
    except OSError:
        log.debug("%s cannot be written; its files are read again at each start", folder)
    return folder


def build(digest: str, write: Callable[[Path], None]) -> Path:
    """The folder of the converted model; where there is none, `write` fills one.

    Of two processes that start at once, one writes and one waits.

    Raises:
        OutputError: if the cache folder cannot be written, or is full.
    """
    if folder := entry(digest):
        return folder
    with _writing():
        _models().mkdir(parents=True, exist_ok=True)
        with _alone(_models() / f"{_name(digest)}.lock"):
            if folder := entry(digest):  # another process was faster
                return folder
            return _publish(digest, write)


def _publish(digest: str, write: Callable[[Path], None]) -> Path:
    folder, prefix = _models() / _name(digest), f".partial-{_name(digest)}-"
    for left_over in _models().glob(f"{prefix}*"):  # of a process that was killed: the lock is ours
        shutil.rmtree(left_over, ignore_errors=True)
    partial = Path(tempfile.mkdtemp(prefix=prefix, dir=_models()))
    try:
        write(partial)
        files = {path.name: _described(path) for path in sorted(partial.iterdir())}
        manifest = {"format": FORMAT, "source": digest, "files": files}
        (partial / MANIFEST).write_text(json.dumps(manifest, indent=2), encoding="utf-8")
        if folder.exists():  # damaged, or of another format
            shutil.rmtree(folder)
        partial.chmod(0o755)
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return folder


def _name(digest: str) -> str:
    return f"{digest[:16]}-{FORMAT}"


def _models() -> Path:
    return cache_folder() / "models"


def _described(path: Path) -> dict[str, Any]:
    stat = path.stat()
    return {"size": stat.st_size, "mtime_ns": stat.st_mtime_ns, "sha256": sha256_of(path)}


def _moved(path: Path, file: dict[str, Any]) -> bool:
    """Whether the time of change differs; a file of another size raises ValueError."""
    stat = path.stat()
    if stat.st_size != file["size"]:
        raise ValueError(f"{path} has {stat.st_size} bytes, expected {file['size']}")
    return bool(stat.st_mtime_ns != file["mtime_ns"])


def replace_text(path: Path, text: str) -> None:
    """Write a small file of the cache whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(path)


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    lock = FileLock(path)
    try:
        lock.acquire(timeout=1)
    except Timeout:
        log.info("Waiting for another process that converts the same model")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise OutputError(
            f"{cache_folder()}: the model cache cannot be written ({reason}); "
            f"free space there, or set POLYPREFIX_CACHE to another folder"
        ) from error
