"""Numbers in running text, as they are written around the world.

    digits       of every script (Unicode category Nd), full-width ones too; Chinese numerals (三百二十), and 万 and 亿 after digits
    separators   a comma, point, apostrophe or space that is followed by groups of exactly three digits, or that groups as in India
                 (12,34,567), separates thousands; any other comma or point starts the decimals
    signs        a hyphen, minus or dash right before the digits, unless a letter or digit stands before it; where a script writes no
                 spaces, a letter may
    more         3/4 and 1 1/2, ½, 10^3, 10³, 1.5e6, 2 × 10^5, and what LaTeX makes of them (1{,}234, \\frac{3}{4})

So `1.234` is 1234, as in German, and `0.125` is an eighth: right for the whole numbers that grade-school problems ask for, and stated here
because no rule reads both conventions.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator
from decimal import Decimal, localcontext
from typing import NamedTuple

from polyprefix.data.same_text import NO_SPACES, raised, visible
from polyprefix.scoring.chinese_numerals import KILO, NUMERALS, UNITS, value_of

_SIGN = rf"(?:(?<![\w)\]])|(?<=[{NO_SPACES}]))"
"""Where a hyphen is a sign: after no letter, digit or bracket, or after a letter of a script that writes no spaces."""
_NUMBER = re.compile(
    rf"""(?P<sign>{_SIGN}-)? [$€£¥₹₽฿৳]?
    (?: (?P<grouped> (?!0)[0-9]{{1,3}} (?P<separator>[,.'’ \u00a0\u2009\u202f]) [0-9]{{3}} (?:(?P=separator)[0-9]{{3}})*
          | (?!0)[0-9]{{1,2}} (?:,[0-9]{{2}})+ ,[0-9]{{3}} ) (?![0-9])
        (?: (?!(?P=separator)) [.,] (?P<part>[0-9]+) )?
      | (?P<plain>[0-9]+) (?: [.,] (?P<decimals>[0-9]+) )?
      | (?<![\w.,]) \. (?P<only>[0-9]+)
    )""",
    re.VERBOSE,
)
_CHINESE = re.compile(rf"(?P<minus>负|負|-)?(?P<numeral>[{NUMERALS}]+)")
_FRACTION = re.compile(r"[/⁄](?P<below>[0-9]+)(?![/⁄0-9]|[.,][0-9])")
_MIXED = re.compile(r"[ \u00a0](?P<above>[0-9]+)[/⁄](?P<below>[0-9]+)(?![/⁄0-9]|[.,][0-9])")
_POWER = re.compile(r"\^(?P<exponent>[-+]?[0-9]{1,3})(?![0-9])")
_TEN = re.compile(r"\s?[×x*·⋅]\s?10\^(?P<exponent>[-+]?[0-9]{1,3})(?![0-9])|[eE](?P<short>[-+]?[0-9]{1,3})(?![\w.])")
MOST_DIGITS = 400
"""A power with more is no number that anybody compares."""

_LATEX = (
    (re.compile(r"\{([,.])\}"), r"\1"),
    (re.compile(r"\\(?:d|t|c)?frac\s*\{\s*(-?[0-9]+)\s*\}\s*\{\s*([0-9]+)\s*\}"), r"\1⁄\2"),
    (re.compile(r"\\[,;: ]|~"), "\u2009"),
    (re.compile(r"\\!"), ""),
    (re.compile(r"\\([$%])"), r"\1"),
    (re.compile(r"\\(?:times|cdot)\b\s?"), "×"),
    (re.compile(r"\^\{\s*([-+]?[0-9]+)\s*\}"), r"^\1"),
    (re.compile(r"(?<=[0-9])\*\*(?=[-+]?[0-9])"), "^"),
)
_LETTERS = str.maketrans(
    {"٬": ",", "٫": ".", "．": ".", "＾": "^", "／": "/", "＄": "$", "％": "%", "＋": "+", "＊": "*"}
)
_DASHES = str.maketrans(dict.fromkeys("‐‑‒–−﹣－", "-"))
_LONG_DASH = re.compile(r"(?<![^\s(])[—―](?=[$€£¥]?[.]?[0-9])")
_CLAUSE_COMMA = re.compile(r"[，،](?=(?P<group>[0-9]{3}(?![0-9]))?)")
"""Between digits it separates thousands where exactly three follow; elsewhere it divides clauses."""
_VULGAR = re.compile("(?P<whole>[0-9]?)(?P<vulgar>[¼-¾⅐-⅞])")


class _Found(NamedTuple):
    start: int
    end: int
    value: Decimal


def ascii_digits(text: str) -> str:
    """The text with the decimal digits of every script as 0 to 9.

    >>> ascii_digits("๑๒ ４२")
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
    return [found.value for found in _scan(_plain(text))]


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
        if (found := next(_scan(plain[match.end() :], alone=True), None)) and found.start == 0:
            return found.value
    return None


def _plain(text: str) -> str:
    """One way to write each sign, digit and separator."""
    plain = visible(text)
    for pattern, written in _LATEX if "\\" in plain or "{" in plain or "**" in plain else ():
        plain = pattern.sub(written, plain)
    if plain.isascii():
        return plain
    plain = ascii_digits(_VULGAR.sub(_written_out, raised(plain))).translate(_LETTERS)
    plain = _CLAUSE_COMMA.sub(lambda match: "," if match["group"] else ", ", plain)
    return _LONG_DASH.sub("-", plain.translate(_DASHES))


def _written_out(match: re.Match[str]) -> str:
    return match["whole"] + (" " if match["whole"] else "") + unicodedata.normalize("NFKC", match["vulgar"])


def _scan(text: str, *, alone: bool = False) -> Iterator[_Found]:
    """The numbers of a plain text from left to right.

    Args:
        alone: whether a single Chinese numeral at the start is a number; inside a text it is mostly part of a word.
    """
    place = 0
    while place < len(text):
        digits, numeral = _NUMBER.search(text, place), _numeral(text, place, alone or len(text.strip(" 。.")) == 1)
        if digits is not None and (numeral is None or digits.start() <= numeral.start):
            found = _extended(text, digits)
        elif numeral is not None:
            found = numeral
        else:
            return
        yield found
        place = found.end


def _numeral(text: str, place: int, alone: bool) -> _Found | None:
    for match in _CHINESE.finditer(text, place):
        numeral = match["numeral"]
        if KILO.match(text, match.end() - 1):
            numeral = numeral[:-1]
        value = value_of(numeral, single=alone and match.start() == 0) if numeral else None
        if value is not None:
            return _Found(match.start(), match.start("numeral") + len(numeral), -value if match["minus"] else value)
    return None


def _extended(text: str, match: re.Match[str]) -> _Found:
    """A number in digits, with the fraction, the power or the unit that follows it."""
    value, sign, end = abs(_value(match)), -1 if match["sign"] else 1, match.end()
    whole = match["plain"] and not match["decimals"]
    before = text[match.start() - 1 : match.start()]
    if whole and before != "/" and (mixed := _MIXED.match(text, end)) and int(mixed["below"]):
        value, end = value + Decimal(int(mixed["above"])) / int(mixed["below"]), mixed.end()
    elif whole and before not in ("/", "⁄") and (fraction := _FRACTION.match(text, end)) and int(fraction["below"]):
        value, end = value / int(fraction["below"]), fraction.end()
    elif (power := _POWER.match(text, end)) and (raised_value := _raised_to(value, int(power["exponent"]))) is not None:
        value, end = raised_value, power.end()
    elif ten := _TEN.match(text, end):
        value, end = value.scaleb(int(ten["exponent"] or ten["short"])), ten.end()
    else:
        value, end = _with_units(text, value, end)
    return _Found(match.start(), end, _tidy(sign * value))


def _with_units(text: str, value: Decimal, end: int) -> tuple[Decimal, int]:
    """3万 and 3万5千: units of ten thousand and more, each smaller than the one before."""
    total, last = Decimal(0), None
    while (
        end < len(text)
        and (unit := UNITS.get(text[end]))
        and (last is None or unit < last)
        and not KILO.match(text, end)
    ):
        total, last, end = total + value * unit, unit, end + 1
        following = re.compile(r"[0-9]+(?:\.[0-9]+)?").match(text, end)
        if following is None:
            return total, end
        value, after = Decimal(following[0]), following.end()
        if text[after : after + 1] not in UNITS:
            return (total + value, after) if last > 1 and value < last else (total, end)
        end = after
    return (total, end) if last is not None else (value, end)


def _raised_to(base: Decimal, exponent: int) -> Decimal | None:
    with localcontext() as context:
        context.prec = MOST_DIGITS
        if base == 0:
            return Decimal(0) if exponent > 0 else None
        if abs(base.adjusted() + 1) * abs(exponent) > MOST_DIGITS:
            return None
        return base**exponent


def _value(match: re.Match[str]) -> Decimal:
    if match["grouped"]:
        whole = "".join(c for c in match["grouped"] if c.isdigit())
        decimals = match["part"]
    else:
        whole, decimals = match["plain"] or "0", match["only"] or match["decimals"]
    return Decimal(f"{'-' if match['sign'] else ''}{whole}.{decimals or '0'}")


def _tidy(value: Decimal) -> Decimal:
    with localcontext() as context:
        context.prec = max(28, len(value.as_tuple().digits))
        return value.normalize() + 0
