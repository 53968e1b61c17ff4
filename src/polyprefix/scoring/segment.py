"""Words and sentences, also of scripts that write no spaces.

Chinese is split as MLQA's evaluation does it, character by character (P. Lewis et al., MLQA, ACL 2020). Japanese, Thai,
Khmer, Lao and Burmese go through the word dictionaries of ICU (Unicode Standard Annex 29 and its tailorings), which
icu4py brings in its wheel. Every other language is split on white space.
"""

from __future__ import annotations

import re
from typing import Any

from polyprefix.errors import ConfigError

CHINESE = frozenset({"zho", "yue"})
ICU_LOCALES = {"jpn": "ja", "tha": "th", "khm": "km", "lao": "lo", "mya": "my"}
"""ISO 639-3 -> ICU's locale, of the languages whose words ICU finds with a dictionary."""
_HAN = re.compile("([\u4e00-\u9fa5])")
"""The range that MLQA takes for Chinese characters; the few added to Unicode later stay with their neighbours."""


def words(text: str, language: str) -> list[str]:
    """The words of a text without punctuation; for Chinese, its characters.

    Args:
        language: our code, such as `tha_Thai`.

    Raises:
        ConfigError: if the language needs ICU and icu4py is missing.
    """
    iso = language.partition("_")[0]
    if iso in CHINESE:
        return _HAN.sub(r" \1 ", text).split()
    if iso in ICU_LOCALES:
        segments = (segment.strip() for segment in _breakers().WordBreaker(text, ICU_LOCALES[iso]))
        return [segment for segment in segments if segment]
    return text.split()


def count_words(text: str, language: str) -> int:
    """Number of ICU's words that hold a letter or a digit, in any language.

    Args:
        language: our code, such as `tha_Thai`.

    Raises:
        ConfigError: if icu4py is missing.
    """
    locale = ICU_LOCALES.get(language.partition("_")[0], "en")  # ICU's dictionaries go by script, whatever the locale
    return sum(any(map(str.isalnum, segment)) for segment in _breakers().WordBreaker(text, locale))


def sentence_count(text: str) -> int:
    """Number of English sentences, by ICU's rules.

    Raises:
        ConfigError: if icu4py is missing.
    """
    return sum(1 for segment in _breakers().SentenceBreaker(text, "en") if segment.strip())


def _breakers() -> Any:
    try:
        from icu4py import breakers
    except ModuleNotFoundError:
        raise ConfigError("words of scripts without spaces: icu4py is missing; pip install icu4py") from None
    return breakers
