"""Law: fertility is tokens per word, with words also where no spaces are written."""

from __future__ import annotations

import pytest

from polyprefix.scoring.segment import count_words
from polyprefix.text.fertility import fertilities, fertility
from polyprefix.types import Example


class Characters:
    """A tokenizer with one token a character."""

    def __call__(self, texts: list[str], add_special_tokens: bool) -> dict[str, list[list[str]]]:
        assert not add_special_tokens
        return {"input_ids": [list(text) for text in texts]}


@pytest.mark.parametrize(
    ("text", "language", "words"),
    [
        ("How good is your tokenizer?", "eng_Latn", 5),
        ("– … ?", "eng_Latn", 0),
        ("ฉันรักภาษาไทย", "tha_Thai", 4),
        ("我喜欢学习语言", "zho_Hans", 4),
        ("मेरा नाम राम है", "hin_Deva", 4),
    ],
)
def test_words(text: str, language: str, words: int) -> None:
    assert count_words(text, language) == words


def test_tokens_per_word() -> None:
    assert fertility(Characters(), ["ab cd", "efgh"], "eng_Latn") == pytest.approx(9 / 3)
    assert fertility(Characters(), ["..."], "eng_Latn") is None


def test_languages_without_words_are_absent() -> None:
    examples = {"eng_Latn": [Example("1", "eng_Latn", {"a": "ab", "b": "cd"}, (), ("x",))],
                "deu_Latn": [Example("1", "deu_Latn", {"a": "?"}, (), ("x",))]}  # fmt: skip
    assert fertilities(Characters(), examples) == {"eng_Latn": 2.5}
