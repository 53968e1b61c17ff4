"""Slot files of llama.cpp as its server writes them, made and read without any of the package's own code for them."""

from __future__ import annotations

import struct
from typing import Any

import numpy as np


def write_slot(
    tokens: list[int], caches: list[list[tuple[np.ndarray, np.ndarray]]], version: int = 4, transposed: int = 0
) -> bytes:
    """Caches of layers of (keys, values) [P, G K] each."""
    out, P = bytearray(), len(tokens)
    for number in (0x67677371, version, P + 4):
        out += number.to_bytes(4, "little")
    for token in (-1, 1, P, *tokens, 0):
        out += token.to_bytes(4, "little", signed=True)
    for layers in caches:
        out += (1).to_bytes(4, "little") + P.to_bytes(4, "little")
        for position in range(P):
            out += position.to_bytes(4, "little") + (1).to_bytes(4, "little") + bytes(4)
        out += transposed.to_bytes(4, "little") + len(layers).to_bytes(4, "little") + bytes(8)
        for part in (0, 1):
            for layer in layers:
                rows = layer[part]
                kind = {"float32": 0, "float16": 1}[str(rows.dtype)]
                out += kind.to_bytes(4, "little") + rows[0].nbytes.to_bytes(8, "little") + rows.tobytes()
    return bytes(out)


def read_slot(data: bytes) -> tuple[list[int], list[list[tuple[np.ndarray, np.ndarray]]]]:
    """The tokens and the caches."""
    words = np.frombuffer(data[: len(data) // 4 * 4], "<i4")
    P = int(words[5])
    assert [int(word) for word in words[1:6]] == [4, P + 4, -1, 1, P] and words[6 + P] == 0
    at, caches = 4 * (7 + P), []
    while at < len(data):
        streams, cells = struct.unpack_from("<II", data, at)
        assert (streams, cells) == (1, P)
        meta = np.frombuffer(data, "<i4", 3 * P, at + 8).reshape(P, 3)
        assert meta.tolist() == [[p, 1, 0] for p in range(P)]
        at += 8 + 12 * P
        transposed, count, *rest = struct.unpack_from("<4I", data, at)
        assert [transposed, *rest] == [0, 0, 0]
        at += 16
        blocks: list[Any] = []
        for _ in range(2 * count):
            kind, size = struct.unpack_from("<iQ", data, at)
            dtype = {0: "<f4", 1: "<f2"}[kind]
            blocks.append(np.frombuffer(data, dtype, size * P // int(dtype[2]), at + 12).reshape(P, -1))
            at += 12 + size * P
        caches.append(list(zip(blocks[:count], blocks[count:], strict=True)))
    return words[6 : 6 + P].tolist(), caches
