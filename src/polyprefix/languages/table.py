"""Languages: who they are, how they are written, where they belong, how far from English they are.

`languages.csv` has one row per language and script that a benchmark uses; every other language is made from the registry of ISO 639-3
(`registry.py`) when it is asked for. The data files are generated (tools/make_language_table.py) and have their own licence and sources
(LICENSE.md beside them). What a source does not say is None, never a guess.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Literal

from polyprefix.errors import LanguageError, nearest
from polyprefix.languages import registry
from polyprefix.languages.tags import LanguageTag, parse


@dataclass(frozen=True, slots=True)
class Language:
    """A language in one script, of one region where an input names it."""

    code: str
    """ISO 639-3 and ISO 15924, as FLORES-200 spells it: `swh_Latn`; with a region or a variant `por_Latn-BR`; private use is `x-mine`."""
    name: str
    """In English and unique; a script other than the usual one stands in parentheses, and so do the kind of Han and a region."""
    iso639_3: str | None
    """None for private use."""
    glottocode: str | None
    """None for a macrolanguage that Glottolog has no node for."""
    script: str | None
    """ISO 15924: `Latn`; None where an input names none and CLDR knows none."""
    script_name: str | None
    direction: Literal["ltr", "rtl"] | None
    family: str | None
    """The root of the Glottolog tree (`Atlantic-Congo`); `Isolate` for a language without relatives."""
    branch: str | None
    """The first telling node below the family (`Indo-Aryan`); None where the family is not divided."""
    resource_level: Literal["high", "medium", "low"] | None
    """As URIEL+ groups the classes of Joshi et al. (2020), by the sizes of its groups: `high` is class 5 (7 languages),
    `medium` classes 3 and 4 (46), `low` all others, also those that Joshi et al. do not list. The exact class is not
    known."""
    resource_proxy: str | None
    """The code whose resource level this is, where it is not its own: of the macrolanguage, or of the usual script."""
    resource_class: int | None
    """Joshi et al.'s own class, 0 (left behind) to 5 (winners); None where their list does not name the language."""
    resource_class_proxy: str | None
    """The code whose class this is, where it is not its own: of the macrolanguage, or of the usual script."""
    genetic_distance: float | None
    """From English, 0 to 1 (URIEL+); near 1 for nearly all languages outside Indo-European."""
    syntactic_distance: float | None
    """From English, 0 to 1 (URIEL+), over the features known for both."""
    featural_distance: float | None
    """From English, 0 to 1 (URIEL+): syntax, sounds and inventories together."""
    geographic_distance: float | None
    """From English, 0 to 1 (URIEL+)."""
    latitude: float | None
    """Degrees, of a point that stands for the language (Glottolog)."""
    longitude: float | None

    @property
    def latin(self) -> bool | None:
        """Whether it is written in the Latin script, as English is; None where the script is not known."""
        return None if self.script is None else self.script == "Latn"

    @property
    def tag(self) -> LanguageTag:
        """Its code, taken apart."""
        return parse(self.code) or LanguageTag(self.iso639_3, self.script)

    @property
    def area(self) -> str | None:
        """Glottolog's macro-area, `Eurasia`; that of a region is not known."""
        known = registry.entry(self.iso639_3) if self.iso639_3 and not self.tag.region else None
        return known.area if known else None

    @property
    def is_registered(self) -> bool:
        """Whether ISO 639-3 has its language, or leaves it to private use."""
        return (
            self.iso639_3 is None
            or self.tag.is_private
            or registry.entry(self.iso639_3) is not None
            or self.code in _by_code()
        )


_FROM_REGISTRY = (
    "glottocode", "family", "latitude", "longitude", "genetic_distance", "syntactic_distance", "featural_distance", "geographic_distance",
)  # fmt: skip
_NUMBERS = {field.name for field in fields(Language) if "float" in str(field.type)}
_WHOLE_NUMBERS = {field.name for field in fields(Language) if "int" in str(field.type)}


@cache
def all_languages() -> tuple[Language, ...]:
    """The languages that benchmarks use, by ISO 639-3 code; of several scripts the usual one comes first."""
    text = Path(__file__).with_name("languages.csv").read_text(encoding="utf-8")
    return tuple(_language(row) for row in csv.DictReader(text.splitlines()))


@cache
def every_language() -> tuple[Language, ...]:
    """Every language that is known: those of benchmarks, then all others in their likely script; by code."""
    found = {row.code: row for row in all_languages()}
    for code in registry.codes():
        if code not in _usual():
            script = registry.entry(code).script  # type: ignore[union-attr]
            found[f"{code}_{script}" if script else code] = get(f"{code}_{script}" if script else code)
    return tuple(found.values())


def get(code: str) -> Language:
    """The language with exactly this code.

    What is known of it comes from the table, or else from the registry; of a code that nobody registered nothing is known.

    Raises:
        LanguageError: if it is no code.
    """
    return _by_code().get(code) or _made(code)


