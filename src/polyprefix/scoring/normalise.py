"""Answers before they are compared: as SQuAD v1.1 does it for English, and with regard to the language.

`squad` follows the official evaluation of SQuAD v1.1 (P. Rajpurkar et al., EMNLP 2016): lower case, no ASCII
punctuation, no English articles, single spaces. XTREME and the source paper use it in every language, so figures under
it can be compared; but it leaves "北京。" and "北京" different.

`language_aware` follows the official evaluation of MLQA (P. Lewis et al., ACL 2020) exactly in its seven languages,
with its oddity: Arabic loses every "ال", not only the article at the start of a word. Other languages get the same
steps, with two additions that MLQA's languages must not have, lest the figures differ: digits of every script become
ASCII, and words come from a dictionary where spaces do not show them (`segment`). In all of them a text counts as it is
seen: in one normal form of Unicode, without joiners, marks of direction and of byte order. `squad` stays as published.
An answer without any word left has F1 0.
"""

from __future__ import annotations

import re
import string
import sys
import unicodedata
from functools import cache

from polyprefix.data.same_text import visible
from polyprefix.scoring.numbers import ascii_digits
from polyprefix.scoring.segment import words

MLQA = frozenset({"eng", "spa", "arb", "hin", "vie", "deu", "zho"})
"""ISO 639-3 codes of the languages that MLQA evaluates."""
ARTICLES = {
    "eng": "a an the",
    "spa": "un una unos unas el la los las",
    "deu": "ein eine einen einem eines einer der die das den dem des",
    "vie": "của là cái chiếc những",
    # beyond MLQA, for XQuAD's other languages; Russian, Thai and Turkish have none that stand alone
    "ell": "ο η το οι τα του της των τον τη την τους τις ένας μια μία ένα ενός μιας μίας έναν",
    "ron": "un o unui unei unor niște nişte",
}
"""ISO 639-3 -> words left out; MLQA's for its languages (its Vietnamese ones are a particle, a copula, classifiers)."""
ARABIC = frozenset({"arb", "acm", "acq", "aeb", "ajp", "apc", "ars", "ary", "arz"})
_ASCII_PUNCTUATION = str.maketrans("", "", string.punctuation)
_ENGLISH_ARTICLE = re.compile(r"\b(a|an|the)\b")


def squad(text: str) -> str:
    """Lower case, without ASCII punctuation and English articles, words apart by one space.

    >>> squad("The  Beatles!")
    'beatles'
    """
    plain = text.lower().translate(_ASCII_PUNCTUATION)
    return " ".join(_ENGLISH_ARTICLE.sub(" ", plain).split())


def language_aware(text: str, language: str) -> str:
    """Lower case, without Unicode punctuation and the language's articles, words apart by one space.

    Args:
        language: our code, such as `zho_Hans`.

    Raises:
        ConfigError: if the language's words cannot be found here (see `segment.words`).

    >>> language_aware("北京。", "zho_Hans"), language_aware("Der Löwe", "deu_Latn")
    ('北 京', 'löwe')
    """
    iso = language.partition("_")[0]
    plain = visible(text).lower().translate(_unicode_punctuation())
    if iso not in MLQA:
        plain = ascii_digits(plain)
    if iso in ARABIC:
        plain = plain.replace("ال", " ")
    elif iso in ARTICLES:
        plain = _article(iso).sub(" ", plain)
    return " ".join(words(plain, language))


@cache
def _unicode_punctuation() -> dict[int, None]:
    """Everything in a Unicode category P*, and the ASCII symbols that are not, such as $ and +; maps to nothing."""
    marks = {i for i in range(sys.maxunicode + 1) if unicodedata.category(chr(i)).startswith("P")}
    return dict.fromkeys(marks | set(map(ord, string.punctuation)))


@cache
def _article(iso: str) -> re.Pattern[str]:
    return re.compile(rf"\b({'|'.join(ARTICLES[iso].split())})\b")
