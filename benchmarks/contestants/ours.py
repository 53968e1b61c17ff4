"""polyprefix."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks import shapes
from benchmarks.worker import Clock
from benchmarks.workload import Document, Row, Workload
from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.files import load_adapter
from polyprefix.config import TrainConfig
from polyprefix.engine.flop_counter import Work
from polyprefix.engine.peak import measured_peak
from polyprefix.evaluation.generation import generate_until
from polyprefix.evaluation.loglikelihood import loglikelihood
from polyprefix.models.load import load_model
from polyprefix.text.tokens import TokenizedPrompt, encode
from polyprefix.training.length import Length
from polyprefix.training.optimizer import Optimizer
from polyprefix.types import Prompt


def train(name: str, work: Workload, started: float) -> dict[str, Any]:
    """The engine's own optimiser steps, over the rows in their order."""
    with _model(work) as model:
        return _train(model, work, started)


def _train(model: AdaptedModel, work: Workload, started: float) -> dict[str, Any]:
    optimizer = _optimizer(model, work)
    clock = Clock(work, started)
    done = False
    flops = seconds = 0.0
    while not done:
        before, start = optimizer.meter.work.flops, time.perf_counter()
        record = optimizer.step(
            [(len(clock.ends) * work.batch_size + n) % len(work.rows) for n in range(work.batch_size)]
        )
        done = clock.step(record["loss"])
        if len(clock.ends) > 1:
            flops, seconds = flops + optimizer.meter.work.flops - before, seconds + time.perf_counter() - start
    ceiling = measured_peak(model.device, model.hook.dtype)
    return {
        **clock.result(work.batch_size),
        "padding_share": optimizer.meter.work.padding_share,
        "peak_flops_per_second": ceiling,
        "mfu": flops / seconds / ceiling,
        "tokens_per_second": _tokens(work) * work.batch_size * (len(clock.ends) - 1) / seconds,
    }


def evaluate(name: str, work: Workload, started: float) -> dict[str, Any]:
    """From prompts as text to a log-likelihood for each choice or to an answer, language after language."""
    with _model(work) as model:
        return _evaluate(model, work, started)


def _evaluate(model: AdaptedModel, work: Workload, started: float) -> dict[str, Any]:
    loaded = time.time() - started
    counted = Work()
    start = time.perf_counter()
    found: dict[int, Sequence[float] | str] = {}
    for places in work.by_language():
        encoded = encode([_prompt(work.documents[n]) for n in places], model.base.tokenizer, model.base.max_length)
        if work.documents[places[0]].choices:
            ranked = loglikelihood(model, encoded, None, work=counted)
            found.update(zip(places, (item.log_likelihoods for item in ranked), strict=True))
        else:
            found.update(zip(places, generate_until(model, encoded, None, work=counted), strict=True))
    seconds = time.perf_counter() - start
    ceiling = measured_peak(model.device, model.hook.dtype)
    return {
        **work.evaluated(found, loaded, seconds),
        "padding_share": counted.padding_share,
        "mfu": counted.flops / seconds / ceiling,
    }


def _prompt(doc: Document) -> Prompt:
    """Read and written as lm-evaluation-harness does."""
    target = doc.choices[0] if doc.choices else ""
    return Prompt("", doc.language, doc.text, target, doc.choices, doc.stop, doc.max_new_tokens, verbatim=True)


def check(name: str, work: Workload, started: float) -> dict[str, Any]:
    """The mean loss of the first batch."""
    with _model(work) as model:
        return {"loss": _optimizer(model, work).step(range(work.batch_size))["loss"]}


@contextmanager
def _model(work: Workload) -> Iterator[AdaptedModel]:
    """The adapted model; a base model with random weights is left as it was, for the next contestant."""
    model = _adapted(work)
    try:
        yield model
    finally:
        model.hook.remove()


def _adapted(work: Workload) -> AdaptedModel:
    dtype = work.dtype if work.setting == "same" else "auto"
    if work.model.startswith(shapes.PREFIX):
        base = shapes.base(work.model, work.dtype, work.device)
    else:
        base = load_model(work.model, dtype=dtype, device=work.device)
    if work.adapter:
        return load_adapter(base, work.adapter)
    return attach(
        base, registry.build({"name": work.method, **work.extra} if work.method != "none" else {"name": "none"})
    )


def _optimizer(model: AdaptedModel, work: Workload) -> Optimizer:
    config = TrainConfig(
        learning_rate=work.learning_rate, batch_size=work.batch_size, weight_decay=0.0, warmup=0.0, schedule="constant",
        cache_lower_layers=False,  # the rows come again for the measurement's sake only
    )  # fmt: skip
    model.train()
    return Optimizer(model, [_encoded(row) for row in work.rows], config, Length.exactly(work.max_steps))


def _encoded(row: Row) -> TokenizedPrompt:
    return TokenizedPrompt(Prompt("", "eng_Latn", "", ""), row.ids, row.target, ())


def _tokens(work: Workload) -> float:
    return sum(len(row.ids) + len(row.target) - 1 for row in work.rows) / len(work.rows)
