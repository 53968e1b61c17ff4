"""Numbers in Chinese and Japanese numerals: 三百二十, 两万五千, 二〇二四, 壹佰.

A single numeral is mostly a part of a word (一个, 十分, 万一), and so is a run that is no well-formed number (两三, 千万).
They are left alone.
"""

from __future__ import annotations

import re
from decimal import Decimal

_DIGITS = {
    c: n
    for n, digits in enumerate(
        ("零〇", "一壹壱", "二两兩贰貳弐", "三叁參参", "四肆", "五伍", "六陆陸", "七柒", "八捌", "九玖")
    )
    for c in digits
}
_SMALL = {"十": 10, "拾": 10, "百": 100, "佰": 100, "千": 1000, "仟": 1000}
_LARGE = {"万": 10**4, "萬": 10**4, "亿": 10**8, "億": 10**8, "兆": 10**12}
UNITS = {**{unit: n for unit, n in _SMALL.items() if n >= 1000}, **_LARGE}
"""Units that may follow digits: 3万, 5千."""
KILO = re.compile("千(?=[克米瓦卡焦赫帕伏安吨升])")
"""千 as the first part of kilogram, kilometre and their like, which is no thousand."""
NUMERALS = "".join([*_DIGITS, *_SMALL, *_LARGE])

_D, _ZERO = "".join(c for c, n in _DIGITS.items() if n), "零〇"
_SECTION = rf"(?:[{_D}][千仟])?(?:[{_ZERO}]?[{_D}][百佰])?(?:[{_ZERO}]?[{_D}]?[十拾])?(?:[{_ZERO}]?[{_D}])?"
_WELL_FORMED = re.compile(
    rf"(?:{_SECTION}[兆])?(?:[{_ZERO}]?{_SECTION}[亿億])?(?:[{_ZERO}]?{_SECTION}[万萬])?[{_ZERO}]?{_SECTION}"
)
_PLACES = re.compile(rf"[{''.join(_DIGITS)}]{{3,}}|[{''.join(_DIGITS)}]*[{_ZERO}][{''.join(_DIGITS)}]+")
"""Digit by digit, as years and numbers of telephones are written."""


def value_of(run: str, *, single: bool = False) -> Decimal | None:
    """The number that a run of numerals writes; None where it writes none.

    Args:
        single: whether one numeral alone is a number.

    >>> value_of("三百二十"), value_of("二〇二四"), value_of("千万"), value_of("十")
    (Decimal('320'), Decimal('2024'), None, None)
    """
    if len(run) == 1:
        return Decimal(_DIGITS.get(run, _SMALL.get(run, 0))) if single and (run in _DIGITS or run in _SMALL) else None
    if not any(c in _SMALL or c in _LARGE for c in run):
        return Decimal("".join(str(_DIGITS[c]) for c in run)) if _PLACES.fullmatch(run) else None
    if not _WELL_FORMED.fullmatch(run) or run[0] in _LARGE or run[0] in "百佰千仟":
        return None
    return Decimal(_read(run))


def _read(run: str) -> int:
    total = section = digit = 0
    for c in run:
        if c in _DIGITS:
            digit = _DIGITS[c]
        elif c in _SMALL:
            section, digit = section + (digit or 1) * _SMALL[c], 0
        else:
            total, section, digit = total + (section + digit) * _LARGE[c], 0, 0
    return total + section + digit
