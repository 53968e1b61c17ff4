"""Law: the script and the direction in the table are those of the letters that the language's texts are made of."""

from __future__ import annotations

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable
from functools import cache
from itertools import chain
from pathlib import Path

import pytest

from polyprefix.languages import all_languages, get
from polyprefix.tasks._terms_names import LOCALES, english_terms, foreign_terms

HUB = Path(os.environ.get("POLYPREFIX_HUB", Path(__file__).parents[3] / "shared" / "hub"))

HAN = ("CJK UNIFIED", "CJK COMPATIBILITY")
LETTERS = {  # ISO 15924 -> how Unicode's names of its letters begin
    "Adlm": ("ADLAM",), "Arab": ("ARABIC",), "Armn": ("ARMENIAN",), "Beng": ("BENGALI",), "Cakm": ("CHAKMA",),
    "Cher": ("CHEROKEE",), "Cyrl": ("CYRILLIC",), "Deva": ("DEVANAGARI",), "Ethi": ("ETHIOPIC",), "Geor": ("GEORGIAN",),
    "Grek": ("GREEK",), "Gujr": ("GUJARATI",), "Guru": ("GURMUKHI",), "Hang": ("HANGUL",), "Hans": HAN, "Hant": HAN,
    "Hebr": ("HEBREW",), "Jpan": (*HAN, "HIRAGANA", "KATAKANA"), "Khmr": ("KHMER",), "Knda": ("KANNADA",),
    "Laoo": ("LAO ",), "Latn": ("LATIN",), "Mlym": ("MALAYALAM",), "Mymr": ("MYANMAR",), "Nkoo": ("NKO",),
    "Olck": ("OL CHIKI",), "Orya": ("ORIYA",), "Sinh": ("SINHALA",), "Taml": ("TAMIL",),
    "Telu": ("TELUGU",), "Tfng": ("TIFINAGH",),
    "Thai": ("THAI",), "Tibt": ("TIBETAN",),
}  # fmt: skip


@cache
def belongs(letter: str, script: str) -> bool:
    return unicodedata.name(letter, "").startswith(LETTERS[script])


def share_in_script(texts: Iterable[str], script: str) -> float:
    letters = Counter(c for text in texts for c in text if unicodedata.category(c).startswith("L"))
    return sum(n for c, n in letters.items() if belongs(c, script)) / letters.total()


def test_every_script_is_known_to_unicode() -> None:
    assert {row.script for row in all_languages()} == LETTERS.keys()


def test_direction_is_the_bidirectional_class_of_the_letters() -> None:
    classes: dict[str, set[str]] = {script: set() for script in LETTERS}
    # everything below the Han characters, some of those, some Hangul, Chakma, Adlam
    blocks = (
        range(0x3100),
        range(0x4E00, 0x4F00),
        range(0xAC00, 0xAD00),
        range(0x11100, 0x11150),
        range(0x1E900, 0x1E950),
    )
    for c in map(chr, chain.from_iterable(blocks)):
        if unicodedata.category(c) in ("Lu", "Ll", "Lo"):
            for script in LETTERS:
                if belongs(c, script):
                    classes[script].add(unicodedata.bidirectional(c))
    for row in all_languages():
        expected = {"L"} if row.direction == "ltr" else {"R", "AL"}
        assert classes[row.script] and classes[row.script] <= expected, row.script


@pytest.mark.parametrize("code", LOCALES)
def test_names_from_cldr_are_in_the_tables_script(code: str) -> None:
    names = english_terms() if code == "eng_Latn" else foreign_terms(code)
    assert share_in_script(names.values(), get(code).script) > 0.95


@pytest.mark.hub
def test_sib200_texts_are_in_the_tables_script() -> None:
    from pyarrow import parquet

    folders = sorted(path for path in (HUB / "Davlan" / "sib200").glob("*_*") if path.is_dir())
    if not folders:
        pytest.skip(f"no mirror at {HUB}")
    assert len(folders) == 205
    for folder in folders:
        (file,) = folder.glob("test-*.parquet")
        texts = parquet.read_table(file, columns=["text"])["text"].to_pylist()[:50]
        assert share_in_script(texts, get(folder.name).script) > 0.85, folder.name
