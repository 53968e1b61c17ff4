"""Written answers equal the model's own greedy continuation, one prompt at a time and without sharing, up to the stop string."""

from __future__ import annotations

import random
from dataclasses import replace
from unittest import mock

import pytest
import torch
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from polyprefix.adapters import registry
from polyprefix.adapters.attach import attach
from polyprefix.engine.flop_counter import Work
from polyprefix.evaluation.generation import _Written, cut, generate_until
from polyprefix.testing.tiny import tiny_base, tiny_tokenizer
from polyprefix.text.tokens import encode
from polyprefix.types import Prompt


@pytest.mark.parametrize("kind", ["llama-gqa-tied", "gemma3"])
@pytest.mark.parametrize("method", ["none", "prefix", "soft-prompt", "lora"])
@pytest.mark.parametrize("budget", [16, 4096])
def test_answers_are_the_greedy_continuation(kind: str, method: str, budget: int) -> None:
    tokenizer = tiny_tokenizer()
    model = attach(tiny_base(kind), registry.build({"name": method}), seed=1).eval()
    prompts = [Prompt(str(n), "x", f"Q: {'w' * n}?", " a", stop=("e",), max_new_tokens=12) for n in (1, 9, 3)]
    rows = encode(prompts, tokenizer, 256)
    assert all(row.target == tuple(tokenizer(" ae", add_special_tokens=False)["input_ids"]) for row in rows)
    done: list[int] = []
    answers = generate_until(model, rows, budget, done.append)
    assert sum(done) == 3
    for row, answer in zip(rows, answers, strict=True):
        ids = list(row.ids)
        for _ in range(12):
            with torch.no_grad():
                ids.append(int(model(torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == tokenizer.eos_token_id:
                break
        assert answer == cut(tokenizer.decode(ids[len(row.ids) :], skip_special_tokens=True), ("e",))


@pytest.mark.parametrize(
    "stops", [("e",), ("\n\n",), ("ab a", "b"), (" ",), ("ä",), ("的。",), ("0123456789" * 4,)], ids=repr
)
def test_a_row_has_ended_when_its_last_token_completes_a_stop_string(stops: tuple[str, ...]) -> None:
    """By the whole text before and after that token; of letters of several bytes, only the last one completes them."""
    tokenizer, random_ = tiny_tokenizer(), random.Random(repr(stops))
    parts = [*stops, *"".join(stops), "x", "é", " ", "a", "b"]
    ends, completed = _Written(tokenizer, stops), 0
    for _ in range(20):
        ids = tokenizer("".join(random_.choices(parts, k=12)), add_special_tokens=False)["input_ids"]
        for n in range(1, len(ids) + 1):
            before, after = (tokenizer.decode(ids[:m]) for m in (n - 1, n))
            wanted = any(after.count(stop) > before.count(stop) for stop in stops)
            assert ends(torch.tensor([ids[:n], ids[:n]]), torch.empty(0)).tolist() == [wanted, wanted], after
            completed += wanted
    assert completed > 2


def test_a_space_that_a_token_loses_alone_ends_a_row() -> None:
    tokenizer = Tokenizer(models.WordLevel({"▁a": 0, "b": 1}, unk_token="b"))
    tokenizer.decoder = decoders.Metaspace()
    ends = _Written(PreTrainedTokenizerFast(tokenizer_object=tokenizer), (" ",))
    assert tokenizer.decode([0]) == "a" and tokenizer.decode([0, 0]) == "a a"
    assert [ends(torch.tensor([ids]), torch.empty(0)).tolist() for ids in ([0], [0, 1], [0, 0])] == [
        [False],
        [False],
        [True],
    ]


@pytest.mark.parametrize("kind", ["llama-gqa-tied", "gemma3"])
@pytest.mark.parametrize("method", ["none", "prefix", "soft-prompt", "llama-adapter"])
def test_a_passage_is_read_once_for_all_its_questions(kind: str, method: str) -> None:
    """And the answers are those of each prompt alone."""
    model = attach(tiny_base(kind), registry.build({"name": method}), seed=1).eval()
    passages = ("abc def ghi jkl", "a second passage, longer")
    texts = [f"{passage} {'w' * n}?" for n in (1, 4, 2) for passage in passages] + ["z?"]
    prompts = [Prompt(str(n), "x", text, " a", max_new_tokens=8) for n, text in enumerate(texts)]
    rows = encode(prompts, tiny_tokenizer(), 256)
    work = Work()
    answers = generate_until(model, rows, 4096, work=work)
    with mock.patch.object(model.hook, "supports_packing", lambda: False):
        padded = Work()
        assert answers == generate_until(model, rows, 4096, work=padded)
        assert answers == [generate_until(model, [row], 4096)[0] for row in rows]
    assert work.tokens < 0.8 * padded.tokens and 0 <= work.padding < padded.padding
    assert padded.tokens >= sum(len(row.ids) for row in rows) - len(rows)


def test_no_prompts_no_answers() -> None:
    assert generate_until(attach(tiny_base("llama-gqa-tied"), registry.build({"name": "none"})), [], 100) == []


@pytest.mark.parametrize(
    ("text", "stops", "answer"),
    [
        (" Paris\nQ", ("\n",), "Paris"),
        ("\n\nParis\n", ("\n",), "Paris"),
        (" a b ", (), "a b"),
        ("", ("\n",), ""),
        ("xQ: y\nz", ("\n", "Q:"), "x"),
    ],
)
def test_answers_end_before_the_first_stop(text: str, stops: tuple[str, ...], answer: str) -> None:
    assert cut(text, stops) == answer


def test_a_verbatim_answer_is_what_was_written() -> None:
    assert cut("\n\nParis\n", ("\n",), verbatim=True) == ""
    assert cut(" Paris \nQ", ("\n",), verbatim=True) == " Paris "


@torch.no_grad()
def test_an_answer_is_cut_where_only_its_length_ends_it() -> None:
    """One that a stop string ends is not, also at its last token; a model that writes no stop string is cut every time."""
    model = attach(tiny_base("llama-gqa-tied"), registry.build({"name": "none"}))
    prompts = [Prompt(str(n), "eng_Latn", f"Say {n}:", " x", max_new_tokens=6) for n in range(5)]
    rows = encode(prompts, model.base.tokenizer, 64)
    unfinished: set[int] = set()
    answers = generate_until(model, rows, 4096, unfinished=unfinished)
    assert unfinished == set(range(5))  # byte tokens of a random model, no end among them
    letter = answers[0][-1]
    stopped = encode([replace(prompts[0], stop=(letter,)), *prompts[1:2]], model.base.tokenizer, 64)
    unfinished = set()
    generate_until(model, stopped[:1], 4096, unfinished=unfinished)
    assert unfinished == set()
