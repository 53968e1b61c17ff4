"""Meta-learning: its gradients are those of brute force, its episodes are fair, and it resumes, from an adapter's weights alone."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.engine.interruption import stopped_after
from torch import Tensor

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.config import MetaConfig, RunConfig, TrainConfig
from polyprefix.engine.processes import Processes
from polyprefix.errors import ConfigError
from polyprefix.progress import Silent
from polyprefix.results.log import JsonlLog, read_jsonl
from polyprefix.settings import override, validate
from polyprefix.testing.tiny import tiny_base, tiny_tokenizer
from polyprefix.text.tokens import TokenizedPrompt, encode
from polyprefix.training.checkpoint import Checkpoint
from polyprefix.training.length import Length
from polyprefix.training.loop import train
from polyprefix.training.meta import Draw, draws, meta_gradient, require_possible
from polyprefix.training.optimizer import Optimizer
from polyprefix.training.report import TrainReport
from polyprefix.types import Prompt

METHODS: dict[str, dict[str, Any]] = {
    "soft-prompt": {"length": 3},
    "prefix": {"length": 2},
    "llama-adapter": {"length": 3, "layers": "1-"},
    "lora": {"rank": 2},
}
RATE = 0.2
EPISODE = [Draw((0, 1, 2), (3, 4)), Draw((5, 6), (7, 8, 9))]


def examples(codes: tuple[str, ...] = ("hin_Deva",), each: int = 10) -> list[TokenizedPrompt]:
    prompts = [
        Prompt(f"{code} {i}", code, f"{code[:i % 3]} {i * 7919 % (10 ** (i % 4 + 1))}=", ("even", "odd")[i % 2], ("even", "odd"))
        for code in codes
        for i in range(each)
    ]  # fmt: skip
    return encode(prompts, tiny_tokenizer(), 256)


def exact(kind: str, **settings: Any) -> Optimizer:
    """An optimiser in float64, at weights that are no initial values: a gate that is closed would hide its prompts."""
    name = settings.pop("name")
    model = attach(tiny_base(kind), registry.build({"name": name, **settings})).double()
    torch.manual_seed(3)
    with torch.no_grad():
        for _, parameter in model.trainable():
            parameter += 0.1 * torch.randn_like(parameter)
    return Optimizer(model, examples(), TrainConfig(learning_rate=1.0, cache_lower_layers=False), Length.exactly(1))


def config(order: str, inner_steps: int = 2) -> MetaConfig:
    return MetaConfig(order=order, inner_steps=inner_steps, inner_rate=RATE)  # type: ignore[arg-type]


def flat(tensors: Any) -> Tensor:
    return torch.cat([t.detach().flatten().clone() for t in tensors])


def put(optimizer: Optimizer, values: Tensor) -> None:
    with torch.no_grad():
        for p, part in zip(optimizer.parameters, values.split([p.numel() for p in optimizer.parameters]), strict=True):
            p.copy_(part.view_as(p))


def gradient(optimizer: Optimizer, rows: tuple[int, ...]) -> tuple[float, Tensor]:
    loss = optimizer.gradients(rows)
    return loss, flat(p.grad for p in optimizer.parameters)  # type: ignore[misc]


def adapted(optimizer: Optimizer, start: Tensor, batches: list[tuple[int, ...]]) -> Tensor:
    """The weights after plain gradient descent over these batches."""
    put(optimizer, start)
    now = start
    for rows in batches:
        now = now - RATE * gradient(optimizer, rows)[1]
        put(optimizer, now)
    return now


def after(optimizer: Optimizer, start: Tensor, steps: int) -> float:
    """The mean loss on query examples of the weights that adapted to support examples."""
    total = 0.0
    for draw in EPISODE:
        adapted(optimizer, start, [draw.support] * steps)
        total += gradient(optimizer, draw.query)[0] / len(EPISODE)
    return total


@pytest.mark.parametrize("steps", [1, 3])
@pytest.mark.parametrize("name", METHODS)
def test_the_second_order_gradient_is_that_of_the_adapted_loss(name: str, steps: int) -> None:
    """Central differences along the gradient and along random directions, each through all inner steps anew."""
    optimizer = exact("gpt-neox", name=name, **METHODS[name])
    start = flat(optimizer.parameters)
    loss, _ = meta_gradient(optimizer, EPISODE, config("second", steps))
    ours = flat(p.grad for p in optimizer.parameters)
    assert torch.equal(flat(optimizer.parameters), start)
    assert loss == pytest.approx(after(optimizer, start, steps), rel=1e-10)
    for direction in (ours, *torch.randn(2, len(start), dtype=start.dtype, generator=torch.Generator().manual_seed(1))):
        unit = direction / direction.norm()
        step = 1e-4
        difference = (after(optimizer, start + step * unit, steps) - after(optimizer, start - step * unit, steps)) / (
            2 * step
        )
        assert float(ours @ unit) == pytest.approx(difference, rel=1e-5, abs=1e-7)


@pytest.mark.parametrize("name", METHODS)
def test_the_first_order_gradient_is_that_at_the_adapted_weights(name: str) -> None:
    optimizer = exact("gpt-neox", name=name, **METHODS[name])
    start = flat(optimizer.parameters)
    meta_gradient(optimizer, EPISODE, config("first"))
    ours, expected = flat(p.grad for p in optimizer.parameters), torch.zeros_like(start)
    for draw in EPISODE:
        adapted(optimizer, start, [draw.support] * 2)
        expected += gradient(optimizer, draw.query)[1] / len(EPISODE)
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("name", METHODS)
def test_the_gradient_of_reptile_is_the_difference_of_weights(name: str) -> None:
    optimizer = exact("gpt-neox", name=name, **METHODS[name])
    start = flat(optimizer.parameters)
    meta_gradient(optimizer, EPISODE, config("reptile", 3))
    ours = flat(p.grad for p in optimizer.parameters)
    ends = [adapted(optimizer, start, [draw.support, draw.query, draw.support]) for draw in EPISODE]
    torch.testing.assert_close(ours, start - sum(ends) / len(ends))


def fit(
    place: Path | None = None,
    *,
    kind: str = "gemma3",
    method: dict[str, Any] | None = None,
    steps: int = 3,
    **meta: Any,
) -> tuple[AdaptedModel, list[dict[str, Any]], TrainReport]:
    """Three steps on English rows, then episodes over two other languages."""
    settings = TrainConfig(
        steps=steps, batch_size=8, learning_rate=1e-2, validations=2,
        meta=MetaConfig(**{"episodes": 4, "inner_steps": 2, "support_size": 3, "query_size": 3, **meta}),
    )  # fmt: skip
    run = registry.resolve(
        RunConfig(
            model="tiny",
            task="none",
            method=method or {"name": "prefix", "length": 3},
            seed=1,
            train=settings,
            target_languages=("hin_Deva", "swh_Latn"),
            target_size=10,
        )
    )
    model = attach(tiny_base(kind), registry.build(run.method), seed=run.seed)
    rows, log = examples(("eng_Latn", "hin_Deva", "swh_Latn")), []
    checkpoint = None
    if place is not None:
        checkpoint = Checkpoint(place / "checkpoint.pt", place / "train.jsonl", every_seconds=0)
        checkpoint.due = lambda: True  # type: ignore[method-assign]  # after every step
    write = log.append if place is None else JsonlLog(place / "train.jsonl").write
    report = train(model, rows, rows[:6], run, reporter=Silent(), log=write, checkpoint=checkpoint)
    return model, list(read_jsonl(place / "train.jsonl")) if place else log, report


@pytest.mark.parametrize("order", ["second", "first", "reptile"])
def test_a_phase_after_the_source_languages(order: str) -> None:
    model, log, report = fit(order=order, support_size=5, query_size=5)
    assert (report.steps, report.episodes, report.examples) == (7, 4, 3 * 8 + 4 * 2 * 10)
    assert [r["step"] for r in log if "support_loss" in r] == [4, 5, 6, 7]
    assert report.kept_step == 7 and [point.step for point in report.validation] == [0, 2, 3, 5, 7]
    assert report.figures()["meta_episodes"] == 4
    assert any(f"Meta-learning ({order}): after training" in note and "4 episodes" in note for note in report.notes())
    alone, *_ = fit(episodes=1, learning_rate=1e-30)
    moved = [not torch.equal(p, q) for (_, p), (_, q) in zip(model.trainable(), alone.trainable(), strict=True)]
    assert all(moved)


def test_the_source_phase_never_sees_the_other_languages() -> None:
    """Weights before the episodes are those of a run in English alone, to the last bit."""
    plain = registry.resolve(
        RunConfig(
            model="tiny",
            task="none",
            method={"name": "prefix", "length": 3},
            seed=1,
            train=TrainConfig(steps=3, batch_size=8, learning_rate=1e-2, validations=2),
        )
    )
    model = attach(tiny_base("gemma3"), registry.build(plain.method), seed=1)
    rows, log = examples(("eng_Latn",)), []
    train(model, rows, rows[:6], plain, reporter=Silent(), log=log.append)
    assert fit()[1][: len(log)] == log


@pytest.mark.parametrize("method", [{"name": "prefix", "length": 3}, {"name": "lora", "dropout": 0.3}])
@pytest.mark.parametrize("order", ["second", "reptile"])
def test_stopped_and_resumed_is_bit_identical(
    method: dict[str, Any], order: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "whole").mkdir()
    (tmp_path / "parts").mkdir()
    whole, log, report = fit(tmp_path / "whole", method=method, order=order)
    for survives in (2, 2, 1):  # in the first phase, in the second, and there again
        with stopped_after(survives, monkeypatch):
            fit(tmp_path / "parts", method=method, order=order)
    torch.manual_seed(12345)
    parts, again, resumed = fit(tmp_path / "parts", method=method, order=order)
    assert resumed.resumed_at == 5 and again == log and resumed.work == report.work
    assert all(torch.equal(p, q) for (_, p), (_, q) in zip(whole.trainable(), parts.trainable(), strict=True))
    assert (resumed.validation, resumed.steps, resumed.kept_step) == (report.validation, 7, 7)


def test_a_hessian_is_that_of_the_dropout_whose_gradient_was_taken() -> None:
    """Central differences of the adapted loss, each with the random numbers of its draw, wherever the generator stands."""
    optimizer = exact("gpt-neox", name="lora", rank=2, dropout=0.5)
    optimizer.adapted.train()
    start = flat(optimizer.parameters)

    def adapted_loss(weights: Tensor) -> float:
        put(optimizer, weights)
        return meta_gradient(optimizer, EPISODE, config("first"))[0]

    torch.manual_seed(5)
    meta_gradient(optimizer, EPISODE, config("second"))
    ours = flat(p.grad for p in optimizer.parameters)
    unit, step = ours / ours.norm(), 1e-4
    difference = (adapted_loss(start + step * unit) - adapted_loss(start - step * unit)) / (2 * step)
    assert float(ours @ unit) == pytest.approx(difference, rel=1e-5)


@pytest.mark.parametrize("kind", ["gemma2", "mistral-sliding", "qwen3"])
def test_passes_change_nothing_but_memory(kind: str) -> None:
    """Whatever the attention underneath and the number of passes, the gradient is one."""
    found = []
    for budget in (None, 16):
        model = attach(tiny_base(kind), registry.build({"name": "prefix", "length": 3}))
        settings = TrainConfig(learning_rate=1.0, token_budget=budget)
        optimizer = Optimizer(model, examples(), settings, Length.exactly(1))
        meta_gradient(optimizer, EPISODE, config("second"))
        found.append(flat(p.grad for p in optimizer.parameters))
    torch.testing.assert_close(*found, atol=1e-5, rtol=1e-3)


def test_episodes_are_fair() -> None:
    """No example is both support and query; each is drawn about equally often; an episode depends on seed and number alone."""
    settings = MetaConfig(support_size=3, query_size=4)
    languages = {"hin_Deva": range(10), "swh_Latn": range(10, 22)}
    seen: Counter[int] = Counter()
    for number in range(400):
        episode = draws(languages, settings, 7, number)
        assert episode == draws(languages, settings, 7, number) != draws(languages, settings, 8, number)
        for draw, rows in zip(episode, languages.values(), strict=True):
            both = draw.support + draw.query
            assert len(set(both)) == 7 and set(both) <= set(rows)
            seen.update(both)
    assert all(count == pytest.approx(400 * 7 / (10 if row < 10 else 12), rel=0.25) for row, count in seen.items())


RUN = {"model": "m", "task": "sib200", "target_languages": "sw,hi", "target_size": 16}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**RUN, "target_languages": "", "target_size": None, "train": {"meta": "first"}}, "learns over target languages"),
        ({**RUN, "target_size": 15, "train": {"meta": "first"}}, "support_size 8 and train.meta.query_size 8: more than the target_size 15"),
        ({**RUN, "train": {"meta": {"order": "reptile", "inner_steps": 1}}}, "ask for 2 or more"),
        ({**RUN, "train": {"meta": "third"}}, r"'train.meta.order' is 'third': .*'second', 'first' or 'reptile'"),
        ({**RUN, "train": {"meta": {"episode": 3}}}, "unknown key 'train.meta.episode'.*episodes"),
        ({**RUN, "train": {"meta": {"inner_rate": 0}}}, "'train.meta.inner_rate' is 0: .*greater than 0"),
    ],
)  # fmt: skip
def test_what_cannot_be_learned_so_is_one_line(values: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        validate(RunConfig, values, "run")


def test_what_cannot_be_differentiated_twice_is_one_line_before_training(monkeypatch: pytest.MonkeyPatch) -> None:
    model = attach(tiny_base("llama-mha"), registry.build({"name": "prefix", "length": 3}))
    settings = TrainConfig(meta=config("second"))
    lean = settings.model_copy(update={"gradient_checkpointing": True})
    with pytest.raises(ConfigError, match=r"gradient_checkpointing recomputes .*take --set train.meta.order=first"):
        require_possible(model, lean)
    require_possible(model, lean.model_copy(update={"meta": config("first")}))
    with monkeypatch.context() as patched, pytest.raises(ConfigError, match="start the run without FSDP"):
        patched.setattr("polyprefix.training.meta.processes", lambda: Processes(0, 2, sharded=True))
        require_possible(model, settings)
    underneath = SimpleNamespace(_attn_implementation="polyprefix_flex_attention")
    monkeypatch.setattr(AdaptedModel, "config", underneath)
    with pytest.raises(ConfigError, match=r"flex_attention cannot be .*take --set runtime.attention=sdpa"):
        require_possible(model, settings)


def test_one_word_and_keys_beside_it() -> None:
    given = override({"task": "sib200"}, ("train.meta=first", "train.meta.episodes=7", "method=lora", "method.rank=2"))
    assert given["train"]["meta"] == {"order": "first", "episodes": 7} and given["method"] == {
        "name": "lora",
        "rank": 2,
    }
    assert override({"train": {"meta": None}}, ("train.meta.order=first",))["train"]["meta"] == {"order": "first"}
    run = registry.resolve(validate(RunConfig, {**RUN, "method": "lora", "train": {"meta": "first"}}, "run"))
    assert run.train.meta == MetaConfig(order="first", inner_rate=registry.kind("lora").defaults.learning_rate)
