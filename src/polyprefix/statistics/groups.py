"""Groups of languages by what they have in common: family, script, resources, distance from English."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from functools import cache

from polyprefix import config, languages
from polyprefix.languages import Language

ENGLISH = config.ENGLISH
UNKNOWN = "not known"


def distance_band(language: Language) -> str:
    """Which third of the table's languages a syntactic distance from English falls into; the bands are of every study."""
    if language.syntactic_distance is None:
        return UNKNOWN
    near, far = _thirds()
    if language.syntactic_distance <= near:
        return f"near (to {near:.2f})"
    return f"far (over {far:.2f})" if language.syntactic_distance > far else f"middle (to {far:.2f})"


@cache
def _thirds() -> tuple[float, float]:
    """The two borders between thirds of all known syntactic distances; one value a language, English left out."""
    known = {
        language.iso639_3: language.syntactic_distance
        for language in languages.all_languages()
        if language.syntactic_distance is not None and language.code != ENGLISH
    }
    values = sorted(known.values())
    return values[len(values) // 3], values[2 * len(values) // 3]


def writing(language: Language) -> str:
    """Whether a language is written as English is."""
    if language.latin is None:
        return UNKNOWN
    return "Latin script" if language.latin else "other scripts"


GROUPINGS: Mapping[str, Callable[[Language], str]] = {
    "writing": writing,
    "family": lambda language: language.family or UNKNOWN,
    "script": lambda language: language.script_name or UNKNOWN,
    "resources": lambda language: language.resource_level or UNKNOWN,
    "distance": distance_band,
}
"""Grouping -> what the group of a language is called."""


def other_places(codes: Sequence[str], trained: Collection[str] = (ENGLISH,)) -> list[int]:
    """Places of the languages that an average is over: all but those that some run was trained in; all if there is no other."""
    return [i for i, code in enumerate(codes) if code not in trained] or list(range(len(codes)))


def group(codes: Iterable[str]) -> dict[tuple[str, str], tuple[str, ...]]:
    """(grouping, name) -> codes, for every grouping; groups by name, unknown ones last.

    Raises:
        LanguageError: if a text is no code of a language.
    """
    members = [languages.get(code) for code in codes]
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for grouping, name_of in GROUPINGS.items():
        names = sorted({name_of(language) for language in members}, key=lambda name: (name == UNKNOWN, name))
        for name in names:
            found[grouping, name] = tuple(language.code for language in members if name_of(language) == name)
    return found
