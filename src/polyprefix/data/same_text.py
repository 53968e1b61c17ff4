"""When two texts are the same to a reader: one rule for training rows, shots and test items, in every language.

What is written differently and means the same is folded: letter case, Unicode's normal forms, full-width letters, white space, marks that
nobody sees, quotation marks, and punctuation that ends or divides sentences. What carries meaning stays: letters with their vowel signs,
digits, the points and signs of numbers, operators (`a - b` is no `a + b`, C++ no C), brackets, symbols and emoji.
"""

from __future__ import annotations

import re
import sys
import unicodedata
from functools import cache

MEANT = frozenset("#%&*@/\\")
"""ASCII punctuation that is an operator or a part of a name, in Unicode's category of other punctuation."""
INVISIBLE = (
    [0x00AD, 0x034F, 0x061C, 0x180E, 0xFEFF, 0x115F, 0x1160],
    [*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x2060, 0x2070), *range(0xFE00, 0xFE10)],
)
"""Soft hyphens, joiners, marks of direction and of byte order, selectors of variants: no reader sees them."""
_INVISIBLE = dict.fromkeys(INVISIBLE[0] + INVISIBLE[1])
_RAISED = str.maketrans("⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻", "0123456789+-")
_RAISED_RUN = re.compile("[⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻]+")
_DASHES = dict.fromkeys(map(ord, "‐‑‒−﹣－"), "-")
NO_SPACES = "\u0e00-\u0eff\u0f00-\u0fff\u1000-\u109f\u1780-\u17ff\u2e80-\u303f\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff"
"""Ranges of the scripts that write no spaces between words, for a class of a regular expression."""
_WRITESNO_SPACES = re.compile(rf"\s*([{NO_SPACES}])\s*")
_HYPHEN = re.compile(r"(?<=[^\W\d_])[-_]+(?=[^\W\d_])")
_MARKS = re.compile(
    r"""(?<!\d)[.,:](?<!\s\.)(?<!^\.) | (?<!^)(?<!\s)[.,:](?!\d) | [.](?!\w)   # not within a number, not before a word (.NET)
      | [;?"'`] | !(?![\w=(])                                                # not as an operator
    """,
    re.VERBOSE,
)


def visible(text: str) -> str:
    """The text in Unicode's normal form C, without what no reader sees.

    >>> visible("e\\u0301\\u200b") == "é"
    True
    """
    if text.isascii():
        return text
    return unicodedata.normalize("NFC", text.translate(_INVISIBLE))


def raised(text: str) -> str:
    """Superscript digits as a power: `10³` is `10^3`, and not `103` as in Unicode's compatible form."""
    if text.isascii():
        return text
    return _RAISED_RUN.sub(lambda match: "^" + match[0].translate(_RAISED), text)


def same_text(text: str) -> str:
    """What is equal for texts that are the same to a reader.

    >>> same_text("“Hello,  World!”") == same_text("hello world"), same_text("a - b") == same_text("a + b")
    (True, False)
    """
    while (folded := _folded(text)) != text:  # what one step leaves side by side may be joined by the next
        text = folded
    return text


def _folded(text: str) -> str:
    folded = unicodedata.normalize("NFKC", raised(visible(text))).casefold()
    folded = _HYPHEN.sub(" ", folded.translate(_DASHES))
    if not folded.isascii():
        folded = folded.translate(_sentence_marks())
    folded = " ".join(_MARKS.sub(" ", folded).split())
    return folded if folded.isascii() else _WRITESNO_SPACES.sub(r"\1", folded)


@cache
def _sentence_marks() -> dict[int, str]:
    """Punctuation beyond ASCII that divides or quotes, and long dashes; maps to a space. Brackets stay."""
    kinds = {"Po", "Pi", "Pf", "Pd"}
    found = (code for code in range(0x80, sys.maxunicode + 1) if unicodedata.category(chr(code)) in kinds)
    return dict.fromkeys(found, " ")
