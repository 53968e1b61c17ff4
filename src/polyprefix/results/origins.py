"""Where test texts come from, in words: a figure of a language means another thing where a machine translated its texts."""

from __future__ import annotations

from collections.abc import Mapping

from polyprefix.languages import get

FEW = 4
"""So many languages are named; of more, their number."""


def origins_told(origins: Mapping[str, str]) -> str:
    """One line over all languages, those of one origin together, the fewest first.

    >>> origins_told({"eng_Latn": "original", "swh_Latn": "translated by people", "tha_Thai": "translated by people"})
    'original in English, translated by people in Swahili, Thai'
    """
    found: dict[str, list[str]] = {}
    for code, origin in origins.items():
        found.setdefault(origin, []).append(get(code).name)
    ordered = sorted(found.items(), key=lambda item: (len(item[1]), item[0]))
    return ", ".join(
        f"{origin} in {', '.join(names) if len(names) <= FEW else f'{len(names)} languages'}"
        for origin, names in ordered
    )
