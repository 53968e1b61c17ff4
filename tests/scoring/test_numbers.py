"""Law: a number has one value, in whatever digits and with whatever separators it is written."""

from __future__ import annotations

import sys
import unicodedata
from decimal import Decimal

import pytest

from polyprefix.scoring.numbers import ascii_digits, last_number, number_after, numbers


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18", "18"), ("18.", "18"), ("18.00", "18"), ("0", "0"), ("007", "7"), ("$1,234.50", "1234.5"),
        ("1.234,50 €", "1234.5"), ("1.000.000", "1000000"), ("1 234 567", "1234567"), ("1\u00a0234", "1234"),
        ("1\u202f234,5", "1234.5"), ("1'234'567", "1234567"), ("1’234", "1234"), ("12,34,567", "1234567"),
        ("1,23,456.75", "123456.75"), ("3,5", "3.5"), ("12.50", "12.5"), ("0.125", "0.125"), ("0,125", "0.125"),
        ("x = .5", "0.5"), ("-5", "-5"), ("−5", "-5"), ("-$5", "-5"), ("10-5", "5"), ("1234567", "1234567"),
        ("2020 300", "300"), ("1234,567", "1234.567"), ("276,000", "276000"), ("١٬٢٣٤٫٥", "1234.5"), ("๑๘", "18"),
        ("১৮টি", "18"), ("౧౮", "18"), ("１８個", "18"), ("答えは18です。", "18"), ("**18**", "18"), ("5²", "5"),
        ("18%", "18"), ("1.234", "1234"),
    ],
)  # fmt: skip
def test_last_number(text: str, value: str) -> None:
    assert last_number(text) == Decimal(value)


def test_every_script_has_the_same_ten_digits() -> None:
    decimals = [c for c in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(c) == "Nd"]
    assert len(decimals) > 600 and len(decimals) % 10 == 0
    for start in range(0, len(decimals), 10):
        script = "".join(decimals[start : start + 10])
        assert ascii_digits(script) == "0123456789"
        assert numbers(script[1:4] + " " + script[9]) == [123, 9]


def test_all_numbers_in_order() -> None:
    assert numbers("16 - 3 - 4 = 9 and 9 * 2 = $18") == [16, 3, 4, 9, 9, 2, 18]
    assert numbers("") == numbers("no number, none.") == []
    assert last_number("...") is None


def test_number_after_a_phrase() -> None:
    phrases = ("The answer is", "Ответ")
    assert number_after("THE ANSWER IS 7. 9", phrases) == 7
    assert number_after("The answer is unknown. The answer is: $1,000", phrases) == 1000
    assert number_after("Ответ — ١٢", phrases) == 12
    assert number_after("The answer is about 7", phrases) is None
    assert number_after("7", phrases) is None
