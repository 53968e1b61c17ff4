"""Law: a model that always gives one answer and then ends is scored for that answer, whatever the other choices are.

Without an end, a choice that begins with another can never be the likelier one, and a model that is trained on `100` learns `1`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polyprefix.adapters.attach import attach
from polyprefix.adapters.registry import build
from polyprefix.config import RunConfig
from polyprefix.evaluation.loglikelihood import loglikelihood
from polyprefix.models.embedded import EMBEDDED, cached, folder_of
from polyprefix.recipe import run
from polyprefix.results.files import read_result
from polyprefix.testing.tiny import tiny_base, tiny_tokenizer
from polyprefix.text.tokens import END, TokenizedPrompt, encode, needs_end
from polyprefix.types import Prompt

LABELS = st.lists(
    st.text("01 ,aby", min_size=1, max_size=4).map(str.strip).filter(bool), min_size=2, max_size=6, unique=True
)


def prompts(labels: Sequence[str]) -> list[Prompt]:
    choices = tuple(f" {label}" for label in labels)
    return [Prompt("1", "eng_Latn", "How many? Answer:", choices[0], choices=choices)]


def best(item: TokenizedPrompt, written: Sequence[int]) -> int:
    """The choice that a model finds likeliest which writes these tokens, one time in ten something else, and is sure of nothing after."""

    def log_likelihood(choice: Sequence[int]) -> float:
        total, same = 0.0, True
        for n, token in enumerate(choice):
            expected = written[n] if same and n < len(written) else None
            total += math.log(0.9 if token == expected else 0.1 / 259 if expected is not None else 1 / 260)
            same = same and token == expected
        return total

    values = [log_likelihood(choice) for choice in item.choices]
    return values.index(max(values))


def encoded(labels: Sequence[str], tokenizer: object = None) -> TokenizedPrompt:
    """As a run encodes them."""
    tokenizer = tokenizer or tiny_tokenizer()
    [item] = encode(prompts(labels), tokenizer, 256)
    return encode(prompts(labels), tokenizer, 256, end=END)[0] if needs_end([item]) else item


@settings(max_examples=400, deadline=None)
@given(LABELS, st.integers(0, 5))
def test_the_choice_that_a_model_writes_is_the_choice_that_is_scored(labels: list[str], number: int) -> None:
    item, wanted = encoded(labels), number % len(labels)
    written = (*tiny_tokenizer()(f" {labels[wanted]}\n", add_special_tokens=False)["input_ids"],)
    assert best(item, written) == wanted


@settings(max_examples=200, deadline=None)
@given(LABELS)
def test_no_choice_of_a_run_begins_with_another(labels: list[str]) -> None:
    assert needs_end([encoded(labels)]) is None


@pytest.mark.parametrize("labels", [["1", "10", "100"], ["yes", "yes, but", "no"], ["a", "ab", "abc"]])
def test_what_begins_with_another_is_found(labels: list[str]) -> None:
    found = needs_end(encode(prompts(labels), tiny_tokenizer(), 256))
    assert found is not None and found[1].startswith(found[0])


def test_labels_that_do_not_begin_alike_need_no_end() -> None:
    """So that figures of tasks with such labels stay what they were."""
    item = encoded(["country", "language", "currency"])
    assert not any(END in choice for choice in item.prompt.choices)


def test_requests_that_follow_another_evaluator_stay_as_they_are() -> None:
    [prompt] = prompts(["1", "10"])
    verbatim = Prompt("1", "eng_Latn", prompt.text, prompt.target, choices=prompt.choices, verbatim=True)
    [item] = encode([verbatim], tiny_tokenizer(), 256, end=END)
    assert item.prompt.choices == prompt.choices and needs_end([item]) is None


@pytest.mark.real
@pytest.mark.skipif(not cached(EMBEDDED["gemma-3-270m"]), reason="the embedded model was not converted here before")
@pytest.mark.parametrize("labels", [["1", "10", "100"], ["yes", "yes, but"], ["a", "aa", "aaa"], ["new", "newspaper"]])
def test_a_real_tokenizer_keeps_them_apart(labels: list[str]) -> None:
    from transformers import AutoTokenizer

    item = encoded(labels, AutoTokenizer.from_pretrained(folder_of(EMBEDDED["gemma-3-270m"])))
    assert needs_end([item]) is None


def test_a_model_that_learns_ten_says_ten() -> None:
    """Also where 1 and 100 are choices: training scores the end, too."""
    model = attach(tiny_base("llama-mha"), build({"name": "full"}))
    [item] = [encoded(["1", "10", "100"])]
    target = item.choices[1]
    optimizer = torch.optim.Adam([p for _, p in model.trainable()], lr=3e-3)
    ids = torch.tensor([(*item.ids, *target[:-1])])
    for _ in range(60):
        logits = model(ids).logits[0, len(item.ids) - 1 :].log_softmax(-1)
        loss = -logits[torch.arange(len(target)), torch.tensor(target)].mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    [ranked] = loglikelihood(model, [item], None)
    assert ranked.best == 1


TASK = """
task_type: classification
template: "How many? {text} Answer:"
labels: ["1", "10", "100"]
files: {train: train.csv, validation: train.csv, test: {en: en.csv}}
"""


def test_a_run_says_that_it_ends_its_choices(tiny_folder: Path, tmp_path: Path) -> None:
    task = tmp_path / "task.yaml"
    rows = "".join(f'"row {n} of many",{["1", "10", "100"][n % 3]}\n' for n in range(12))
    (tmp_path / "train.csv").write_text("text,answer\n" + rows.replace("row", "line"))
    (tmp_path / "en.csv").write_text("text,answer\n" + rows)
    task.write_text(TASK)
    config = RunConfig(
        model=str(tiny_folder), task=str(task), method={"name": "prefix", "length": 2},
        train={"steps": 1, "batch_size": 4, "validation_size": 2},
    )  # fmt: skip
    [folder] = run(config, out=tmp_path / "runs")
    assert any("a line break ends every choice" in note for note in read_result(folder).notes)
    assert '"end": "\\n"' in (folder / "adapter" / "adapter.json").read_text()
