"""Training: the loss falls, the budget changes nothing, only the adapter moves, a loss that is no number stops the run with advice."""

from __future__ import annotations

import math
from functools import partial

import pytest
import torch

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.config import RunConfig, TrainConfig
from polyprefix.errors import TrainingError
from polyprefix.progress import Silent
from polyprefix.testing.tiny import tiny_base, tiny_tokenizer
from polyprefix.text.tokens import TokenizedPrompt, encode
from polyprefix.training.length import Length
from polyprefix.training.loop import train
from polyprefix.types import Prompt


def examples(count: int, *, longer: bool = False) -> list[TokenizedPrompt]:
    """Is the number even? Rows of different length; answers of one token, or of several."""
    answers = ("even", "odd") if longer else ("e", "o")
    prompts = [
        Prompt(str(i), "eng_Latn", f"Number: {i * 7919 % (10 ** (i % 6 + 1))}=", answers[i % 2], answers)
        for i in range(count)
    ]
    return encode(prompts, tiny_tokenizer(), 256)


def fit(
    kind: str = "llama-gqa-tied", *, method: str = "prefix", longer: bool = False, count: int = 24, **settings: object
) -> tuple[AdaptedModel, list[dict]]:
    run = registry.resolve(
        RunConfig(model="tiny", task="none", method={"name": method}, seed=1,
                  train=TrainConfig(**{"epochs": 3, "batch_size": 8, "learning_rate": 1e-2, "validations": 2, **settings}))
    )  # fmt: skip
    model = attach(tiny_base(kind), registry.build(run.method), seed=run.seed)
    log: list[dict] = []
    rows = examples(count, longer=longer)
    train(model, rows, rows[:8], run, reporter=Silent(), log=log.append)
    return model, log


def losses(log: list[dict]) -> list[float]:
    return [record["loss"] for record in log if "loss" in record]


@pytest.mark.parametrize("longer", [False, True])
@pytest.mark.parametrize("method", [name for name in registry.names() if name != "none"])
def test_the_loss_falls(method: str, longer: bool) -> None:
    few = method in ("prefix", "llama-adapter", "soft-prompt")  # parameters, so they take larger steps
    _, log = fit(method=method, longer=longer, epochs=20, learning_rate=0.1 if few else 1e-2)
    assert sum(losses(log)[-3:]) < 0.8 * sum(losses(log)[:3])


def test_the_token_budget_changes_nothing_but_memory() -> None:
    whole, one_by_one = fit(longer=True)[1], fit(longer=True, token_budget=16)[1]
    assert losses(whole) == pytest.approx(losses(one_by_one), abs=1e-5)


@pytest.mark.parametrize("method", [name for name in registry.names() if name != "none"])
def test_the_update_is_adamw(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As torch computes it parameter by parameter, wherever the gradients of a method lie in memory."""
    ours = losses(fit(method=method)[1])
    plain = partial(torch.optim.AdamW, foreach=False)
    monkeypatch.setattr(torch.optim, "AdamW", lambda *args, fused, **settings: plain(*args, **settings))
    assert ours == pytest.approx(losses(fit(method=method)[1]), abs=2e-5)


def test_gradient_checkpointing_changes_nothing() -> None:
    assert losses(fit()[1]) == pytest.approx(losses(fit(gradient_checkpointing=True)[1]), abs=1e-5)


def test_the_loss_is_the_mean_negative_log_likelihood_of_the_answer() -> None:
    """Against the whole text through the model, one example at a time, without shared tokens."""
    model, log = fit(count=8, epochs=1, longer=True, learning_rate=1e-9)
    expected = 0.0
    with torch.no_grad():
        for item in examples(8, longer=True):
            ids = torch.tensor([item.ids + item.target])
            logits = model(ids).logits[0].log_softmax(-1)
            picked = [logits[len(item.ids) - 1 + n, token] for n, token in enumerate(item.target)]
            expected -= sum(picked).item() / len(picked) / 8
    assert losses(log)[0] == pytest.approx(expected, abs=1e-5)


def test_the_best_weights_are_kept() -> None:
    model, log = fit(epochs=6, validations=6, learning_rate=0.3, keep="best")
    measured = [
        (r["validation_accuracy"], r["validation_log_likelihood"]) for r in log[1:] if "validation_accuracy" in r
    ]
    from polyprefix.evaluation.loglikelihood import loglikelihood

    rows = examples(24)[:8]
    ranked = loglikelihood(model, rows, 4096)
    right = [item.choices.index(item.target) for item in rows]
    assert sum(r.best == a for r, a in zip(ranked, right, strict=True)) / 8 == max(measured)[0]
    likelihood = sum(r.log_likelihoods[a] for r, a in zip(ranked, right, strict=True)) / 8
    assert likelihood == pytest.approx(max(measured)[1], abs=1e-5)


def test_a_loss_that_is_no_number_stops_with_the_step_and_advice() -> None:
    with pytest.raises(
        TrainingError, match=r"step \d+ of \d+: the loss is .* try a lower learning rate \(--set train.learning_rate="
    ):
        fit(learning_rate=1000.0, weight_decay=1000.0, max_grad_norm=1e9, epochs=20)


@pytest.mark.parametrize("schedule", ["cosine", "linear", "constant"])
def test_the_learning_rate_rises_and_falls(schedule: str) -> None:
    config = TrainConfig(schedule=schedule, warmup=0.1)
    factors = [Length.exactly(100).rate(config, step) for step in range(100)]
    assert factors[0] == pytest.approx(0.1) and factors[9] == 1.0 and max(factors) == 1.0
    assert factors[-1] == 1.0 if schedule == "constant" else factors[-1] < 0.02
    assert all(math.isfinite(f) and f > 0 for f in factors)
