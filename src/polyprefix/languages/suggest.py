"""What an unknown language may have been meant to be: the nearest by spelling, and those whose names share a word with it."""

from __future__ import annotations

import difflib
from collections.abc import Collection, Mapping

from polyprefix.languages import registry
from polyprefix.languages.table import get

MOST = 3
"""Languages that are named for a shared word."""
TELLING = 4
"""Letters of a word that tells something."""
_WHERE = "`polyprefix list languages --name ...` finds codes and names"


def unknown(text: str, allowed: Collection[str] | None, aliases: Mapping[str, tuple[str, ...]]) -> str:
    """What is wrong with a text that is no language, and what may have been meant.

    Args:
        allowed: codes of the languages that there are; None means every language.
        aliases: normalised names and codes -> codes.
    """
    key = registry.normalise(text)
    known = (
        dict(aliases)
        if allowed is None
        else {alias: c for alias, codes in aliases.items() if (c := _in(codes, allowed))}
    )
    if allowed is None:
        known = {code: (_code(code),) for code in registry.codes()} | known
        known = {name: tuple(map(_code, codes)) for name, codes in registry.names().items()} | known
    else:
        known |= {registry.normalise(get(code).name): (code,) for code in allowed}
    first, _, rest = key.partition(" ")
    is_code = len(first) < TELLING and (not rest or rest.title() in registry.scripts())
    pool = {name for name in known if (len(name) < TELLING) == is_code}
    near = difflib.get_close_matches(first if is_code else key, sorted(pool), n=1, cutoff=0.6)
    spelled = known[near[0]][0] if near else None
    alike = [code for code in _sharing_a_word(key, known) if code != spelled][:MOST]
    hints = [f"did you mean {_named(spelled)}?"] if spelled else []
    hints += [f"Names like it: {', '.join(map(_named, alike))}."] if alike else []
    return f"no language '{text}'; {' '.join([*hints, _WHERE])}"


def _in(codes: tuple[str, ...], allowed: Collection[str]) -> tuple[str, ...]:
    return tuple(code for code in codes if code in allowed)


def _code(iso639_3: str) -> str:
    found = registry.entry(iso639_3)
    return f"{iso639_3}_{found.script}" if found and found.script else iso639_3


def _named(code: str) -> str:
    return f"{get(code).name} ({code})"


def _sharing_a_word(key: str, known: Mapping[str, tuple[str, ...]]) -> list[str]:
    """The codes of names that share words with a text, most words first, then short names first."""
    words = {word for word in key.split() if len(word) >= TELLING and word.title() not in registry.scripts()}
    shared = {name: len(words.intersection(name.split())) for name in known} if words else {}
    names = sorted((name for name, count in shared.items() if count), key=lambda name: (-shared[name], len(name), name))
    return list(dict.fromkeys(code for name in names for code in known[name]))
