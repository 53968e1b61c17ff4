"""The file in which llama.cpp's server saves a slot: the tokens of a sequence and their keys and values. Little-endian.

    u32 magic, u32 version, u32 n, n x i32      n = 4 + P: -1, 1, P, the P tokens, 0
    a section for each KV cache (full attention, then sliding window where a model has both):
        u32 1, u32 P                            streams, cells
        P x (i32 position, u32 1, i32 sequence)
        u32 0, u32 L, u32 0, u32 0              values are not transposed; layers; no other rotation
        L x keys, then L x values:              i32 type, u64 bytes a row, P rows of G K numbers, head by head

Written by version 4; a file of another version, or one that has other values where this says a number, is refused.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from polyprefix.errors import AdapterError
from polyprefix.safe_files import require_regular

MAGIC, VERSION = 0x67677371, 4
TYPES: dict[int, np.dtype[np.floating]] = {0: np.dtype("<f4"), 1: np.dtype("<f2")}
"""ggml's number of a type -> numpy's."""
MOST_TOKENS = 1 << 20
MOST_LAYERS = 4096
AGAIN = "save one with llama.cpp's server as docs/deploy.md shows"

Rows = NDArray[np.floating]


@dataclass(frozen=True)
class Section:
    """One KV cache."""

    keys: Sequence[Rows]
    """[P, G K] a layer."""
    values: Sequence[Rows]


@dataclass(frozen=True)
class SlotFile:
    """A saved sequence."""

    tokens: tuple[int, ...]
    sections: Sequence[Section]

    def to_bytes(self) -> bytes:
        """The file."""
        P = len(self.tokens)
        parts = [struct.pack("<3I", MAGIC, VERSION, P + 4), struct.pack(f"<{P + 4}i", -1, 1, P, *self.tokens, 0)]
        for section in self.sections:
            parts.append(struct.pack("<2I", 1, P))
            parts.extend(struct.pack("<iIi", position, 1, 0) for position in range(P))
            parts.append(struct.pack("<4I", 0, len(section.keys), 0, 0))
            for rows in (*section.keys, *section.values):
                kind = next(number for number, dtype in TYPES.items() if dtype == rows.dtype)
                parts += [struct.pack("<iQ", kind, rows.shape[1] * rows.itemsize), rows.tobytes()]
        return b"".join(parts)


def read_slot(path: Path) -> SlotFile:
    """A slot file.

    Raises:
        AdapterError: if it cannot be read, or is none of this version and layout.
    """
    try:
        require_regular(path)
        data = path.read_bytes()
    except OSError as error:
        raise AdapterError(f"{path}: cannot be read ({error.strerror}); {AGAIN}") from None
    try:
        return parse(data)
    except ValueError as error:
        raise AdapterError(f"{path}: {error}; {AGAIN}") from None


def parse(data: bytes) -> SlotFile:
    """The slot of a file's bytes.

    Raises:
        ValueError: if they are none of this version and layout.
    """
    reader = _Reader(data)
    magic, version, count = reader.numbers("3I")
    if magic != MAGIC:
        raise ValueError("no slot file of llama.cpp")
    if version != VERSION:
        raise ValueError(f"slot file of version {version}, version {VERSION} is known")
    if not 4 < count <= MOST_TOKENS:
        raise ValueError(f"{count} numbers for tokens, expected 5 to {MOST_TOKENS}")
    first, one, length, *tokens, last = reader.numbers(f"{count}i")
    if (first, one, length, last) != (-1, 1, count - 4, 0):
        raise ValueError("its list of tokens has a layout that is not known")
    sections = []
    while reader.left:
        sections.append(_section(reader, length))
    if not sections:
        raise ValueError("damaged, it ends before the keys and values")
    return SlotFile(tuple(tokens), sections)


def _section(reader: _Reader, length: int) -> Section:
    if reader.numbers("2I") != (1, length):
        raise ValueError("a KV cache with several streams or with other tokens than the list has")
    cells = reader.numbers(f"{3 * length}i")
    sequences = set(cells[2::3])
    if cells[::3] != tuple(range(length)) or set(cells[1::3]) != {1} or len(sequences) != 1:
        raise ValueError("tokens that do not stand at positions 0, 1, 2, ... of one sequence")
    transposed, layers, *others = reader.numbers("4I")
    if transposed:
        raise ValueError("transposed values; start the server with --flash-attn on")
    if others != [0, 0] or not 0 < layers <= MOST_LAYERS:
        raise ValueError("a KV cache whose layout is not known")
    rows = [_rows(reader, length) for _ in range(2 * layers)]
    return Section(rows[:layers], rows[layers:])


def _rows(reader: _Reader, length: int) -> Rows:
    kind, size = reader.numbers("iQ")
    if kind not in TYPES:
        raise ValueError(
            f"keys or values of ggml type {kind}; start the server with --cache-type-k f16 --cache-type-v f16"
        )
    dtype = TYPES[kind]
    if not size or size % dtype.itemsize:
        raise ValueError(f"rows of {size} bytes")
    return np.frombuffer(reader.take(size * length), dtype).reshape(length, size // dtype.itemsize)


class _Reader:
    """Bytes from front to back."""

    def __init__(self, data: bytes) -> None:
        self._data, self._at = data, 0

    @property
    def left(self) -> int:
        """Bytes that were not taken."""
        return len(self._data) - self._at

    def take(self, size: int) -> bytes:
        """The next bytes.

        Raises:
            ValueError: if there are fewer.
        """
        if size > self.left:
            raise ValueError("damaged, it ends too early")
        self._at += size
        return self._data[self._at - size : self._at]

    def numbers(self, form: str) -> tuple[int, ...]:
        """The next numbers, by a format of `struct`."""
        return struct.unpack(f"<{form}", self.take(struct.calcsize(f"<{form}")))
