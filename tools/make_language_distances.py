"""Write src/polyprefix/languages/distances.json.gz from URIEL+: distances between the languages that benchmarks use.

Run it after `make_language_table.py`, in the same environment, from the repository's root:

    PYTHONPATH=src python tools/make_language_distances.py

Distances are URIEL+'s angles between feature vectors, 0 to 1. A pair with fewer than `MIN_SHARED` features known for both has none, for
over few features a distance is 0 or 1 by accident. Values are kept in 254 steps of a byte, the upper triangle row by row.
"""

from __future__ import annotations

import base64
import gzip
import json
from itertools import combinations

import numpy as np
from make_language_table import FOLDER, MIN_SHARED, PREFERRED_URIEL_CODES, URIEL_CODES
from urielplus.urielplus import URIELPlus

from polyprefix.languages.distances import KINDS, STEPS, UNKNOWN
from polyprefix.languages.table import all_languages

PREFIXES = {"syntactic": "S_", "inventory": "INV_"}
PATH = FOLDER / "distances.json.gz"
CHECKED = (("deu", "eng"), ("hin", "tam"), ("yor", "zul"))


class Vectors:
    """The features of URIEL+ by language: the largest value over its sources, NaN where none has one."""

    def __init__(self) -> None:
        self.uriel = URIELPlus()
        self.names = [np.array(names, dtype=str) for names in self.uriel.feats]
        self.rows = [{str(code): i for i, code in enumerate(codes)} for codes in self.uriel.langs]

    def of(self, kind: str, codes: list[str]) -> np.ndarray:
        """`[languages, features]`; a language that URIEL+ keeps under its macrolanguage has that one's features."""
        if kind == "genetic":
            data, rows = self.uriel.data[0].max(axis=2), self.rows[0]
            found = np.array([data[rows[code]] if code in rows else np.full(data.shape[1], np.nan) for code in codes])
            found[~(found > 0).any(axis=1)] = np.nan  # a vector of zeros is no data
            return np.where(found < 0, np.nan, found)
        columns = np.char.startswith(self.names[1], PREFIXES[kind])
        data = self.uriel.data[1][:, columns].max(axis=2)
        data = np.where(data < 0, np.nan, data)
        english = ~np.isnan(data[self.rows[1]["eng"]])
        return np.array([self._own_or_of_macrolanguage(data, code, english) for code in codes])

    def _own_or_of_macrolanguage(self, data: np.ndarray, code: str, english: np.ndarray) -> np.ndarray:
        """As in the table: the first code that shares enough features with English."""
        names = PREFERRED_URIEL_CODES.get(code, (code, URIEL_CODES.get(code, code)))
        known = (data[self.rows[1][name]] for name in names if name in self.rows[1])
        enough = (row for row in known if (~np.isnan(row) & english).sum() >= MIN_SHARED or code == "eng")
        return next(enough, np.full(data.shape[1], np.nan))


def angle(a: np.ndarray, b: np.ndarray, fewest: int) -> int:
    """The distance of two vectors over the features known for both, in steps; `UNKNOWN` with too few of them."""
    both = ~np.isnan(a) & ~np.isnan(b)
    a, b = a[both], b[both]
    lengths = float(np.linalg.norm(a) * np.linalg.norm(b))
    if both.sum() < fewest or not lengths:
        return UNKNOWN
    cosine = min(1.0, max(-1.0, float(a @ b) / lengths))
    return round(float(np.arccos(cosine) / np.pi * 2) * STEPS)


def main() -> None:
    """Compute all pairs, compare some with URIEL+'s own, and write the file."""
    codes = sorted({row.iso639_3 for row in all_languages() if row.iso639_3})
    vectors, found = Vectors(), {}
    for kind in KINDS:
        rows = vectors.of(kind, codes)
        fewest = 1 if kind == "genetic" else MIN_SHARED
        values = [angle(rows[i], rows[j], fewest) for i, j in combinations(range(len(codes)), 2)]
        found[kind] = base64.b85encode(bytes(values)).decode()
        place = dict(zip(combinations(codes, 2), values, strict=True))
        for pair in CHECKED:
            if place[pair] == UNKNOWN:
                continue
            ours, theirs = place[pair] / STEPS, float(vectors.uriel.new_distance(kind, *pair))
            if abs(ours - theirs) > 0.01:
                raise SystemExit(f"{kind} of {pair}: {ours:.3f}, URIEL+ says {theirs:.3f}")
        print(f"{kind}: {sum(value != UNKNOWN for value in values):,} of {len(values):,} pairs")
    text = json.dumps({"codes": codes, "pairs": found})
    PATH.write_bytes(gzip.compress(text.encode(), mtime=0))
    print(f"{PATH.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
