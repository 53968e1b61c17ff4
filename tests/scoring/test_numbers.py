"""Law: a number has one value, in whatever digits and with whatever separators it is written."""

from __future__ import annotations

import sys
import unicodedata
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

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
        ("১৮টি", "18"), ("౧౮", "18"), ("１８個", "18"), ("答えは18です。", "18"), ("**18**", "18"), ("5²", "25"),
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


WRITTEN = [
    ("1，234", "1234"), ("１，２３４．５", "1234.5"), ("3，5", "5"), ("1{,}234", "1234"), (r"$1{,}234{,}567$", "1234567"),
    (r"\frac{3}{4}", "0.75"), (r"\dfrac{-1}{2}", "-0.5"), ("3/4", "0.75"), ("1 1/2", "1.5"), ("1½", "1.5"), ("½", "0.5"),
    ("10^3", "1000"), ("10³", "1000"), ("10**3", "1000"), ("10^{3}", "1000"), ("2^10", "1024"), ("2 × 10^5", "200000"),
    (r"2 \times 10^{5}", "200000"), ("1.5e6", "1500000"), ("5E3", "5000"), ("三百二十", "320"), ("答案是三百二十。", "320"),
    ("二〇二四", "2024"), ("壹佰", "100"), ("3万", "30000"), ("3万5千", "35000"), ("1万2000", "12000"), ("1.5亿", "150000000"),
    ("答案是-5", "-5"), ("答えは−5です", "-5"), ("คำตอบคือ-5", "-5"), ("–5", "-5"), ("—5", "-5"), ("－５", "-5"), ("x = ‐7", "-7"),
    ("A-5", "5"), ("3–5", "5"), ("18个，一共", "18"), ("3/4/2020", "2020"), ("12/4=3", "3"), ("٣٬٠٠٠", "3000"), ("٣،٠٠٠", "3000"),
    ("\u200e-5\u200e", "-5"), ("负三十", "-30"), ("十", "10"), (r"1\,234", "1234"), ("-½", "-0.5"), ("-3/4", "-0.75"),
    ("5千克", "5"), ("1/0", "0"), ("10^999", "999"), ("1e5x", "5"), ("\ufeff7", "7"),
]  # fmt: skip
NO_NUMBERS = ["十分", "千万", "两三个", "一个", "万一", "百分之", "Ⅳ", "no", ""]


@pytest.mark.parametrize(("text", "value"), WRITTEN)
def test_numbers_as_they_are_written(text: str, value: str) -> None:
    assert last_number(text) == Decimal(value)


@pytest.mark.parametrize("text", NO_NUMBERS)
def test_words_that_look_like_numbers(text: str) -> None:
    assert last_number(text) is None


def chinese(number: int) -> str:
    """In numerals, as people write them."""
    digits, units = "零一二三四五六七八九", ["", "十", "百", "千"]

    def section(value: int) -> str:
        out, zero = "", False
        for place in (3, 2, 1, 0):
            digit = value // 10**place % 10
            if digit:
                out += ("零" if zero and out else "") + digits[digit] + units[place]
            zero = not digit
        return out

    parts = [(number // 10**8 % 10**4, "亿"), (number // 10**4 % 10**4, "万"), (number % 10**4, "")]
    written = "".join(section(value) + unit for value, unit in parts if value)
    return written.removeprefix("一") if written.startswith("一十") else written


SCRIPTS = [chr(code) for code in range(sys.maxunicode + 1) if unicodedata.category(chr(code)) == "Nd"][::10]
THOUSANDS = [",", ".", " ", "'", "’", "\u00a0", "\u202f", "{,}", "٬", "，", r"\,"]
AROUND = [
    ("", ""),
    ("The answer is ", "."),
    ("答案是", "。"),
    ("คำตอบคือ", ""),
    ("\u200f", "\u200f"),
    ("(", ")"),
    ("= ", " €"),
    ("**", "**"),
]


@settings(max_examples=1500, deadline=None)
@given(
    st.integers(0, 10**9), st.sampled_from(["", "-", "−", "–", "－"]), st.sampled_from(SCRIPTS), st.sampled_from(THOUSANDS),
    st.booleans(), st.sampled_from(AROUND),
)  # fmt: skip
def test_a_number_has_one_value_however_it_is_written(
    number: int, sign: str, zero: str, separator: str, grouped: bool, around: tuple[str, str]
) -> None:
    ascii_text = f"{number:,}" if grouped else str(number)
    written = "".join(separator if c == "," else chr(ord(zero) + int(c)) for c in ascii_text)
    text = around[0] + sign + written + around[1]
    assert last_number(text) == (-number if sign else number), text


@settings(max_examples=800, deadline=None)
@given(st.integers(11, 10**10))
def test_chinese_numerals(number: int) -> None:
    written = chinese(number)
    if len(written) > 1 and not (written[0] in "十" and len(written) == 1):
        assert last_number(f"答案是{written}。") == number


@settings(max_examples=600, deadline=None)
@given(st.text(alphabet="0123456789.,-/^ ×e万千百十一二{}\\frac½³$€－，", max_size=14))
def test_no_text_is_too_odd(text: str) -> None:
    assert all(value.is_finite() for value in numbers(text))
