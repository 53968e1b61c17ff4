"""Law: two texts are the same where a reader would say so, whatever the script; what carries meaning keeps them apart."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from polyprefix.config import RunConfig
from polyprefix.data.same_text import INVISIBLE, same_text, visible
from polyprefix.tasks._rows import without_shared
from polyprefix.tasks.base import Source
from polyprefix.text.shots import load_shots
from polyprefix.types import Example

SAME = [
    ("Hello, world!", "hello  world"), ("well-known", "well known"), ("snake_case", "snake case"), ("ＡＢＣ", "abc"),
    ("北京。", "北京"), ("¿Qué?", "qué"), ("What is it?", "What is it"), ("ไทย แลนด์", "ไทยแลนด์"), ('"x"', "x"), ("«x»", "x"),
    ("क्या?", "क्या"), ("x।", "x"), ("5 − 3", "5 - 3"), ("word — word", "word word"), ("a, b", "a b"), ("end.", "end"),
    ("Straße", "STRASSE"), ("كتاب؟", "كتاب"), ("\ufeffHi", "hi"), ("co\u00adoperate", "cooperate"),
]  # fmt: skip
APART = [
    ("a - b", "a + b"), ("C++", "C"), ("C#", "C"), ("😀", "😢"), ("👍", ""), ("कि", "का"), ("1.5", "15"), ("9:30", "930"),
    ("x²", "x2"), ("10³", "103"), ("-5", "5"), ("f(x)", "fx"), ("!a", "a"), (".NET", "NET"), ("10%", "10"), ("a/b", "ab"),
    ("1,234", "1234"), ("therapist", "the rapist"), ("$5", "€5"), ("a<b", "a>b"), ("(a+b)*c", "a+(b*c)"), ("ก่า", "ก้า"),
    ("пес", "пёс"), ("á", "a"), ("@me", "me"), ("5×3", "5÷3"), ("🇩🇪", "🇫🇷"),
]  # fmt: skip
CARRIES = ("L", "N", "M", "S")
"""Unicode's categories of letters, numbers, marks and symbols."""


@pytest.mark.parametrize(("a", "b"), SAME)
def test_the_same_to_a_reader(a: str, b: str) -> None:
    assert same_text(a) == same_text(b)


@pytest.mark.parametrize(("a", "b"), APART)
def test_what_carries_meaning_stays(a: str, b: str) -> None:
    assert same_text(a) != same_text(b)


@settings(max_examples=1000, deadline=None)
@given(st.text(max_size=30))
@example('A_"\u0f00')  # what is left of quotation marks brings a hyphen and a letter together
def test_how_unicode_writes_a_text_plays_no_part(text: str) -> None:
    known = same_text(text)
    assert same_text(unicodedata.normalize("NFD", text)) == known
    assert same_text(unicodedata.normalize("NFC", text)) == known
    assert same_text(known) == known


@settings(max_examples=500, deadline=None)
@given(st.text(max_size=20), st.text(max_size=20), st.sampled_from([*INVISIBLE[0], *INVISIBLE[1]]))
def test_what_nobody_sees_plays_no_part(before: str, after: str, code: int) -> None:
    assert visible(before + chr(code) + after) == visible(before + after)


@settings(max_examples=1000, deadline=None)
@given(st.text(min_size=1, max_size=12), st.integers(0, 11), st.characters(categories=CARRIES))
def test_no_letter_number_mark_or_symbol_is_dropped(text: str, place: int, other: str) -> None:
    """Neither is one taken for another, unless Unicode itself says that both are one."""
    mine = text[place % len(text)]
    if unicodedata.category(mine)[0] not in CARRIES or {ord(mine), ord(other)} & {*INVISIBLE[0], *INVISIBLE[1]}:
        return
    if same_text(mine) == same_text(other) or "`" in (mine, other):  # one mark of quotation is a symbol to Unicode
        return
    changed = text[: place % len(text)] + other + text[place % len(text) + 1 :]
    if unicodedata.normalize("NFKC", changed).casefold() != unicodedata.normalize("NFKC", text).casefold():
        assert same_text(changed) != same_text(text) or same_text(other) == "" or same_text(mine) == ""


def example(id: str, text: str, language: str = "eng_Latn") -> Example:
    return Example(id, language, {"text": text}, ("a", "b"), ("a",))


def test_training_rows_and_shots_go_by_one_rule() -> None:
    """In English and elsewhere; how many were dropped is said, with one of them."""
    test, pool = ["A known text.", "a + b"], ["a known text", "a - b", "another", "a third"]
    kept, note = without_shared(
        "x train", [example(str(n), t) for n, t in enumerate(pool)], [example("t", t) for t in test], ["text"]
    )
    assert [e.inputs["text"] for e in kept] == pool[1:]
    assert note == "x train: 1 of 4 rows share a text with the test set and are dropped, such as 'a known text'."
    for language in ("eng_Latn", "swh_Latn"):
        source = Source(None)
        shots = load_shots(OneTask(test, pool), (language,), config(shots=3), source)[language]
        assert {e.inputs["text"] for e in shots} == set(pool[1:])
        assert f"x shots, {language}: 1 of 4 rows are in the test set" in source.notes[0]


class OneTask:
    """What shots ask of a task."""

    class info:  # noqa: N801
        name = "x"

    def __init__(self, test: list[str], pool: list[str]) -> None:
        self.test, self.pool = test, pool

    def examples(self, split: str, language: str, source: Source) -> list[Example]:
        return [example(f"t{n}", text, language) for n, text in enumerate(self.test)]

    def shot_pool(self, language: str, source: Source) -> list[Example]:
        return [example(f"p{n}", text, language) for n, text in enumerate(self.pool)]


def config(**settings: Any) -> RunConfig:
    return RunConfig.model_validate({"model": "m", "task": "x", **settings})
