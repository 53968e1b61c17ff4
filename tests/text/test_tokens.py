"""A continuation has the tokens that it has in running text; what prompts share is found exactly; labels must stay distinct."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.tiny import tiny_tokenizer

from polyprefix.errors import DataError
from polyprefix.records import Prompt
from polyprefix.text.tokens import encode, shared_length


def prompt(text: str, target: str = " yes", choices: tuple[str, ...] = (" yes", " no")) -> Prompt:
    return Prompt("id-1", "eng_Latn", text, target, choices)


def test_prompt_and_continuation_are_the_tokens_of_the_whole_text() -> None:
    tokenizer = tiny_tokenizer()
    [item] = encode([prompt("Name: ชื่อ\nAnswer:")], tokenizer, 100)
    assert list(item.ids + item.target) == tokenizer("Name: ชื่อ\nAnswer: yes")["input_ids"]
    assert item.ids[0] == tokenizer.bos_token_id
    assert item.choices[0] == item.target != item.choices[1]


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (
            prompt("x", choices=(" yes", " no", " yes")),
            "the labels ' yes' and ' yes' are the same tokens .* for this model",
        ),
        (prompt("x", choices=(" yes", "")), "the label '' is empty after tokenisation"),
        (prompt("x", target="", choices=()), "empty after tokenisation"),
        (prompt("x" * 100_000), "100005 tokens, the model reads at most 100"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_its_place(wrong: Prompt, message: str) -> None:
    with pytest.raises(DataError, match=message) as error:
        encode([wrong], tiny_tokenizer(), 100)
    assert "id-1" in str(error.value) and "eng_Latn" in str(error.value) and "\n" not in str(error.value)


@given(st.lists(st.lists(st.integers(0, 3), min_size=1, max_size=8), min_size=1, max_size=6))
def test_shared_length_is_the_longest_common_beginning_that_leaves_a_token(rows: list[list[int]]) -> None:
    shared = shared_length([tuple(row) for row in rows])
    expected = 0
    while all(len(row) > expected + 1 for row in rows) and len({row[expected] for row in rows}) == 1:
        expected += 1
    assert shared == expected


def test_no_rows_share_nothing() -> None:
    assert shared_length([]) == 0
    assert encode([], tiny_tokenizer(), 10) == []
