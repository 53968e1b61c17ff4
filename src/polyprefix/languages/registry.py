"""Every code of ISO 639-3, and the subtags of BCP 47, with what is known of each; read on first use, in a few milliseconds.

The table is generated (tools/make_language_registry.py) and has its own licence and sources (LICENSE.md beside it). `languages.csv` says
more of the languages that benchmarks use, and comes first where both have one.
"""

from __future__ import annotations

import gzip
import re
import unicodedata
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal, cast

_DIACRITICS = re.compile("[\u0300-\u036f]")
_SEPARATORS = {i: None if chr(i) in "'`" else " " for i in range(128) if not chr(i).isalnum()}


@dataclass(frozen=True, slots=True)
class Entry:
    """What the registry says of a language; None where no source says it."""

    iso639_3: str
    """Or the code of a collection in ISO 639-5, such as `nah`."""
    iso639_1: str | None
    iso639_2b: str | None
    script: str | None
    """The likely one (CLDR)."""
    glottocode: str | None
    family: str | None
    area: str | None
    """Glottolog's macro-area: Africa, Australia, Eurasia, North America, Papunesia or South America."""
    latitude: float | None
    longitude: float | None
    genetic_distance: float | None
    syntactic_distance: float | None
    featural_distance: float | None
    geographic_distance: float | None
    name: str
    """In English and unique."""
    keys: tuple[str, ...]
    """Other names, normalised."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script of ISO 15924."""

    name: str
    direction: Literal["ltr", "rtl"]


def normalise(text: str) -> str:
    """The form in which aliases are compared: lower case, no diacritics of Latin letters, one space between words.

    >>> normalise("Chinese (Traditional)"), normalise("zh_Hant-TW"), normalise("Norsk  BOKMÅL")
    ('chinese traditional', 'zh hant tw', 'norsk bokmal')
    """
    if text.isascii():
        return " ".join(text.lower().translate(_SEPARATORS).split())
    plain = unicodedata.normalize("NFC", _DIACRITICS.sub("", unicodedata.normalize("NFD", text.casefold())))
    plain = re.sub("['’‘ʼ`]", "", plain)
    # letters, marks (vowel signs of Indic scripts) and digits; everything else separates words
    return " ".join("".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in plain).split())


def codes() -> tuple[str, ...]:
    """All codes of languages."""
    return tuple(_lines())


@lru_cache(maxsize=1024)
def entry(code: str) -> Entry | None:
    """What is known of a code; None where it is in no list."""
    line = _lines().get(code)
    if line is None:
        return None
    cells = line.split("\t")
    name, *keys = cells[13].split("|")
    texts = [cell or None for cell in cells[:7]]
    numbers = [float(cell) if cell else None for cell in cells[7:13]]
    told: list[Any] = [code, *texts[1:], *numbers, name, tuple(keys)]
    return Entry(*told)


@cache
def scripts() -> dict[str, Script]:
    """ISO 15924 code -> the script."""
    rows = (line.split("\t") for line in _sections()["scripts"])
    return {code: Script(name, cast("Literal['ltr', 'rtl']", direction)) for code, name, direction in rows}


@cache
def regions() -> dict[str, str]:
    """ISO 3166 or UN M.49 code -> its name."""
    return _pairs("regions")


@cache
def variants() -> frozenset[str]:
    """The registered variants."""
    return frozenset(_sections()["variants"])


@cache
def redirects() -> dict[str, str]:
    """Normalised tag or name -> the tag that it means now: `zh min nan` -> `nan`, `brazilian portuguese` -> `pt-BR`."""
    return _pairs("redirects")


@cache
def regional_scripts() -> dict[str, str]:
    """Normalised tag of a language and a region -> their script where it is not that of the language: `pa pk` -> `Arab`."""
    return _pairs("regional")


@cache
def short_codes() -> dict[str, str]:
    """ISO 639-1 or 639-2/B -> ISO 639-3."""
    cells = (line.split("\t", 3) for line in _lines().values())
    return {short: code for code, one, two, _ in cells for short in (one, two) if short}


@cache
def names() -> dict[str, tuple[str, ...]]:
    """Normalised name -> codes. Of a name that languages are shown by, those alone; of another, all that it may mean."""
    shown: dict[str, tuple[str, ...]] = {}
    others: dict[str, tuple[str, ...]] = {}
    for code, line in _lines().items():
        name, *keys = line.rpartition("\t")[2].split("|")
        key = name.lower() if name.isalpha() and name.isascii() else normalise(name)
        shown[key] = (*shown.get(key, ()), code)
        for other in keys:
            others[other] = (*others.get(other, ()), code)
    return {**others, **shown}


def _pairs(section: str) -> dict[str, str]:
    return dict(line.split("\t") for line in _sections()[section])


@cache
def _lines() -> dict[str, str]:
    return {line[:3]: line for line in _sections()["languages"]}


@cache
def _sections() -> dict[str, list[str]]:
    text = gzip.decompress(Path(__file__).with_name("registry.tsv.gz").read_bytes()).decode("utf-8")
    parts = (part.split("\n") for part in text.removeprefix("#").split("\n#"))
    return {name: lines for name, *lines in parts}
