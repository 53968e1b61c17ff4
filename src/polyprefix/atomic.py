"""Writing a file whole or not at all, with an error that a user can act on."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from polyprefix.errors import OutputError

FULL = (errno.ENOSPC, getattr(errno, "EDQUOT", errno.ENOSPC), errno.EFBIG)
"""What the system says where there is no room."""


@contextmanager
def writing(path: Path) -> Iterator[Path]:
    """Give a temporary path next to `path`; when the block ends, its content is on the disk and takes the name `path`.

    If the block fails or is killed, `path` is what it was before.

    Raises:
        OutputError: if the disk is full or the place cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        with output_errors(path):
            yield temporary
            sync(temporary)
            temporary.replace(path)
            sync(path.parent)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all.

    Raises:
        OutputError: if the disk is full or the place cannot be written.
    """
    with writing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


@contextmanager
def output_errors(path: Path) -> Iterator[None]:
    """Turn a failure of the operating system while `path` is written into one line.

    Raises:
        OutputError: what failed, where, how much space is left there, and what to do.
    """
    try:
        yield
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno else str(error).splitlines()[0]
        if error.errno in FULL or error.errno is None:
            said, advice = f"{reason}; {_free_space(path)}", "free some space or choose another place with --out"
        elif error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
            said, advice = reason, "choose a place that you may write, with --out"
        else:
            said, advice = reason, "choose another place with --out"
        raise OutputError(f"{path}: cannot be written ({said}); {advice}") from error


def sync(path: Path) -> None:
    """Have a file's content, or the names in a folder, survive a power cut, where the system offers that."""
    if os.name == "nt":  # neither a folder nor a file opened for reading can be synchronised there
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _free_space(path: Path) -> str:
    existing = next((parent for parent in path.absolute().parents if parent.exists()), None)
    if existing is None:
        return "no such place"
    free = shutil.disk_usage(existing).free
    return f"{free / 1e9:.1f} GB free" if free >= 1e8 else f"{free / 1e6:.1f} MB free"
