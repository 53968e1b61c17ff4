"""Law: words are found where no space shows them, and nowhere does splitting lose a character."""

from __future__ import annotations

import sys

import pytest

from polyprefix.errors import ConfigError
from polyprefix.scoring.segment import ICU_LOCALES, sentence_count, words

TEXTS = {
    "jpn_Jpan": ("東京都に住んでいます", "東京"),
    "tha_Thai": ("ประเทศไทยอยู่ในเอเชีย", "เอเชีย"),
    "khm_Khmr": ("ខ្ញុំចូលចិត្តញ៉ាំបាយ", "ចូលចិត្ត"),
    "lao_Laoo": ("ຂ້ອຍມັກກິນເຂົ້າ", "ມັກ"),
    "mya_Mymr": ("ကျွန်တော်ထမင်းစားတယ်", "ထမင်းစား"),
}


@pytest.mark.parametrize("language", TEXTS)
def test_dictionary_words(language: str) -> None:
    text, word = TEXTS[language]
    found = words(text, language)
    assert word in found
    assert "".join(found) == text
    assert words(f" {text}  {text}\n", language) == found * 2


def test_there_is_a_text_for_each_locale() -> None:
    assert {language.partition("_")[0] for language in TEXTS} == set(ICU_LOCALES)


def test_chinese_is_split_by_character_and_the_rest_on_spaces() -> None:
    assert words("北京2008 Olympic奥运 会", "zho_Hans") == ["北", "京", "2008", "Olympic", "奥", "运", "会"]
    assert words("北京", "yue_Hant") == ["北", "京"]
    assert words("北京 2008", "kor_Hang") == ["北京", "2008"]


def test_nothing_is_no_words() -> None:
    assert all(words(" \n", f"{iso}_Xxxx") == [] for iso in ("zho", "eng", *ICU_LOCALES))


def test_sentences() -> None:
    assert sentence_count("He ate. Then he slept!\nWhy? Nobody knows") == 4
    assert sentence_count(" ") == 0


def test_without_icu_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "icu4py", None)
    with pytest.raises(ConfigError, match="pip install icu4py"):
        words("ไทย", "tha_Thai")
    assert words("no need of it", "eng_Latn")