@lru_cache(maxsize=4096)
def _made(code: str) -> Language:
    tag = parse(code)
    if tag is None:
        raise LanguageError(f"no language code '{code}': {nearest(code, _by_code())}")
    if tag == tag.language:
        return _in_script(tag)
    if tag.iso639_3 is None:
        return _unregistered(tag)
    one = get(tag.language.code)
    more = [registry.regions().get(tag.region, tag.region)] if tag.region else []
    more += [*tag.variants, *([tag.private] if tag.private else [])]
    return replace(
        one, code=code, name=_with_words(one, more), resource_proxy=one.resource_proxy or (one.resource_level and one.code),
        resource_class_proxy=one.resource_class_proxy or (None if one.resource_class is None else one.code),
        # the point that stands for a language is not in every region of it
        geographic_distance=None, latitude=None, longitude=None,
    )  # fmt: skip


def _in_script(tag: LanguageTag) -> Language:
    """A language of the table in another script, or one that is only in the registry, or in none."""
    iso639_3 = str(tag.iso639_3)
    script = registry.scripts().get(tag.script or "")
    written: dict[str, Any] = {
        "code": tag.code, "script": tag.script, "script_name": script.name if script else tag.script,
        "direction": script.direction if script else None,
    }  # fmt: skip
    words = written["script_name"] or "script not known"
    if usual := _usual().get(iso639_3):
        name = f"{usual.name.partition(' (')[0]} ({words})"
        level, joshi = usual.resource_level, usual.resource_class
        written |= {
            "resource_proxy": level and usual.code,
            "resource_class_proxy": joshi if joshi is None else usual.code,
        }
        return replace(usual, **written, name=name)
    known = registry.entry(iso639_3)
    if known is None:
        return replace(_unregistered(tag), **written)
    written |= {name: getattr(known, name) for name in _FROM_REGISTRY}
    name = known.name if known.script == tag.script else f"{known.name} ({words})"
    return replace(_unregistered(tag), **written, name=name)


def _unregistered(tag: LanguageTag) -> Language:
    """A language of which nothing is known: it is called by its code."""
    nothing: dict[str, Any] = {field.name: None for field in fields(Language)}
    return Language(**{**nothing, "code": tag.code, "name": tag.code, "iso639_3": tag.iso639_3})


def _with_words(one: Language, words: Iterable[str]) -> str:
    """The name of a language with what else tells it apart, beside the script where that stands in parentheses already."""
    known = registry.entry(one.iso639_3 or "")
    more = ", ".join(words)
    if one.name.endswith(")") and (one.code in _by_code() or known is None or known.name != one.name):
        return f"{one.name[:-1]}, {more})"
    return f"{one.name} ({more})"


def select(
    script: str | None = None,
    family: str | None = None,
    branch: str | None = None,
    resource_level: str | None = None,
    *,
    name: str | None = None,
    area: str | None = None,
    every: bool = False,
) -> tuple[Language, ...]:
    """The languages that match every given value, upper and lower case alike; a script by its code or its name.

    Args:
        name: a part of the name, or of another name or code of the language.
        area: of Glottolog's macro-areas.
        every: of all languages; otherwise of those that benchmarks use.

    Raises:
        LanguageError: if no row at all has one of the values.
    """
    rows = chosen = every_language() if every else all_languages()
    wanted = {"script": script, "family": family, "branch": branch, "resource_level": resource_level, "area": area}
    for column, value in wanted.items():
        if value is None:
            continue
        matching = {row.code for row in rows if value.casefold() in _values(row, column)}
        if not matching:
            known = {str(getattr(row, column)) for row in rows if getattr(row, column)}
            raise LanguageError(f"no language with {column} '{value}': {nearest(value, known)}")
        chosen = tuple(row for row in chosen if row.code in matching)
    if name is not None:
        key = registry.normalise(name)
        chosen = tuple(row for row in chosen if any(key in text for text in _names(row)))
    return chosen


def _names(row: Language) -> tuple[str, ...]:
    known = registry.entry(row.iso639_3 or "")
    more = (*known.keys, registry.normalise(known.name), known.iso639_1 or "") if known else ()
    return (registry.normalise(row.name), registry.normalise(row.code), *more)


def _values(row: Language, column: str) -> tuple[str, ...]:
    values = (row.script, row.script_name) if column == "script" else (getattr(row, column),)
    return tuple((value or "").casefold() for value in values)


@cache
def _by_code() -> dict[str, Language]:
    return {language.code: language for language in all_languages()}


@cache
def _usual() -> dict[str, Language]:
    """ISO 639-3 -> the row of the table in the usual script."""
    return {row.iso639_3: row for row in reversed(all_languages()) if row.iso639_3}


def _language(row: dict[str, str]) -> Language:
    values: dict[str, Any] = {key: _value(key, text) if text else None for key, text in row.items()}
    return Language(**values)


def _value(key: str, text: str) -> str | float | int:
    if key in _WHOLE_NUMBERS:
        return int(text)
    return float(text) if key in _NUMBERS else text
