"""Laws of a training's length: cycles that double, end decayed, and end when one has not helped; the weights that are kept."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from tests.training.test_loop import examples
from torch import Tensor

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.config import RunConfig, TrainConfig
from polyprefix.evaluation.loglikelihood import Ranked
from polyprefix.progress import Silent
from polyprefix.testing.tiny import tiny_base
from polyprefix.text.tokens import TokenizedPrompt
from polyprefix.training import validation
from polyprefix.training.length import Length
from polyprefix.training.loop import train
from polyprefix.training.report import TrainReport

COUNTS = st.integers(1, 200_000)


@given(COUNTS, st.integers(1, 64), st.none() | st.integers(1, 5_000), st.integers(0, 50))
def test_cycles_double_what_is_done_within_the_bound(count: int, batch: int, most: int | None, validated: int) -> None:
    config = TrainConfig(batch_size=batch, max_steps=most)
    length = Length.of(config, count, validated)
    assert not length.fixed and length.ends[0] == config.first_cycle(count) <= config.total_steps(count)
    assert all(b == min(2 * a, config.total_steps(count)) for a, b in zip(length.ends, length.ends[1:], strict=False))
    assert length.total == (config.total_steps(count) if validated else length.ends[0])
    assert length.validated == {0, *length.ends}
    assert most is None or length.total <= most


@given(st.integers(1, 400), st.integers(1, 12), COUNTS)
def test_a_length_that_is_given_is_one_cycle(steps: int, validations: int, count: int) -> None:
    length = Length.of(TrainConfig(steps=steps, validations=validations), count, 10)
    assert length.fixed and length.ends == (steps,) and {0, steps} <= length.validated <= set(range(steps + 1))


@given(st.integers(1, 3_000), st.sampled_from(["cosine", "linear"]))
def test_every_cycle_rises_to_the_peak_and_ends_decayed(count: int, schedule: Any) -> None:
    config = TrainConfig(schedule=schedule)
    length, start = Length.of(config, count, 10), 0
    for end in length.ends:
        factors = [length.rate(config, step) for step in range(start, end)]
        assert max(factors) == 1.0 and factors[0] < 0.5 and 0 < factors[-1] < 0.1
        start = end


def contradicted(rows: list[TokenizedPrompt]) -> list[TokenizedPrompt]:
    """The same questions with the other answer as the right one: what training learns of them does harm."""
    return [replace(row, target=next(choice for choice in row.choices if choice != row.target)) for row in rows]


def fit(
    monkeypatch: pytest.MonkeyPatch, harmful: bool = False, **settings: Any
) -> tuple[AdaptedModel, list[dict[str, Any]], TrainReport, list[dict[str, Tensor]]]:
    """A training with small cycles, its log and report, and the weights at each validation."""
    monkeypatch.setattr("polyprefix.config.train.FIRST_CYCLE", (3, 512))
    monkeypatch.setattr("polyprefix.config.train.FIRST_PASSES", 1)
    method = {"name": "prefix", "length": 4}
    values = {"batch_size": 8, "learning_rate": 0.3, **settings}
    run = registry.resolve(RunConfig(model="tiny", task="none", method=method, seed=1, train=TrainConfig(**values)))
    model = attach(tiny_base("llama-gqa-tied"), registry.build(run.method), seed=run.seed)
    weights: list[dict[str, Tensor]] = []
    measure = validation.loglikelihood

    def measured(*args: Any) -> Any:
        weights.append({name: p.detach().clone() for name, p in model.trainable()})
        return measure(*args)

    monkeypatch.setattr(validation, "loglikelihood", measured)
    rows, log = examples(24), []
    validated = contradicted(rows[:8]) if harmful else rows[:8]
    report = train(model, rows, validated, run, reporter=Silent(), log=log.append)
    return model, log, report, weights


def same(model: AdaptedModel, weights: dict[str, Tensor]) -> bool:
    return all(torch.equal(p.detach(), weights[name]) for name, p in model.trainable())


@pytest.mark.parametrize(("gain", "harmful"), [(0.01, False), (-1.0, False), (1e9, False), (-1e9, True)])
def test_training_ends_with_the_first_cycle_that_does_not_help(
    monkeypatch: pytest.MonkeyPatch, gain: float, harmful: bool
) -> None:
    monkeypatch.setattr(validation, "IMPROVEMENT", gain)
    model, log, report, weights = fit(monkeypatch, harmful, max_steps=48)
    assert not harmful or report.kept_step < report.steps, "the case is there for cycles that do harm"
    points = report.validation
    assert [point.step for point in points] == [0, 3, 6, 12, 24, 48][: len(points)]
    best = max(points[1:], key=lambda point: point.log_likelihood)
    assert report.kept_step == best.step and same(model, weights[points.index(best)])
    better = [
        b.log_likelihood > max(p.log_likelihood for p in points[1 : n + 1]) + gain for n, b in enumerate(points[2:], 1)
    ]
    assert all(better[:-1]) and report.steps == points[-1].step == len([r for r in log if "loss" in r])
    assert report.stopped == ("bound" if better[-1] else "no improvement")


def test_the_average_is_the_mean_of_the_weights_that_were_validated(monkeypatch: pytest.MonkeyPatch) -> None:
    model, _, report, weights = fit(monkeypatch, epochs=4, validations=3, keep="average")
    assert report.steps == 12 and len(weights) == 4
    for name, parameter in model.trainable():
        torch.testing.assert_close(parameter.detach(), torch.stack([w[name] for w in weights[1:]]).mean(0))


def test_the_last_weights_are_kept_where_the_length_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    model, log, report, weights = fit(monkeypatch, epochs=4, validations=4)
    assert report.kept_step == report.steps == 12 and same(model, weights[-1]) and report.stopped == "length"
    assert [r["step"] for r in log if "validation_log_likelihood" in r] == [0, 3, 6, 9, 12]


def test_an_adapter_that_has_not_learned_is_told_from_one_that_has(monkeypatch: pytest.MonkeyPatch) -> None:
    learned = fit(monkeypatch, epochs=30, validations=1)[2]
    assert learned.learned is True and learned.notes() == () and learned.chance == 0.5
    idle = fit(monkeypatch, epochs=1, validations=1, learning_rate=1e-9)[2]
    assert idle.learned is False and "has not learned" in idle.notes()[0] and "accuracy" in idle.notes()[0]


@pytest.mark.parametrize("choices", [True, False])
def test_chance_is_taken_for_learned_in_at_most_a_twentieth(choices: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Simulated: answers and likelihoods that have nothing to do with the examples."""
    model = attach(tiny_base("llama-gqa-tied"), registry.build({"name": "prefix", "length": 2}))
    rows, random = examples(90), torch.Generator().manual_seed(0)
    rows = rows if choices else [type(row)(**{**vars_of(row), "choices": ()}) for row in rows]
    found = 0
    for _ in range(200):
        measured = validation.Validation(model, rows, "last", False, None, reporter=Silent(), log=lambda record: None)
        for step in (0, 1):
            values = torch.randn(len(rows), len(measured.ranked[0].choices), generator=random).tolist()
            ranked = [Ranked(item, tuple(v)) for item, v in zip(measured.ranked, values, strict=True)]
            monkeypatch.setattr(validation, "loglikelihood", lambda *args, ranked=ranked: ranked)
            measured.measure(step)
        found += measured.learned() is True
    assert found <= 200 * 0.05 + 2 * (200 * 0.05 * 0.95) ** 0.5


def vars_of(row: Any) -> dict[str, Any]:
    return {name: getattr(row, name) for name in row.__dataclass_fields__}
