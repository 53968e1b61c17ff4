"""Law: the counted work is the work that was done, and no more than the task needs. Counts, not times: any machine may check them."""

from __future__ import annotations

import dataclasses
import random
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.config import TrainConfig
from polyprefix.engine.flop_counter import Work, WorkSizes
from polyprefix.evaluation.loglikelihood import loglikelihood
from polyprefix.prefix import Packed, TokenTree
from polyprefix.testing.tiny import tiny_base
from polyprefix.text.tokens import TokenizedPrompt
from polyprefix.training.length import Length
from polyprefix.training.optimizer import Optimizer
from polyprefix.types import Prompt

SHARED = tuple(range(5, 17))
"""12 tokens that all prompts begin with."""


def rows(
    count: int, choices: tuple[tuple[int, ...], ...] = ((9,), (8,), (7,)), shared: tuple[int, ...] = SHARED
) -> list[TokenizedPrompt]:
    """Prompts whose lengths are spread like XNLI's."""
    rng = random.Random(0)
    found = []
    for n in range(count):
        rest = tuple(rng.randrange(4, 260) for _ in range(max(4, round(rng.lognormvariate(3.7, 0.45)))))
        found.append(
            TokenizedPrompt(Prompt(str(n), "x", "", ""), (*shared, n % 200 + 20, *rest), choices[n % 3], choices)
        )
    return found


def adapted(kind: str = "llama-gqa-tied", **settings: Any) -> AdaptedModel:
    model = attach(tiny_base(kind), registry.build(settings))
    model.hook.supports_packing()  # tried once, and not to be counted
    return model


def optimizer(model: AdaptedModel, items: list[TokenizedPrompt], kept: bool | None = None) -> Optimizer:
    model.train()
    return Optimizer(
        model, items, TrainConfig(learning_rate=1e-3, weight_decay=0.0, cache_lower_layers=kept), Length.exactly(10)
    )


def products(run: Any) -> float:
    """FLOPs of all matrix products outside attention."""
    with FlopCounterMode(display=False) as counter:
        run()
    counts = counter.get_flop_counts()["Global"]
    return sum(n for op, n in counts.items() if str(op).removeprefix("aten.") in ("mm", "addmm", "bmm"))


@pytest.mark.parametrize("kept", [None, False], ids=["lower layers kept", "crossed"])
@pytest.mark.parametrize(
    "settings",
    [{"name": "prefix"}, {"name": "prefix", "layers": "top:1"}, {"name": "prefix", "layers": "1-"},
     {"name": "llama-adapter", "layers": "top:2"}, {"name": "lora"}, {"name": "full"}, {"name": "full", "train_embeddings": False}],
    ids=lambda s: "-".join(map(str, s.values())),
)  # fmt: skip
def test_the_formula_is_what_training_computes(settings: dict[str, Any], kept: bool | None) -> None:
    model = adapted("llama-gqa-tied", **settings)
    steps = optimizer(model, rows(8, shared=()), kept)
    steps.step(range(8))  # what is made once is made
    meter = steps.meter
    meter.work, meter.shape = Work(), dataclasses.replace(meter.shape, attention=0)
    done = products(lambda: steps.step(range(8)))
    # an adapter's own projections, and in the first layer what LoRA need not compute for its input, are not in the formula
    tolerance = 0.05 if settings["name"] in ("lora", "llama-adapter") else 1e-3
    assert meter.work.flops == pytest.approx(done, rel=tolerance)


def test_what_texts_share_is_counted_as_it_is_computed() -> None:
    steps = optimizer(adapted(name="prefix"), rows(8))
    steps.step(range(8))
    meter = steps.meter
    meter.work, meter.shape = Work(), dataclasses.replace(meter.shape, attention=0)
    done = products(lambda: steps.step(range(8)))
    assert meter.work.flops == pytest.approx(done, rel=0.01)


