"""Damage to files: values in places where others belong, and bytes that are lost, doubled or changed."""

from __future__ import annotations

import copy
import random
from typing import Any

ODD: list[Any] = [
    None, True, False, 0, -1, 1, 2, 10**9, 2**63, 2**64, 10**400, -(10**30), 0.5, -0.0, 1e308, -1e308, float("nan"), float("inf"), 5e-324,
    "", " ", "a", "x" * 300, "x" * 5000, "\0", "\x1b]52;c;eA==\x07", "\u202e", "\ud800", "../../etc/passwd", "/dev/zero", "/dev/stdin",
    "~", ".",
    "..", "/", "a/b", "{", "}", "{}", "{{", "{0}", "{a.b}", "{a!r:>9999999999}", "{text}", "%s", "[]", "null", "9:30", "010", "1e999", "on",
    "9999-99-99", "٣", "é", "no", "<script>", "--help", "=", "all", "none", "prefix", "*", "[", "1-2,3-", "top:99999999999999999999",
    [], {}, [[]], [None], [1, 2, 3], ["a", "a"], {"a": 1}, {"": ""}, {"name": "prefix"}, {"name": {}}, {"name": "lora", "targets": [1]}, [{}],
    {"en": 1}, {"\0": 1}, [[[[[[[[[[]]]]]]]]]], list(range(500)),
]  # fmt: skip
YAML = [
    "!!python/object/apply:os.system ['true']", "!!set {a, b}", "!!binary aGk=", "!!timestamp 2020-01-01", "!!float abc", "!!int x",
    "&a [*a]",
    "&a {<<: *a}", "*unknown", "2020-01-01", "9:30:61", "0x", "0b2", "0o9", "1" * 5000, "." * 50, "[" * 3000, "{a: " * 500, "- " * 2000,
    "? [a]\n: b",
    "<<: 1", "\t", "%YAML 1.1\n---\n", "---\n---\n", "'", '"\\ud800"', '"\\x"', "\x00", "\x85", "|9", ">-", "!<x> a", "a: b: c", "@",
    "`", "=",
    "2020-13-45", "1e1000000", "-.inf", ".nan", "0x" + "f" * 4000, "&a a: *a", "? ", "- ? - ?", "!!null x", "!!bool maybe", "1__0", "0:0:0",
]  # fmt: skip


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested values."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in items for place in places(item, (*path, key)))]


def changed(value: Any, rng: random.Random) -> Any:
    """A copy with an odd value somewhere, a key lost, renamed or added, or a list that is longer."""
    found = copy.deepcopy(value)
    for _ in range(rng.choice([1, 1, 1, 2, 4])):
        place = rng.choice(places(found))
        if not place:
            if rng.random() < 0.05:
                return _odd(rng)
            continue
        inside = found
        for key in place[:-1]:
            inside = inside[key]
        kind = rng.random()
        if kind < 0.7 or isinstance(inside, list):
            inside[place[-1]] = _odd(rng)
        elif kind < 0.8:
            del inside[place[-1]]
        elif kind < 0.9:
            inside[str(rng.choice(["", "x", "\0", "name", "format", str(place[-1]) + "s"]))] = inside.pop(place[-1])
        else:
            inside[str(rng.choice(ODD))[:50]] = _odd(rng)
    return found


def _odd(rng: random.Random) -> Any:
    return copy.deepcopy(rng.choice(ODD))


def damaged(text: str, rng: random.Random, pieces: list[str] = YAML) -> str:
    """A text with pieces of it lost, doubled, moved or replaced."""
    for _ in range(rng.choice([1, 1, 2, 3])):
        at, length = rng.randrange(len(text) + 1), rng.choice([1, 1, 2, 5, 20, 100])
        kind = rng.random()
        if kind < 0.2:
            text = text[:at] + text[at + length :]
        elif kind < 0.35:
            text = text[: at + length] + text[at:]
        elif kind < 0.5:
            text = text[:at] + rng.choice("[]{}:,&*!|>'\"%@`#-?\n\t\0\x85\u2028\u202e \\") + text[at + 1 :]
        elif kind < 0.55:
            text = text[:at]
        else:
            lines = text.split("\n")
            number = rng.randrange(len(lines))
            key = lines[number].partition(":")[0]
            lines[number] = f"{key}: {rng.choice(pieces)}" if rng.random() < 0.7 else rng.choice(pieces)
            text = "\n".join(lines)
    return text


def flipped(content: bytes, rng: random.Random) -> bytes:
    """Bytes with some changed, lost or added."""
    found = bytearray(content)
    for _ in range(rng.choice([1, 3, 20])):
        at = rng.randrange(len(found) + 1)
        kind = rng.random()
        if kind < 0.6 and at < len(found):
            found[at] = rng.randrange(256)
        elif kind < 0.8:
            del found[at : at + rng.choice([1, 8, 1000])]
        else:
            found[at:at] = bytes(rng.randrange(256) for _ in range(rng.choice([1, 8, 64])))
    return bytes(found)
