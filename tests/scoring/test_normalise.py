"""Law: SQuAD's and MLQA's figures are the official ones on any input; other languages get words where none show.

The oracles below are written from the published rules, run by run of characters instead of by regular expression.
"""

from __future__ import annotations

import random
import string
import unicodedata
from collections.abc import Callable
from itertools import groupby

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyprefix.data.same_text import visible
from polyprefix.scoring.answers import exact_match, f1
from polyprefix.scoring.normalise import language_aware, squad

ENGLISH = {"a", "an", "the"}
MLQA_ARTICLES = {
    "eng_Latn": ENGLISH,
    "spa_Latn": {"un", "una", "unos", "unas", "el", "la", "los", "las"},
    "deu_Latn": {"ein", "eine", "einen", "einem", "eines", "einer", "der", "die", "das", "den", "dem", "des"},
    "vie_Latn": {"của", "là", "cái", "chiếc", "những"},
    "hin_Deva": set(),
    "arb_Arab": set(),
    "zho_Hans": set(),
}
PIECES = [
    " ", "  ", "\t", "\n", "\u00a0", "\u3000", "\u2028", "\x1c", "\u200b", "\u200d", "", "\U0010ffff",
    *"aAxyzß_0129٣४", *string.punctuation, *"。，、；！？「」…—–¿¡«»“”’।؟،٪〜・€°²½🙂\U0001f1e9\ufeff\u0301\u0130ŉ",
    *"北京中文字一龥龦㐀ひカ가กรู", "ال", "الق", "خالد", "ما", "नहीं", "क्या", "cu\u0309a", "the", "The", "an", "theory",
    "el", "La", "los", "der", "Die", "das", "ein", "của", "Là", "những", "New York",
]  # fmt: skip
CASES = 20_000


def generated(seed: int, count: int = CASES) -> list[tuple[str, str]]:
    """Pairs of odd strings; every other pair shares most of its pieces, so that words are in common."""
    rng = random.Random(seed)

    def pieces() -> list[str]:
        return [any_character(rng) if rng.random() < 0.1 else rng.choice(PIECES) for _ in range(rng.randrange(9))]

    pairs = []
    for case in range(count):
        left = pieces()
        right = rng.sample(left, rng.randint(0, len(left))) if case % 2 else pieces()
        joint = rng.choice(["", " "])
        pairs.append((joint.join(left), joint.join(right)))
    return pairs


def any_character(rng: random.Random) -> str:
    """Any code point but a surrogate, the low ones more often."""
    code = rng.randrange(rng.choice([0x250, 0x3000, 0x10000, 0x110000]))
    return chr(code) if not 0xD800 <= code < 0xE000 else "\ufffd"


def without_words(text: str, unwanted: set[str]) -> str:
    """Every run of letters, digits and underscores that is unwanted becomes a space."""
    runs = ("".join(run) for _, run in groupby(text, key=lambda c: c.isalnum() or c == "_"))
    return "".join(" " if run in unwanted else run for run in runs)


def squad_oracle(text: str) -> list[str]:
    kept = "".join(c for c in text.lower() if c not in string.punctuation)
    return without_words(kept, ENGLISH).split()


def mlqa_oracle(text: str, language: str) -> list[str]:
    kept = [c for c in text.lower() if unicodedata.category(c)[0] != "P" and c not in string.punctuation]
    if language == "arb_Arab":
        plain = " ".join("".join(kept).split("ال"))
    else:
        plain = without_words("".join(kept), MLQA_ARTICLES[language])
    if language != "zho_Hans":
        return plain.split()
    tokens: list[str] = []
    for han, run in groupby(plain, key=lambda c: 0x4E00 <= ord(c) <= 0x9FA5):
        piece = "".join(run)
        tokens += list(piece) if han else piece.split()
    return tokens


def f1_oracle(found: list[str], expected: list[str]) -> float:
    left, common = list(expected), 0
    for word in found:
        if word in left:
            left.remove(word)
            common += 1
    if common == 0:
        return 0.0
    precision, recall = common / len(found), common / len(expected)
    return (2 * precision * recall) / (precision + recall)


def agree(normalise: Callable[[str], str], oracle: Callable[[str], list[str]], seed: int) -> tuple[int, int]:
    """Compares on generated pairs; returns how many had something in common, and how many were equal."""
    partial = equal = 0
    for predicted, answer in generated(seed):
        found, expected = oracle(predicted), oracle(answer)
        assert normalise(predicted).split() == found, repr(predicted)
        assert normalise(predicted) == " ".join(found), repr(predicted)
        assert f1(predicted, [answer], normalise) == f1_oracle(found, expected), (predicted, answer)
        assert exact_match(predicted, [answer], normalise) == (found == expected), (predicted, answer)
        partial += 0 < f1_oracle(found, expected) < 1
        equal += found == expected
    return partial, equal


def test_squad_is_the_official_v1_1_metric() -> None:
    partial, equal = agree(squad, squad_oracle, seed=1)
    assert partial > 700 and equal > 500


@pytest.mark.parametrize("language", MLQA_ARTICLES)
def test_mlqa_languages_are_the_official_metric(language: str) -> None:
    partial, equal = agree(lambda t: language_aware(t, language), lambda t: mlqa_oracle(visible(t), language), seed=2)
    assert partial > 700 and equal > 500


@pytest.mark.parametrize(
    ("language", "left", "right"),
    [
        ("zho_Hans", "北京。", "北京"), ("ell_Grek", "ο Αριστοτέλης", "Αριστοτέλης!"), ("ron_Latn", "o casă", "casă"),
        ("tha_Thai", "๑๒ คน", "12 คน"), ("rus_Cyrl", "«Москва»", "москва"), ("tur_Latn", "Ankara…", "ankara"),
        ("jpn_Jpan", "「東京都」", "東京都"), ("npi_Deva", "४", "4"),
    ],
)  # fmt: skip
def test_what_english_rules_miss(language: str, left: str, right: str) -> None:
    assert language_aware(left, language) == language_aware(right, language)
    assert squad(left) != squad(right)


def test_digits_stay_where_the_official_script_leaves_them() -> None:
    assert language_aware("४", "hin_Deva") == "४" != language_aware("४", "mar_Deva")


def test_best_of_several_answers() -> None:
    assert f1("the red house", ["green", "a red house"]) == exact_match("the red house", ["green", "Red house."]) == 1
    assert f1("red house", ["red car", "house of cards"]) == 0.5
    assert f1("", ["the"]) == 0 and exact_match("", ["the"]) == 1  # no words on either side: the official rule


@settings(max_examples=800, deadline=None)
@given(st.text(max_size=20), st.sampled_from(["hin_Deva", "arb_Arab", "eng_Latn", "zho_Hans", "vie_Latn", "rus_Cyrl"]))
def test_a_text_counts_as_it_is_seen(text: str, language: str) -> None:
    """In either normal form, and with marks of direction, joiners or byte order around it."""
    known = language_aware(text, language)
    for written in (
        unicodedata.normalize("NFD", text),
        unicodedata.normalize("NFC", text),
        f"\ufeff{text}\u200b",
        f"\u200f{text}\u200e",
    ):
        assert language_aware(written, language) == known
