"""Numbers in running text, as they are written around the world.

Digits are those of every script (Unicode category Nd). A comma, point, apostrophe or space that is followed by groups
of exactly three digits, or that groups as in India (12,34,567), separates thousands; any other comma or point starts
the decimals. So `1.234` is 1234, as in German, and `0.125` is an eighth: right for the whole numbers that grade-school
problems ask for, and stated here because no rule reads both conventions.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from decimal import Decimal

_NUMBER = re.compile(
    r"""(?P<sign>(?<![\w)\]])[-−])? [$€£¥₹₽฿৳]?
    (?: (?P<grouped> (?!0)[0-9]{1,3} (?P<separator>[,.'’ \u00a0\u2009\u202f]) [0-9]{3} (?:(?P=separator)[0-9]{3})*
          | (?!0)[0-9]{1,2} (?:,[0-9]{2})+ ,[0-9]{3} ) (?![0-9])
        (?: (?!(?P=separator)) [.,] (?P<part>[0-9]+) )?
      | (?P<plain>[0-9]+) (?: [.,] (?P<decimals>[0-9]+) )?
      | (?<![\w.,]) \. (?P<only>[0-9]+)
    )""",
    re.VERBOSE,
)
_ARABIC_SEPARATORS = str.maketrans({"٬": ",", "٫": "."})


def ascii_digits(text: str) -> str:
    """The text with the decimal digits of every script as 0 to 9.

    >>> ascii_digits("๑๒ ４২")
    '12 42'
    """
    if text.isascii():
        return text
    return "".join(c if c.isascii() or not c.isdecimal() else str(unicodedata.decimal(c)) for c in text)


def numbers(text: str) -> list[Decimal]:
    """All numbers of a text, in order; equal values are equal however they were written.

    >>> [str(n) for n in numbers("1,234 + 1.234,5 = -٣")]
    ['1234', '1234.5', '-3']
    """
    return [_value(match) for match in _NUMBER.finditer(_plain(text))]


def last_number(text: str) -> Decimal | None:
    """The last number of a text; None if it has none."""
    found = numbers(text)
    return found[-1] if found else None


def number_after(text: str, phrases: Iterable[str]) -> Decimal | None:
    """The number right after the first of the phrases that has one; a colon, a dash and spaces may lie between.

    Letter case does not count. None if no phrase is followed by a number.

    >>> number_after("So 3 + 4 is 7. The answer is: $7.", ["the answer is"])
    Decimal('7')
    """
    plain = _plain(text)
    wanted = "|".join(re.escape(_plain(phrase)) for phrase in phrases)
    for match in re.finditer(rf"(?:{wanted})\s*[:：]?\s*(?:—\s*)?", plain, re.IGNORECASE):
        if number := _NUMBER.match(plain, match.end()):
            return _value(number)
    return None


def _plain(text: str) -> str:
    return ascii_digits(text).translate(_ARABIC_SEPARATORS)


def _value(match: re.Match[str]) -> Decimal:
    if match["grouped"]:
        whole = "".join(c for c in match["grouped"] if c.isdigit())
        decimals = match["part"]
    else:
        whole, decimals = match["plain"] or "0", match["only"] or match["decimals"]
    return Decimal(f"{'-' if match['sign'] else ''}{whole}.{decimals or '0'}").normalize()
