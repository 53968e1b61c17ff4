"""A continuation has the tokens that it has in running text; what prompts share is found exactly; labels must stay distinct."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, processors
from transformers import PreTrainedTokenizerFast

from polyprefix.errors import DataError
from polyprefix.testing.tiny import tiny_tokenizer
from polyprefix.text.tokens import common_prefix_length, encode
from polyprefix.types import Prompt


def prompt(text: str, target: str = " yes", choices: tuple[str, ...] = (" yes", " no")) -> Prompt:
    return Prompt("id-1", "eng_Latn", text, target, choices)


def test_prompt_and_continuation_are_the_tokens_of_the_whole_text() -> None:
    tokenizer = tiny_tokenizer()
    [item] = encode([prompt("Name: ชื่อ\nAnswer:")], tokenizer, 100)
    assert list(item.ids + item.target) == tokenizer("Name: ชื่อ\nAnswer: yes")["input_ids"]
    assert item.ids[0] == tokenizer.bos_token_id
    assert item.choices[0] == item.target != item.choices[1]


@pytest.mark.parametrize("verbatim", [False, True])
def test_an_empty_prompt_is_one_token(verbatim: bool) -> None:
    [item] = encode([Prompt("id-1", "eng_Latn", "", " yes", (" yes", " no"), verbatim=verbatim)], tiny_tokenizer(), 100)
    assert item.ids == (1,) and item.target == tuple(tiny_tokenizer()(" yes", add_special_tokens=False)["input_ids"])
    bare = PreTrainedTokenizerFast(tokenizer_object=Tokenizer.from_str(tiny_tokenizer().backend_tokenizer.to_str()))
    bare.backend_tokenizer.post_processor = processors.TemplateProcessing(single="$A", special_tokens=[])
    bare.eos_token = "<eos>"
    [other] = encode([item.prompt], bare, 100)
    assert (other.ids, other.choices) == ((2,), item.choices)


def test_a_verbatim_continuation_is_what_follows_after_the_tokens_of_the_text() -> None:
    """`a` + `b` is one token of its own here, so by itself the continuation would be `b`."""
    merged = Tokenizer(models.BPE(vocab={"<eos>": 0, "a": 1, "b": 2, "ab": 3, "c": 4}, merges=[("a", "b")]))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=merged, eos_token="<eos>")
    text = Prompt("id-1", "x", "ca", "bc")
    assert encode([text], tokenizer, 9)[0].target == (2, 4)
    assert encode([replace(text, verbatim=True)], tokenizer, 9)[0].target == (4,)


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
def test_common_prefix_length_is_the_longest_common_beginning_that_leaves_a_token(rows: list[list[int]]) -> None:
    shared = common_prefix_length([tuple(row) for row in rows])
    expected = 0
    while all(len(row) > expected + 1 for row in rows) and len({row[expected] for row in rows}) == 1:
        expected += 1
    assert shared == expected


def test_no_rows_share_nothing() -> None:
    assert common_prefix_length([]) == 0
    assert encode([], tiny_tokenizer(), 10) == []
