"""Ranking equals the log-likelihood of each continuation in the whole text, whatever the batch and however many tokens it has."""

from __future__ import annotations

import pytest
import torch

from polyprefix.adapters import registry
from polyprefix.adapters.attach import attach
from polyprefix.engine.flop_counter import Work
from polyprefix.evaluation.loglikelihood import loglikelihood
from polyprefix.prefix import TokenTree
from polyprefix.testing.tiny import tiny_base, tiny_tokenizer
from polyprefix.text.tokens import encode
from polyprefix.types import Prompt

CHOICES = {"one token": ("a", "b", "c"), "several": (" yes", " no", " perhaps")}


@pytest.mark.parametrize("kind", ["llama-gqa-tied", "gemma3"])
@pytest.mark.parametrize("method", ["none", "prefix", "lora"])
@pytest.mark.parametrize("choices", CHOICES)
@pytest.mark.parametrize("budget", [16, 4096])
def test_log_likelihoods_are_those_of_the_whole_text(kind: str, method: str, choices: str, budget: int) -> None:
    model = attach(tiny_base(kind), registry.build({"name": method}), seed=1).eval()
    prompts = [Prompt(str(n), "x", f"Q: {'w' * n}?", CHOICES[choices][0], CHOICES[choices]) for n in (1, 9, 3, 20)]
    rows = encode(prompts, tiny_tokenizer(), 256)
    done: list[int] = []
    ranked = loglikelihood(model, rows, budget, done.append)
    assert sum(done) == len(rows)
    for item, answer in zip(rows, ranked, strict=True):
        assert answer.encoded is item
        for choice, value in zip(item.choices, answer.log_likelihoods, strict=True):
            with torch.no_grad():
                logits = model(torch.tensor([item.ids + choice])).logits[0].log_softmax(-1)
            expected = sum(logits[len(item.ids) - 1 + n, token].item() for n, token in enumerate(choice))
            assert value == pytest.approx(expected, abs=2e-4)
        assert answer.best == max(range(3), key=lambda n: answer.log_likelihoods[n])


@pytest.mark.parametrize("kind", ["llama-gqa-tied", "gemma3"])
@pytest.mark.parametrize("choices", CHOICES)
def test_what_some_prompts_begin_with_is_computed_once(kind: str, choices: str) -> None:
    """And gives what each prompt gives alone, in the order asked; equal prompts too."""
    model = attach(tiny_base(kind), registry.build({"name": "prefix"}), seed=1).eval()
    passages = ("the first passage of all", "a second one, longer than it", "x")
    texts = [f"{passage} {'w' * (n % 3)}?" for n in range(4) for passage in passages]
    rows = encode(
        [Prompt(str(n), "x", t, CHOICES[choices][0], CHOICES[choices]) for n, t in enumerate(texts)],
        tiny_tokenizer(),
        256,
    )
    work = Work()
    ranked = loglikelihood(model, rows, 4096, work=work)
    assert work.tokens < 0.75 * sum(TokenTree(row.ids, row.choices).size for row in rows) and work.padding == 0
    for item, answer in zip(rows, ranked, strict=True):
        (one,) = loglikelihood(model, [item], 4096)
        assert answer.encoded is item
        assert answer.log_likelihoods == pytest.approx(one.log_likelihoods, abs=2e-4)


@pytest.mark.parametrize("settings", [{"name": "lora"}, {"name": "lora", "dora": True, "targets": "all-linear"}])
def test_ranking_with_merged_weights_leaves_every_bit_of_the_base(settings: dict) -> None:
    model = attach(tiny_base("gemma3"), registry.build(settings), seed=1)
    with torch.no_grad():
        for _, parameter in model.trainable():
            parameter += 0.1
    before = {name: p.detach().clone() for name, p in model.named_parameters()}
    prompts = [Prompt("1", "x", "Q?", "a", ("a", "b"))]
    loglikelihood(model, encode(prompts, tiny_tokenizer(), 256), 100)
    assert all(torch.equal(p, before[name]) for name, p in model.named_parameters())


def test_nothing_gives_nothing() -> None:
    model = attach(tiny_base("llama-gqa-tied"), registry.build({"name": "none"}))
    assert loglikelihood(model, [], 100) == []
