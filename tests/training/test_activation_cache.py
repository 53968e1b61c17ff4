"""Law: a text crosses the layers below the adapter once, and training does not change by it: not its losses, its weights or its answers.

"Equal" below means to rounding: hidden states are computed beside other texts than without the cache.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
import torch
from tests.engine.interruption import stopped_after
from tests.engine.test_flop_counter import rows as spread
from tests.training.test_loop import examples
from torch import Tensor

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.config import RunConfig, TrainConfig
from polyprefix.engine.flop_counter import decoder_layers
from polyprefix.engine.layer_skipping import SkippableLayers
from polyprefix.engine.processes import Processes
from polyprefix.errors import ConfigError
from polyprefix.evaluation.loglikelihood import loglikelihood
from polyprefix.progress import Silent
from polyprefix.testing.tiny import tiny_base
from polyprefix.training import activation_cache
from polyprefix.training.checkpoint import Checkpoint
from polyprefix.training.length import Length
from polyprefix.training.loop import train
from polyprefix.training.optimizer import Optimizer
from polyprefix.training.report import TrainReport

PREFIX = {"name": "prefix", "layers": "top:1"}
UPPER = ("model.layers.2.self_attn.q_proj", "model.layers.2.mlp.up_proj")
METHODS: dict[str, dict[str, Any]] = {
    "prefix": PREFIX,
    "prefix from layer 1": {"name": "prefix", "layers": "1-"},
    "projected": {**PREFIX, "parametrization": "projected"},
    "mlp": {**PREFIX, "parametrization": "mlp", "hidden": 8},
    "llama-adapter": {"name": "llama-adapter", "layers": "top:1"},
    "lora": {"name": "lora", "targets": UPPER},
    "lora with dropout": {"name": "lora", "targets": UPPER, "dropout": 0.3},
}


@dataclasses.dataclass
class Fit:
    losses: list[float]
    validation: list[float]
    weights: dict[str, Tensor]
    report: TrainReport
    model: AdaptedModel
    used: bool


def fit(
    cached: bool | None,
    kind: str = "llama-gqa-tied",
    method: dict[str, Any] = PREFIX,
    *,
    padded: bool = False,
    longer: bool = True,
    in_row: bool = False,
    count: int = 22,  # not a multiple of the batch: a step in the middle holds texts of two passes over the data
    checkpoint: Checkpoint | None = None,
    **settings: Any,
) -> Fit:
    settings = {"epochs": 3, "batch_size": 8, "learning_rate": 1e-2, "validations": 3, **settings}
    settings["cache_lower_layers"] = cached
    run = registry.resolve(
        RunConfig(model="tiny", task="none", method=method, seed=1, train=TrainConfig(**settings)),
    )
    model = attach(tiny_base(kind), registry.build(run.method), seed=run.seed)
    rows, log = spread(count) if in_row else examples(count, longer=longer), []
    made: list[Any] = []
    real = activation_cache.activation_cache
    with (
        mock.patch.object(model.hook, "supports_packing", (lambda: False) if padded else model.hook.supports_packing),
        mock.patch(
            "polyprefix.training.optimizer.activation_cache", lambda *a, **k: made.append(real(*a, **k)) or made[-1]
        ),
    ):
        report = train(model, rows, rows[:8], run, reporter=Silent(), log=log.append, checkpoint=checkpoint)
    return Fit(
        [record["loss"] for record in log if "loss" in record],
        [record["validation_log_likelihood"] for record in log if "loss" not in record],
        {name: p.detach().clone() for name, p in model.trainable()},
        report,
        model,
        made[0] is not None,
    )


def assert_equal(a: Fit, b: Fit) -> None:
    """Losses to 1e-6 of themselves, weights to a hundredth of one step, for AdamW divides gradients by their own size, rounding too."""
    assert a.losses == pytest.approx(b.losses, rel=1e-6, abs=1e-7)
    assert a.validation == pytest.approx(b.validation, rel=1e-5)
    assert a.weights.keys() == b.weights.keys()
    for name, weight in a.weights.items():
        torch.testing.assert_close(weight, b.weights[name], rtol=0, atol=1e-4)


LAYOUTS: dict[str, dict[str, bool]] = {
    "packed": {},
    "shared tokens in the row": {"in_row": True},
    "padded": {"padded": True},
}


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("method", METHODS)
def test_training_is_the_same_for_every_method(method: str, layout: str) -> None:
    with_it, without = (fit(cached, method=METHODS[method], **LAYOUTS[layout]) for cached in (None, False))
    assert with_it.used and not without.used
    assert_equal(with_it, without)


@pytest.mark.parametrize(
    "kind", ["mistral-sliding", "qwen3", "gemma2", "gemma3", "phi3", "gpt-neox", "cohere", "olmo2", "gpt-oss"]
)
def test_training_is_the_same_for_every_architecture(kind: str) -> None:
    with_it, without = (fit(cached, kind) for cached in (True, False))
    assert with_it.used
    assert_equal(with_it, without)


@pytest.mark.parametrize(
    "settings", [{"token_budget": 16}, {"token_budget": 40}, {"gradient_checkpointing": True}], ids=str
)
@pytest.mark.parametrize("layout", LAYOUTS)
def test_training_is_the_same_in_small_passes_and_with_recomputation(settings: dict[str, Any], layout: str) -> None:
    with_it, without = (fit(cached, **LAYOUTS[layout], **settings) for cached in (True, False))
    assert_equal(with_it, without)


def test_the_first_pass_over_the_data_is_bit_identical() -> None:
    """Where shared tokens are read apart; in a row with texts they are not, with the cache, and round otherwise."""
    with_it, without = (fit(cached, count=24, epochs=1.2) for cached in (True, False))
    assert with_it.used and with_it.losses[:3] == without.losses[:3]


def crossed(model: AdaptedModel) -> list[Counter[int]]:
    """How many tokens the MLP of each layer sees from now on, by the number of tokens of the call."""
    seen: list[Counter[int]] = []
    for layer in decoder_layers(model.model):
        counter: Counter[int] = Counter()
        layer.mlp.register_forward_hook(lambda m, args, out, counter=counter: counter.update([out.shape[:-1].numel()]))
        seen.append(counter)
    return seen


@pytest.mark.parametrize("layout", LAYOUTS)
def test_each_text_crosses_the_lower_layers_once(layout: str) -> None:
    """Regression, in counts: layers 0 and 1 see every token of every text once, layer 2 in each of three passes over the data."""
    model = attach(tiny_base("llama-gqa-tied"), registry.build(PREFIX))
    model.hook.supports_packing()
    rows = spread(24) if "in_row" in LAYOUTS[layout] else examples(24)
    with mock.patch.object(model.hook, "supports_packing", lambda: "padded" not in LAYOUTS[layout]):
        steps = Optimizer(
            model, rows, TrainConfig(learning_rate=1e-3, weight_decay=0.0, token_budget=64), Length.exactly(3)
        )
        assert bool(steps.head) == ("in_row" in LAYOUTS[layout])
        seen = crossed(model)
        for _ in range(3):
            steps.step(range(24))
    tokens = sum(text.size for text in steps.trees)
    padding = steps.meter.work.padding // 3
    totals = [sum(size * times for size, times in counter.items()) for counter in seen]
    shared = steps.meter.work.passes * steps.shared  # again in every pass, but only above
    assert totals == [tokens + padding] * 2 + [3 * (tokens + padding) + shared]
    assert steps.meter.work.tokens == 3 * tokens + shared


def test_the_work_is_what_was_computed() -> None:
    """Three passes over the data with the cache cost three without it, less two crossings of the lower layers."""
    report, without = (fit(cached, count=24, longer=False).report.work for cached in (True, False))
    steps = Optimizer(
        fit(False, count=24).model, examples(24), TrainConfig(learning_rate=1e-3, weight_decay=0.0), Length.exactly(9)
    )
    shape, lower = steps.meter.shape, slice(0, 2)
    tokens, pairs = steps.meter._tokens_and_pairs(steps.trees)
    within = steps.shared * (steps.shared + 1) // 2
    saved = 2 * shape.forward(tokens, pairs, 0, lower) + report.passes * shape.forward(steps.shared, within, 0, lower)
    assert (report.passes, report.tokens, report.padding) == (without.passes, without.tokens, without.padding)
    assert without.flops - report.flops == pytest.approx(saved, rel=1e-9)


def test_validation_and_answers_do_not_see_it() -> None:
    """While training is under way the model still answers any text, from its first layer on, with the weights that it has."""
    model = attach(tiny_base("gemma3"), registry.build(PREFIX))
    rows = examples(16)
    steps = Optimizer(model, rows, TrainConfig(learning_rate=1e-3, weight_decay=0.0), Length.exactly(4))
    before = loglikelihood(model, rows, 4096)
    steps.adamw.param_groups[0]["lr"] = 0.0
    steps.step(range(16))
    assert steps.lower
    for layer in decoder_layers(model.model):
        assert "forward" not in vars(layer) and not layer._forward_hooks
    seen = crossed(model)
    after = loglikelihood(model, rows, 4096)
    assert [r.log_likelihoods for r in after] == [r.log_likelihoods for r in before]
    assert len({tuple(counter.items()) for counter in seen}) == 1


@pytest.mark.parametrize("settings", [{}, {"in_row": True}, {"token_budget": 40}], ids=str)
def test_resumed_in_the_middle_of_a_pass_is_bit_identical(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any]
) -> None:
    """Texts that are read again after an interruption are read beside the same others, so that they are rounded alike."""
    whole = fit(True, method=METHODS["lora with dropout"], **settings)
    checkpoint = Checkpoint(tmp_path / "checkpoint.pt", None, every_seconds=0)
    checkpoint.due = lambda: True  # type: ignore[method-assign]
    for survives in (4, 1):
        with stopped_after(survives, monkeypatch):
            fit(True, method=METHODS["lora with dropout"], checkpoint=checkpoint, **settings)
    resumed = fit(True, method=METHODS["lora with dropout"], checkpoint=checkpoint, **settings)
    assert resumed.report.resumed_at == 5 and resumed.losses == whole.losses[5:]
    assert all(torch.equal(weight, whole.weights[name]) for name, weight in resumed.weights.items())
    assert resumed.report.work == whole.report.work


def test_a_pass_that_did_not_fit_is_done_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with_it = fit(True, count=24)
    real, failures = Optimizer._loss, iter([True])

    def loss(self: Optimizer, inputs: Any) -> Tensor:
        if next(failures, False):
            raise torch.OutOfMemoryError
        return real(self, inputs)

    monkeypatch.setattr(Optimizer, "_loss", loss)
    assert_equal(with_it, fit(True, count=24))


# --- where it is used ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "settings"),
    [(PREFIX, {"epochs": 1}), ({"name": "prefix"}, {}), ({"name": "soft-prompt"}, {}), ({"name": "lora"}, {}),
     ({"name": "full"}, {}), ({"name": "full", "train_embeddings": False}, {})],
    ids=str,
)  # fmt: skip
def test_it_is_left_out_where_it_saves_nothing(method: dict[str, Any], settings: dict[str, Any]) -> None:
    assert not fit(None, method=method, count=16, **settings).used


def test_it_is_left_out_where_few_layers_would_be_spared(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation_cache, "LEAST_BELOW", 0.7)
    assert not fit(None).used and fit(True).used


def test_it_is_left_out_where_memory_is_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(activation_cache, "free_bytes", lambda device: 10_000)
    assert not fit(None).used and fit(True).used
    monkeypatch.setattr(activation_cache, "free_bytes", lambda device: None)  # nobody says
    assert fit(None).used


def test_it_is_left_out_where_lower_layers_use_random_numbers() -> None:
    base = tiny_base("gpt-neox")
    decoder_layers(base.model)[0].post_mlp_dropout.p = 0.1
    model = attach(base, registry.build(PREFIX))
    state = torch.get_rng_state()
    steps = Optimizer(model, examples(8), TrainConfig(learning_rate=1e-3, weight_decay=0.0), Length.exactly(4))
    assert steps.lower is None and torch.equal(state, torch.get_rng_state())


def test_it_is_left_out_where_a_lower_weight_is_trained() -> None:
    """Even if nobody declared it: autograd is asked."""
    model = attach(tiny_base("llama-gqa-tied"), registry.build(PREFIX))
    decoder_layers(model.model)[0].mlp.up_proj.weight.requires_grad_()
    assert not SkippableLayers(model, 2).can_be_skipped()


def test_trained_embeddings_count_as_lowest() -> None:
    model = attach(tiny_base("llama-mha"), registry.build({"name": "lora", "targets": ("embed_tokens", UPPER[0])}))
    assert Optimizer(model, examples(8), TrainConfig(learning_rate=1e-3), Length.exactly(4)).meter.shape.lowest == 0


@pytest.mark.parametrize(
    ("method", "count", "reason"),
    [({"name": "prefix"}, 1, "the method adapts the model from its first layer on"),
     (PREFIX, 2, "several processes")],
)  # fmt: skip
def test_where_it_is_asked_for_and_impossible_one_line_says_why(
    method: dict[str, Any], count: int, reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(activation_cache, "processes", lambda: Processes(0, count))
    with pytest.raises(ConfigError, match=f"train.cache_lower_layers is true, but {reason}") as error:
        fit(True, method=method)
    assert "\n" not in str(error.value)


def test_layers_that_cannot_be_skipped_are_not() -> None:
    """A model whose upper layers look at what lower ones left behind, besides the hidden states."""
    model = attach(tiny_base("llama-mha"), registry.build(PREFIX))
    layers = decoder_layers(model.model)
    left: dict[str, Tensor] = {}
    layers[0].mlp.register_forward_hook(lambda module, args, out: left.update(last=out))
    layers[2].mlp.register_forward_hook(lambda module, args, out: out + left["last"])
    assert not SkippableLayers(model, 2).can_be_skipped()
