"""Which language a line of text is in, as far as a recogniser knows it.

py3langid (M. Lui and T. Baldwin, langid.py, ACL 2012, in A. Barbaresi's version) knows 139 languages and works without a network. Of its
labels those count that are a language of our table in its usual script. Of other languages nothing is said: they are unknown, not wrong.
"""

from __future__ import annotations

import math
from functools import cache
from importlib.metadata import version

from polyprefix.languages import all_languages, get
from polyprefix.languages.lookup import tag

NO_LANGUAGE = "zxx"
"""The recogniser's label of what is no language."""
BOTH_SCRIPTS = frozenset({"zho"})
"""Languages that the recogniser knows in every script of our table."""


def recogniser() -> str:
    """Its name and version, for results."""
    return f"py3langid {version('py3langid')}"


def label_of(code: str) -> str | None:
    """What the recogniser calls a language; None where it does not know it.

    >>> label_of("swh_Latn"), label_of("zho_Hant"), label_of("hin_Latn"), label_of("bod_Tibt")
    ('sw', 'zh', None, None)
    """
    language = get(get(code).tag.language.code)  # it is the same recogniser for every region
    if language.iso639_3 is None or (
        language.iso639_3 not in BOTH_SCRIPTS and _usual(language.iso639_3) != language.code
    ):
        return None
    names = (tag(language).partition("-")[0], language.iso639_3)
    return next((name for name in names if name in _labels()), None)


def recognised(line: str) -> str:
    """The recogniser's label of a line."""
    import py3langid

    return str(py3langid.classify(line)[0])


def recognised_with_probability(text: str) -> tuple[str, float] | None:
    """The recogniser's label of a text and its probability among all labels; None where the text is no language.

    Of a few words the probability says little: scores of letters are taken as independent.
    """
    import py3langid

    ranked = py3langid.rank(text)
    label, top = ranked[0]
    if label == NO_LANGUAGE:
        return None
    return str(label), 1 / sum(math.exp(min(0.0, score - top)) for _, score in ranked)


@cache
def _labels() -> frozenset[str]:
    import py3langid

    return frozenset(str(label) for label, _ in py3langid.rank("")) - {NO_LANGUAGE}


@cache
def _usual(iso639_3: str) -> str | None:
    return next((language.code for language in all_languages() if language.iso639_3 == iso639_3), None)
