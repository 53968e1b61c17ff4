"""Reading files that somebody else may have written: regular files only, of a limited size, and JSON of a limited depth.

A pipe or a device would block for ever where a file is expected, and JSON without limits ends in a `RecursionError` far from where it
was read.
"""

from __future__ import annotations

import errno
import json
import os
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

MOST_BYTES = 64 << 20
"""Of a JSON file: a hundred times the largest that is known (a result with 200 languages)."""
MOST_DEPTH = 64
"""Of nested lists and objects."""
MOST_DIGITS = 300
"""Of a whole number in JSON: what still fits a float."""
_HALF = re.compile("[\ud800-\udfff]")


def require_regular(path: Path) -> os.stat_result:
    """What the system says of a file that is there and is a regular one.

    Raises:
        OSError: if it is missing, a folder, a pipe, a socket or a device.
    """
    found = path.stat()
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return found


def read_bytes(path: Path, most: int = MOST_BYTES) -> bytes:
    """The content of a regular file.

    Raises:
        OSError: as `require_regular`, or if the file holds more than `most` bytes.
        ValueError: if the path itself is impossible, such as one with a zero byte.
    """
    with open_regular(path) as file:
        expected = min(most, os.fstat(file.fileno()).st_size)  # a buffer of that size, not of `most`
        content = file.read(expected + 1)
        if expected < len(content) <= most:  # it has grown since
            content += file.read(most + 1 - len(content))
    if len(content) > most:
        raise OSError(errno.EFBIG, f"more than {most:,} bytes", str(path))
    return content


def open_regular(path: Path) -> BinaryIO:
    """A regular file, open for reading.

    Raises:
        OSError: as `require_regular`.
        ValueError: if the path itself is impossible, such as one with a zero byte.
    """
    require_regular(path)
    # without waiting: the path may have become a pipe since
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    file = os.fdopen(descriptor, "rb")
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        file.close()
        raise OSError(errno.EINVAL, "not a regular file", str(path))
    return file


def read_text(path: Path, most: int = MOST_BYTES) -> str:
    """The text of a regular file in UTF-8.

    Raises:
        OSError, ValueError: as `read_bytes`, and where it is no UTF-8.
    """
    return read_bytes(path, most).decode("utf-8").removeprefix("\ufeff")


def read_json(path: Path, most: int = MOST_BYTES) -> Any:
    """The value that a JSON file holds.

    Raises:
        OSError: as `read_bytes`.
        ValueError: if it is no JSON, is nested more than `MOST_DEPTH` deep, or holds NaN, an endless number or half a character.
    """
    return parse_json(read_text(path, most))


def parse_json(text: str) -> Any:
    """The value of a text in JSON.

    Raises:
        ValueError: as `read_json`.
    """
    try:
        value = json.loads(text, parse_constant=_refuse, parse_int=_whole, parse_float=_finite)
    except RecursionError:
        raise ValueError(f"nested more than {MOST_DEPTH} deep") from None
    for item, depth in _walk(value):
        if depth > MOST_DEPTH:
            raise ValueError(f"nested more than {MOST_DEPTH} deep")
        if isinstance(item, str) and is_broken(item):
            raise ValueError("text with half a character (a lone surrogate)")
    return value


def is_broken(text: str) -> bool:
    """Whether a text holds half a character, which no file or terminal can be given.

    >>> is_broken("a"), is_broken("\\ud800")
    (False, True)
    """
    return _HALF.search(text) is not None


def _walk(value: Any) -> Iterator[tuple[Any, int]]:
    """Every value, key and container, with its depth; no recursion, for that is what is looked for."""
    waiting = [(value, 0)]
    while waiting:
        item, depth = waiting.pop()
        yield item, depth
        if depth > MOST_DEPTH:
            continue
        if isinstance(item, dict):
            waiting.extend((part, depth + 1) for pair in item.items() for part in pair)
        elif isinstance(item, list):
            waiting.extend((part, depth + 1) for part in item)


def _refuse(constant: str) -> Any:
    raise ValueError(f"{constant} is no JSON number")


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number of {len(digits):,} digits")
    return int(digits)


def _finite(digits: str) -> float:
    value = float(digits)
    if value in (float("inf"), float("-inf")):
        raise ValueError(f"{digits[:20]} is too large a number")
    return value
