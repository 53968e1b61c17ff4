"""What reaches a terminal: text of data, models and libraries cannot move the cursor, fill the clipboard or turn lines around.

Everything that is printed goes through `protect_streams`, which the command installs, or through `console`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any, TextIO

UNSAFE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
"""Controls but tab and line ends, what turns text around, and half characters."""


def printable(text: str) -> str:
    """A text with what is `UNSAFE` written as JSON writes it, so that JSON stays the same JSON.

    >>> printable("a\\x1b]52;c;eA==\\x07b")
    'a\\\\u001b]52;c;eA==\\\\u0007b'
    """
    return UNSAFE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def console(*, stderr: bool = False, **options: Any) -> Any:
    """A console of rich whose own colours and cursor movements pass, and in whose texts nothing unsafe does."""
    from rich.console import Console
    from rich.segment import Segment

    class Safe(Console):
        def render(self, *args: Any, **kwargs: Any) -> Iterable[Segment]:
            for segment in super().render(*args, **kwargs):
                yield segment if segment.control else Segment(printable(segment.text), segment.style)

    stream = sys.stderr if stderr else sys.stdout
    return Safe(file=stream.raw if isinstance(stream, _Protected) else None, stderr=stderr, **options)


class _Protected:
    """A text stream that writes what is printable of a text, and is the stream beneath in all else."""

    def __init__(self, raw: TextIO) -> None:
        self.raw = raw

    def write(self, text: str) -> int:
        """As of every text stream."""
        self.raw.write(printable(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """As of every text stream."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.raw, name)

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)


@contextmanager
def protect_streams() -> Iterator[None]:
    """Standard output and error write only what is printable, and never fail at a character that their encoding lacks."""
    before = sys.stdout, sys.stderr
    for stream in before:
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    out, err = (stream if stream is None or isinstance(stream, _Protected) else _Protected(stream) for stream in before)
    sys.stdout, sys.stderr = out, err
    try:
        yield
    finally:
        sys.stdout, sys.stderr = before
