"""Find a language as people write it: `sw`, `swa`, `sw-Latn`, `zh_TW`, `Swahili`, `Chinese (Traditional)`."""

from __future__ import annotations

import csv
import difflib
import re
import unicodedata
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from polyprefix.errors import LanguageError
from polyprefix.languages.table import Language, all_languages, get

_DIACRITICS = re.compile("[\u0300-\u036f]")
_REGION = re.compile(r"[a-z]{2}|[0-9]{3}")


def find(text: str, among: Iterable[str] | None = None) -> Language:
    """The language that `text` names: an ISO 639-1, -2 or -3 code, a BCP 47 tag, our code, or a name.

    What is ambiguous is resolved in favour of `among` (a task's codes): `sr` is the Serbian that the task has.
    Otherwise the usual script and the standard variety win: `zh` is `zho_Hans`, `ar` is `arb_Arab`.

    Raises:
        LanguageError: if nobody knows the name, or `among` has none of the languages it may mean.
    """
    allowed = None if among is None else set(among)
    if allowed is not None and text in allowed:
        return get(text)
    candidates = _candidates(normalise(text))
    if not candidates:
        raise LanguageError(_unknown(text, allowed))
    chosen = [code for code in candidates if allowed is None or code in allowed]
    if not chosen:
        raise LanguageError(
            f"'{text}' is {get(candidates[0]).name} ({candidates[0]}), which is not on offer here; "
            f"choose another of {len(allowed or ())}, or 'all'"
        )
    return get(chosen[0])


def normalise(text: str) -> str:
    """The form in which aliases are compared: lower case, no diacritics of Latin letters, one space between words.

    >>> normalise("Chinese (Traditional)"), normalise("zh_Hant-TW"), normalise("Norsk  BOKMÅL")
    ('chinese traditional', 'zh hant tw', 'norsk bokmal')
    """
    plain = unicodedata.normalize("NFC", _DIACRITICS.sub("", unicodedata.normalize("NFD", text.casefold())))
    plain = re.sub("['’‘ʼ`]", "", plain)
    # letters, marks (vowel signs of Indic scripts) and digits; everything else separates words
    return " ".join("".join(c if unicodedata.category(c)[0] in "LMN" else " " for c in plain).split())


def tag(language: Language) -> str:
    """The BCP 47 tag (RFC 5646) of a language and its script, for `lang` in HTML: two letters where there are two.

    >>> from polyprefix.languages import get
    >>> tag(get("eng_Latn")), tag(get("zho_Hant")), tag(get("ary_Arab"))
    ('en-Latn', 'zh-Hant', 'ary-Arab')
    """
    return f"{_two_letters().get(language.iso639_3, language.iso639_3)}-{language.script}"


@cache
def _two_letters() -> dict[str, str]:
    """ISO 639-3 -> ISO 639-1; a code that stands for several languages (`ar`) is that of the usual one."""
    found = {codes[0][:3]: alias for alias, codes in _aliases().items() if re.fullmatch("[a-z]{2}", alias)}
    return found | {"ind": "id", "heb": "he"}  # not the codes that ISO withdrew: in, iw


def _candidates(key: str) -> tuple[str, ...]:
    """Codes that a normalised text may mean, the likeliest first."""
    known = _aliases().get(key)
    if known or not key:
        return known or ()
    *words, last = key.split()
    if not words:
        return ()
    if last in _scripts():  # a tag's script, such as sw-Latn
        return tuple(code for code in _candidates(" ".join(words)) if code[4:].casefold() == last)
    if _REGION.fullmatch(last):  # a tag's region says nothing here, unless the table of aliases has it (zh-TW)
        return _candidates(" ".join(words))
    return ()


@cache
def _aliases() -> dict[str, tuple[str, ...]]:
    found: dict[str, tuple[str, ...]] = {}
    text = Path(__file__).with_name("aliases.csv").read_text(encoding="utf-8")
    for alias, code in list(csv.reader(text.splitlines()))[1:]:
        found[alias] = (*found.get(alias, ()), code)
    return found


@cache
def _scripts() -> frozenset[str]:
    return frozenset(language.script.casefold() for language in all_languages())


def _unknown(text: str, allowed: set[str] | None) -> str:
    aliases = [alias for alias, codes in _aliases().items() if allowed is None or not allowed.isdisjoint(codes)]
    close = difflib.get_close_matches(normalise(text), aliases, n=1, cutoff=0.6)
    if not close:
        return f"no language '{text}'; `polyprefix list languages` shows all codes and names"
    code = next(code for code in _aliases()[close[0]] if allowed is None or code in allowed)
    return f"no language '{text}'; did you mean {get(code).name} ({code})? `polyprefix list languages` shows all"
