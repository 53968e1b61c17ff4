"""Laws of checks of generated answers: rates of the Language Confusion Benchmark, and what cannot be known is absent."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyprefix.languages import all_languages
from polyprefix.scoring.answer_checks import LEAST_WORDS, check_answers, is_repetitive, telling_lines
from polyprefix.scoring.recognise import label_of, recognised

RUSSIAN = "Сегодня утром мы пошли в большой магазин за хлебом"
ENGLISH = "This morning we went to the large shop to buy some bread"
MIXED = "Сегодня утром мы пошли в большой shopping за свежим хлебом"


def test_the_rates_are_those_of_the_benchmark() -> None:
    answers = [RUSSIAN, RUSSIAN + "\n" + RUSSIAN, MIXED, ENGLISH, RUSSIAN + "\n" + ENGLISH, "Да", "", "1 2 3 4 5 6 7"]
    figures = check_answers(answers, "rus_Cyrl", "rus_Cyrl", cut=2)
    assert (figures["answers"], figures["empty"], figures["cut"], figures["checked"]) == (8, 1, 2, 5)
    line, word = 3 / 5, 2 / 3
    assert figures["line_pass_rate"] == line and figures["word_pass_rate"] == word
    assert figures["language_confusion_pass_rate"] == pytest.approx(2 * line * word / (line + word))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([RUSSIAN, ENGLISH, MIXED, "", "Да", "12 13 14 15 16 17"]), max_size=12))
def test_rates_are_shares_of_what_was_checked(answers: list[str]) -> None:
    figures = check_answers(answers, "rus_Cyrl", "rus_Cyrl", cut=None)
    long = [answer for answer in answers if answer in (RUSSIAN, ENGLISH, MIXED)]
    assert figures["checked"] == len(long) and "cut" not in figures
    if not long:  # nothing to tell a language from: absent, neither right nor wrong
        assert not [name for name in figures if name.endswith("rate")]
        return
    assert figures["line_pass_rate"] == sum(answer != ENGLISH for answer in long) / len(long)
    assert ("word_pass_rate" in figures) == any(answer != ENGLISH for answer in long)


def test_words_are_not_checked_in_latin_script() -> None:
    figures = check_answers([ENGLISH], "eng_Latn", "eng_Latn", cut=0)
    assert figures["line_pass_rate"] == 1 and "word_pass_rate" not in figures


@pytest.mark.parametrize("expected", [None, "bod_Tibt", "hin_Latn"])
def test_a_language_that_is_not_asked_for_or_not_known_is_absent(expected: str | None) -> None:
    figures = check_answers([ENGLISH], expected or "swh_Latn", expected, cut=0)
    assert set(figures) == {"answers", "empty", "repetitive", "cut"}


@pytest.mark.parametrize(
    ("code", "text"),
    [("tha_Thai", "วันนี้ตอนเช้าเราไปซื้อขนมปังที่ร้านใหญ่"), ("zho_Hans", "今天早上我们去大商店买面包"),
     ("swh_Latn", "Leo asubuhi tulienda dukani kununua mkate")],
)  # fmt: skip
def test_scripts_without_spaces_have_words_too(code: str, text: str) -> None:
    assert telling_lines(text, code) and check_answers([text], code, code, cut=0)["line_pass_rate"] == 1


def test_every_label_is_of_one_language_in_its_usual_script() -> None:
    labels = [label for language in all_languages() if (label := label_of(language.code))]
    known = {code for language in all_languages() if label_of(code := language.code)}
    assert len(known) > 100 and len(set(labels)) >= len(labels) - 1  # Chinese has two scripts
    assert {"ind_Latn", "heb_Hebr", "arb_Arab", "als_Latn", "nob_Latn"} <= known and label_of("als_Latn") == "sq"


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 10_000))
def test_a_loop_is_repetitive_and_its_parts_are_not(seed: int) -> None:
    rng = random.Random(seed)
    loop = [f"w{rng.random()}" for _ in range(rng.randint(1, 20))]
    start, end = ([f"x{rng.random()}" for _ in range(rng.randint(0, 9))] for _ in range(2))
    assert is_repetitive(" ".join([*start, *loop * 4, *end]), "eng_Latn")
    assert not is_repetitive(" ".join([*start, *loop * 3, *end]), "eng_Latn")


@pytest.mark.hub
def test_sentences_of_real_languages_are_recognised(hub: Path) -> None:
    """The languages of the benchmarks that generate."""
    from polyprefix.tasks import registry
    from polyprefix.tasks.base import Source

    codes = {code for name in ("xquad", "mgsm") for code in registry.get(name).languages()}
    for code in sorted(codes):
        rows = registry.get("sib200").examples("test", code, Source(hub))[:60]
        right = sum(recognised(row.inputs["text"]) == label_of(code) for row in rows)
        assert right >= 58, f"{code}: {right} of 60"
    assert LEAST_WORDS == 5
