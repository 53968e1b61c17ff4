"""What each saving brings: python -m benchmarks.levers [--model M] [--rounds 3] [--out FILE]

The same training rows and the same documents through one model in one process, with all levers, and with one lever taken away; all of
them once a round, in turn. What keeping the lower layers' output brings shows with an adapter in the upper third of the layers: in training
from the second pass over the same rows on, in evaluation from the second cell of a study on. The counted work says what a lever should
bring, the clock what it brings.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from unittest import mock

from benchmarks.rounds import ROOT, machine
from benchmarks.workload import Document, Row, task_rows
from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.config import TrainConfig
from polyprefix.engine import batch as tensors
from polyprefix.engine import memory
from polyprefix.engine.flop_counter import Work
from polyprefix.evaluation import loglikelihood as predict
from polyprefix.evaluation.shared_activations import ActivationStore, SharedActivations, sharing
from polyprefix.text.tokens import TokenizedPrompt, encode
from polyprefix.training import optimizer as engine
from polyprefix.training.length import Length
from polyprefix.training.optimizer import Optimizer
from polyprefix.types import Prompt


@dataclass(frozen=True, slots=True)
class Lever:
    """One saving, and how to go without it."""

    name: str
    off: Callable[[AdaptedModel], Any]
    """A context manager."""


@contextmanager
def _no_packing(model: AdaptedModel) -> Iterator[None]:
    with mock.patch.object(model.hook, "supports_packing", lambda: False):
        yield


@contextmanager
def _nothing_shared(model: AdaptedModel) -> Iterator[None]:
    with mock.patch.object(type(model), "shareable", lambda self, shared, longest: 0), _all_alone(model):
        yield


@contextmanager
def _all_alone(model: AdaptedModel) -> Iterator[None]:
    """No text stands with others that begin like it."""
    with mock.patch.object(
        predict, "group_by_common_prefix", lambda rows, *limits, **answers: [[n] for n in range(len(rows))]
    ):
        yield


@contextmanager
def _head_everywhere(model: AdaptedModel) -> Iterator[None]:
    """Logits of all positions, picked afterwards."""

    def all_positions(self: tensors.Batch, adapted: Any, **before: Any) -> Any:
        out = adapted(self.input_ids, self.attention_mask, packed=self.packed, **before)
        return out.logits.flatten(0, 1)[self.logit_positions].float()

    with mock.patch.object(tensors.Batch, "logits", all_positions):
        yield


@contextmanager
def _budget(tokens: int, model: AdaptedModel) -> Iterator[None]:
    with mock.patch.dict(memory.MOST, dict.fromkeys(memory.MOST, tokens)):
        yield


@contextmanager
def _nothing_kept(model: AdaptedModel) -> Iterator[None]:
    with mock.patch.object(engine, "activation_cache", lambda *args, **options: None):
        yield


@contextmanager
def _nothing_of_others(model: AdaptedModel) -> Iterator[None]:
    with mock.patch.object(SharedActivations, "_read", lambda self, name, inputs: (0, None)):
        yield


LEVERS = (
    Lever("no padding", _no_packing),
    Lever("head only at answers", _head_everywhere),
    Lever("what texts share once a pass", _nothing_shared),
    *(Lever(f"a pass of {tokens} tokens at most", partial(_budget, tokens)) for tokens in (512, 1024, 2048)),
)
BEGINNINGS = Lever("what some texts begin with once", _all_alone)
"""In evaluation alone: the texts of a training step are drawn at random."""
LOWER = Lever("lower layers once a text", _nothing_kept)
OTHERS = Lever("lower layers of another cell", _nothing_of_others)
PASSES = 3
"""Over the same rows, to measure it."""


def training(model: AdaptedModel, rows: tuple[Row, ...], steps: int, batch: int, passes: int = 1) -> dict[str, float]:
    """Seconds and counted work of passes of so many steps over the same rows, after a step over others that is not counted."""
    items = [
        TokenizedPrompt(Prompt("", "eng_Latn", "", ""), row.ids, row.target, ()) for row in rows[: (steps + 1) * batch]
    ]
    model.train()
    config = TrainConfig(learning_rate=1e-3, weight_decay=0.0, batch_size=batch)
    optimizer = Optimizer(model, items, config, Length.exactly(steps * passes + 1))
    optimizer.step([(steps * batch + n) % len(items) for n in range(batch)])
    optimizer.meter.work = Work()
    start = time.perf_counter()
    for step in list(range(steps)) * passes:
        optimizer.step([(step * batch + n) % len(items) for n in range(batch)])
    return _figures(time.perf_counter() - start, optimizer.meter.work)


def evaluation(model: AdaptedModel, documents: tuple[Document, ...]) -> dict[str, float]:
    """The same of ranking all documents."""
    prompts = [Prompt(str(n), d.language, d.text, d.choices[0], d.choices) for n, d in enumerate(documents)]
    encoded, work = encode(prompts, model.base.tokenizer, model.base.max_length), Work()
    start = time.perf_counter()
    predict.loglikelihood(model, encoded, None, work=work)
    return _figures(time.perf_counter() - start, work)


def second_evaluation(
    model: AdaptedModel, documents: tuple[Document, ...], shared: SharedActivations | None
) -> dict[str, float]:
    """The same where another cell of a study kept what the layers below the adapter gave."""
    with sharing(model, shared):
        return evaluation(model, documents)


def _figures(seconds: float, work: Work) -> dict[str, float]:
    return {
        "seconds": seconds,
        "tokens": work.tokens,
        "padding": work.padding,
        "passes": work.passes,
        "flops": work.flops,
    }


def measure(
    model: AdaptedModel,
    rows: tuple[Row, ...],
    documents: tuple[Document, ...],
    folder: Path,
    rounds: int,
    steps: int,
    batch: int,
) -> list[dict[str, Any]]:
    """One record for each part and lever: medians with and without it.

    Args:
        folder: an empty one, for hidden states.
    """
    depth = model.hook.layers - max(1, model.hook.layers // 3)
    upper = attach(model.base, registry.build({"name": "prefix", "layers": f"{depth}-"}))
    store = ActivationStore(folder, "levers", (depth,)).open(upper, {})
    second_evaluation(upper, documents, store)
    parts: dict[str, tuple[Callable[[], dict[str, float]], tuple[Lever, ...]]] = {
        "training": (lambda: training(model, rows, steps, batch), LEVERS),
        f"{PASSES} passes, upper third": (lambda: training(upper, rows, steps, batch, PASSES), (LOWER,)),
        "evaluation": (lambda: evaluation(model, documents), (*LEVERS, BEGINNINGS)),
        "second cell, upper third": (lambda: second_evaluation(upper, documents, store), (OTHERS,)),
    }
    records = []
    for part, (run, levers) in parts.items():
        found: dict[str, list[dict[str, float]]] = {}
        for _ in range(rounds):
            found.setdefault("all", []).append(run())
            for lever in levers:
                with lever.off(model):
                    found.setdefault(lever.name, []).append(run())
        whole = statistics.median(f["seconds"] for f in found["all"])
        for lever in levers:
            without = statistics.median(f["seconds"] for f in found[lever.name])
            records.append({"part": part, "lever": lever.name, "seconds": whole, "seconds_without": without, "brings": without / whole,
                            "counted": found["all"][0], "counted_without": found[lever.name][0]})  # fmt: skip
            print(
                f"{part}: without '{lever.name}' {without:.2f} s, with all {whole:.2f} s: {without / whole:.2f} times",
                flush=True,
            )
    return records


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="gemma-3-270m")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--documents", type=int, default=60)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "levers.json")
    options = parser.parse_args()
    base, rows, documents = task_rows(options.model, "xnli", ("fr",), 256, options.documents)
    model = attach(base, registry.build({"name": "prefix"}))
    with tempfile.TemporaryDirectory() as folder:
        records = measure(model, rows, documents, Path(folder), options.rounds, options.steps, options.batch)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(
        json.dumps({"model": options.model, "machine": machine(), "levers": records}, indent=1), encoding="utf-8"
    )
    print(f"wrote {options.out}; now: python -m benchmarks.page")


if __name__ == "__main__":
    main()
