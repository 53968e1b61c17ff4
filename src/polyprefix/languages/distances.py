"""How far two languages are from each other: genetic, geographic, syntactic, in sounds and in script.

`distances.json.gz` holds the pairs of the languages that benchmarks use; it is generated (tools/make_language_distances.py) from URIEL+ and
has its own licence (LICENSE.md beside it). Whatever is not known is None.
"""

from __future__ import annotations

import base64
import gzip
import json
from dataclasses import dataclass
from functools import cache
from math import asin, cos, radians, sin, sqrt
from pathlib import Path

from polyprefix.languages.table import Language

KINDS = ("genetic", "syntactic", "inventory")
"""Kinds of distances in the file; `inventory` is of the sounds that a language has."""
STEPS, UNKNOWN = 254, 255
"""A distance of 1 in the file, and one that is not known."""
HALF_EQUATOR_KM, RADIUS_KM = 20_015.0, 6371.0


@dataclass(frozen=True, slots=True)
class Pair:
    """What is known of two languages together; distances are 0 to 1."""

    genetic: float | None
    """Near 1 where they share no more than the family, 1 where they share nothing."""
    syntactic: float | None
    inventory: float | None
    geographic: float | None
    """Of their points on the map along a great circle; 1 is half the equator."""
    same_script: bool | None
    same_family: bool | None
    same_branch: bool | None

    @property
    def km(self) -> float | None:
        """The geographic distance in kilometres."""
        return None if self.geographic is None else self.geographic * HALF_EQUATOR_KM


def between(a: Language, b: Language) -> Pair:
    """What is known of two languages together."""
    found = {kind: _known(kind, a.iso639_3, b.iso639_3) for kind in KINDS}
    family = _same(a.family, b.family)
    if "Isolate" in (a.family, b.family):  # two languages without relatives are none of each other's
        family = a.iso639_3 == b.iso639_3
    branch = _same(a.branch, b.branch) if family else family
    if found["genetic"] is None and family is False:
        found["genetic"] = 1.0
    return Pair(**found, geographic=_great_circle(a, b), same_script=_same(a.script, b.script),
                same_family=family, same_branch=branch)  # fmt: skip


def _same(a: str | None, b: str | None) -> bool | None:
    return None if a is None or b is None else a == b


def _known(kind: str, a: str | None, b: str | None) -> float | None:
    codes, pairs = _table()
    if a is None or b is None:
        return None
    if a == b:
        return 0.0
    if a not in codes or b not in codes:
        return None
    i, j = sorted((codes[a], codes[b]))
    value = pairs[kind][i * (2 * len(codes) - i - 1) // 2 + j - i - 1]
    return None if value == UNKNOWN else value / STEPS


def _great_circle(a: Language, b: Language) -> float | None:
    if a.iso639_3 is not None and a.iso639_3 == b.iso639_3:
        return 0.0
    if a.latitude is None or a.longitude is None or b.latitude is None or b.longitude is None:
        return None
    y1, x1, y2, x2 = map(radians, (a.latitude, a.longitude, b.latitude, b.longitude))
    half_chord = sin((y2 - y1) / 2) ** 2 + cos(y1) * cos(y2) * sin((x2 - x1) / 2) ** 2
    return 2 * RADIUS_KM * asin(min(1.0, sqrt(half_chord))) / HALF_EQUATOR_KM


@cache
def _table() -> tuple[dict[str, int], dict[str, bytes]]:
    """ISO 639-3 -> its place, and kind -> the upper triangle of distances, row by row."""
    file = Path(__file__).with_name("distances.json.gz")
    read = json.loads(gzip.decompress(file.read_bytes()))
    return {code: i for i, code in enumerate(read["codes"])}, {
        kind: base64.b85decode(text) for kind, text in read["pairs"].items()
    }
