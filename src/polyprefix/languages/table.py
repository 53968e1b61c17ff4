"""The table of languages: who they are, how they are written, where they belong, how far from English they are.

One row per language and script that a benchmark uses. The data file is generated (tools/make_language_table.py) and has
its own licence and sources (LICENSE.md beside it). What a source does not say is None, never a guess.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

from polyprefix.errors import LanguageError, nearest


@dataclass(frozen=True, slots=True)
class Language:
    """A language in one script."""

    code: str
    """ISO 639-3 and ISO 15924, as FLORES-200 spells it: `swh_Latn`."""
    name: str
    """In English and unique; a script other than the usual one stands in parentheses, and so does the kind of Han."""
    iso639_3: str
    glottocode: str | None
    """None for a macrolanguage that Glottolog has no node for."""
    script: str
    """ISO 15924: `Latn`."""
    script_name: str
    direction: Literal["ltr", "rtl"]
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
    def latin(self) -> bool:
        """Whether it is written in the Latin script, as English is."""
        return self.script == "Latn"


_NUMBERS = {field.name for field in fields(Language) if "float" in str(field.type)}
_WHOLE_NUMBERS = {field.name for field in fields(Language) if "int" in str(field.type)}


@cache
def all_languages() -> tuple[Language, ...]:
    """All rows, by ISO 639-3 code; of several scripts the usual one comes first."""
    text = Path(__file__).with_name("languages.csv").read_text(encoding="utf-8")
    return tuple(_language(row) for row in csv.DictReader(text.splitlines()))


def get(code: str) -> Language:
    """The language with exactly this code.

    Raises:
        LanguageError: if there is none.
    """
    try:
        return _by_code()[code]
    except KeyError:
        raise LanguageError(f"no language code '{code}': {nearest(code, _by_code())}") from None


def select(
    script: str | None = None, family: str | None = None, branch: str | None = None, resource_level: str | None = None
) -> tuple[Language, ...]:
    """The rows that match every given value, upper and lower case alike; a script by its code or its name.

    Raises:
        LanguageError: if no row at all has one of the values.
    """
    chosen = all_languages()
    wanted = {"script": script, "family": family, "branch": branch, "resource_level": resource_level}
    for column, value in wanted.items():
        if value is None:
            continue
        matching = {row.code for row in all_languages() if value.casefold() in _values(row, column)}
        if not matching:
            known = {str(getattr(row, column)) for row in all_languages() if getattr(row, column)}
            raise LanguageError(f"no language with {column} '{value}': {nearest(value, known)}")
        chosen = tuple(row for row in chosen if row.code in matching)
    return chosen


def _values(row: Language, column: str) -> tuple[str, ...]:
    values = (row.script, row.script_name) if column == "script" else (getattr(row, column) or "",)
    return tuple(value.casefold() for value in values)


@cache
def _by_code() -> dict[str, Language]:
    return {language.code: language for language in all_languages()}


def _language(row: dict[str, str]) -> Language:
    values: dict[str, Any] = {key: _value(key, text) if text else None for key, text in row.items()}
    return Language(**values)


def _value(key: str, text: str) -> str | float | int:
    if key in _WHOLE_NUMBERS:
        return int(text)
    return float(text) if key in _NUMBERS else text