@pytest.mark.parametrize("choices", [((9,), (8,), (7,)), ((9, 5), (8,), (7, 5, 6))])
def test_the_formula_is_what_ranking_computes(choices: tuple[tuple[int, ...], ...]) -> None:
    model, items, work = adapted(name="prefix"), rows(8, choices), Work()
    shape = dataclasses.replace(WorkSizes.of(model), attention=0)
    done = products(lambda: loglikelihood(model, items, None, work=work))
    positions = 8 * (1 + sum(len(c) - 1 for c in choices))
    once = shape.forward(len(SHARED), 0, 0)  # for the whole set
    assert done == pytest.approx(shape.forward(work.tokens, 0, positions) + once, rel=1e-3)


def test_a_step_is_one_pass_without_padding() -> None:
    """Regression: 16 texts of XNLI's lengths, with what they share, take one pass without padding, and the head 16 positions."""
    model = adapted(name="prefix")
    steps, seen = optimizer(model, rows(16)), []
    model.model.get_output_embeddings().register_forward_hook(lambda module, args, out: seen.append(out.shape[1]))
    first = model.model.model.layers[0].mlp
    calls: list[int] = []
    first.register_forward_hook(lambda module, args, out: calls.append(out.shape[1]))
    steps.step(range(16))
    texts = sum(len(row.ids) - len(SHARED) for row in rows(16))
    assert seen == [16] and calls == [len(SHARED) + texts]
    assert (steps.meter.work.passes, steps.meter.work.padding, steps.meter.work.tokens) == (1, 0, texts + len(SHARED))


def test_useful_work_is_nearly_all_the_work() -> None:
    """Regression: what attention lays out beside the texts stays small."""
    lengths = [len(row.ids) for row in rows(3000)]
    wasted = total = 0
    for start in range(0, 3000, 16):
        packed = Packed.of([TokenTree(range(n)) for n in lengths[start : start + 16]], torch.device("cpu"))
        wasted += packed.real.numel() - int(packed.real.sum())
        total += packed.real.numel()
    assert wasted / total < 0.17  # of attention, itself a few hundredths of a pass


def test_flops_of_an_example_are_those_written_down() -> None:
    """Regression: Gemma 3 270M's shape, 50 tokens after 30 shared ones, by hand."""
    weights = 640 * 256 * (4 + 2 + 4) + 3 * 640 * 2048
    shape = WorkSizes(18, 18 * weights, 0, 0, 640 * 256 * 6, 1024, 640 * 262144, False, (16,) * 18)
    pairs = 50 * 51 // 2 + 50 * 30
    forward = 2 * 18 * weights * 50 + 4 * 1024 * 18 * (pairs + 50 * 16) + 2 * 640 * 262144
    assert shape.forward(50, pairs, 1) == forward
    assert forward == pytest.approx(10.64e9, rel=0.01)
    backward = 2 * (18 * weights - 640 * 1536) * 50 + 8 * 1024 * 18 * (pairs + 50 * 16) + 2 * 640 * 262144
    assert shape.backward(50, pairs, 1) == backward


@pytest.mark.parametrize("recomputed", [False, True])
@pytest.mark.parametrize("layers", ["top:1", "2-"])
def test_nothing_below_the_lowest_adapted_layer_has_a_gradient(layers: str, recomputed: bool) -> None:
    model = adapted(name="prefix", layers=layers)
    if recomputed:
        model.gradient_checkpointing_enable()
    graph: list[bool] = []
    for layer in model.model.model.layers:
        layer.register_forward_hook(
            lambda module, args, out: graph.append((out[0] if isinstance(out, tuple) else out).requires_grad)
        )
    optimizer(model, rows(4, shared=()), kept=False).step(range(4))
    assert graph[:3] == [False, False, True]


def test_choices_cost_one_prompt() -> None:
    """Regression: three choices of one token cost what one costs; three longer ones their own tokens and no second prompt."""
    counted = {}
    for name, choices in (("one", ((9,),) * 1), ("three", ((9,), (8,), (7,))), ("longer", ((9, 5), (8, 5, 6), (7,)))):
        work = Work()
        items = [dataclasses.replace(row, choices=choices) for row in rows(20)]
        loglikelihood(adapted(name="prefix"), items, None, work=work)
        counted[name] = work.tokens
    assert counted["three"] == counted["one"] and counted["longer"] == counted["one"] + 20 * 3
