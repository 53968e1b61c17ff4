"""Law: only the context is cut, by as little as needed; question, options and instruction stay, and in training the answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyprefix.errors import DataError
from polyprefix.testing.tiny import tiny_tokenizer
from polyprefix.text.cut import cut
from polyprefix.text.tokens import encode
from polyprefix.types import Prompt

HEAD, TAIL = "Read.\nContext: ", "\nQuestion: who?\nAnswer:"
WORDS = [f"word{i}" for i in range(100)]


def prompt(context: str, target: str = " word70", choices: tuple[str, ...] = (), **more: int) -> Prompt:
    span = (len(HEAD), len(HEAD) + len(context))
    stop = () if choices else ("\n",)
    return Prompt("id-1", "eng_Latn", HEAD + context + TAIL, target, choices, stop, context=span, **more)


@given(st.text(min_size=1, max_size=120).map(str.strip).filter(bool), st.integers(40, 160))
def test_as_little_as_needed_is_cut_from_the_end(context: str, limit: int) -> None:
    tokenizer = tiny_tokenizer()
    shorter = cut(prompt(context), tokenizer, limit)
    length = len(tokenizer(HEAD + context + TAIL)["input_ids"])
    if shorter is None:
        assert length > limit
        return
    assert shorter.text.startswith(HEAD) and shorter.text.endswith(TAIL) and shorter.context is not None
    kept = shorter.text[slice(*shorter.context)]
    assert shorter.text == HEAD + kept + TAIL
    assert len(tokenizer(shorter.text)["input_ids"]) <= limit
    if length <= limit:
        assert kept == context
    else:
        assert kept and context.startswith(kept)
        rest = context[len(kept) :]
        more = kept + rest[: len(rest) - len(rest.lstrip()) + 1]
        assert len(tokenizer(HEAD + more + TAIL)["input_ids"]) > limit


def test_the_answer_stays_in_training_and_is_not_looked_for_in_evaluation() -> None:
    tokenizer, text = tiny_tokenizer(), " ".join(WORDS)
    for limit in (80, 120, 300, 600):
        [training] = encode([prompt(text)], tokenizer, limit, training=True)
        assert training.cut and training.length <= limit and "word70" in training.prompt.text
        [test] = encode([prompt(text, max_new_tokens=20)], tokenizer, limit)
        assert test.cut and len(test.ids) + 20 <= limit
        assert ("word70" in test.prompt.text) == (limit == 600)
        other = encode([prompt(text, target=" word99", max_new_tokens=20)], tokenizer, limit)[0]
        assert other.ids == test.ids  # whatever the answer is


def test_a_label_is_no_answer_to_be_kept() -> None:
    item = encode([prompt(" ".join(WORDS), " 99", (" 99", " 98"))], tiny_tokenizer(), 200, training=True)[0]
    assert "Context: word0 word1 " in item.prompt.text and "word99" not in item.prompt.text
    assert item.choices == encode([prompt("x", " 99", (" 99", " 98"))], tiny_tokenizer(), 200)[0].choices


def test_what_is_short_enough_stays_as_it_is() -> None:
    items = encode([prompt("word70 a"), prompt(" ".join(WORDS))], tiny_tokenizer(), 256)
    assert [item.cut for item in items] == [False, True]
    assert items[0].prompt == prompt("word70 a")


@pytest.mark.parametrize("context", [(0, 0), None])
def test_what_cannot_be_cut_is_refused(context: tuple[int, int] | None) -> None:
    long = Prompt("id-1", "eng_Latn", HEAD + " ".join(WORDS) + TAIL, " x", context=context)
    with pytest.raises(DataError, match=r"id-1 \(eng_Latn\): \d+ tokens, the model reads at most 100"):
        encode([long], tiny_tokenizer(), 100)


def test_an_answer_longer_than_the_model_reads_is_refused_and_not_cut() -> None:
    with pytest.raises(DataError, match="the model reads at most 100"):
        encode([prompt(" ".join(WORDS), " " + " ".join(WORDS[:40]))], tiny_tokenizer(), 100, training=True)
