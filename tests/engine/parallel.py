"""What each process of tests/engine/test_processes.py runs: twenty steps of every method on a tiny model."""

from __future__ import annotations

import json
import os
import tempfile
import traceback
from pathlib import Path
from typing import Any

import torch
from tests.training.test_loop import examples

from polyprefix.adapters import registry
from polyprefix.adapters.attach import attach
from polyprefix.adapters.files import load_adapter, save_adapter
from polyprefix.config import RunConfig, TrainConfig
from polyprefix.engine.processes import processes
from polyprefix.evaluation.predictions import predict
from polyprefix.progress import Silent
from polyprefix.results.unfinished import Unfinished
from polyprefix.testing.tiny import tiny_base
from polyprefix.training.checkpoint import Checkpoint
from polyprefix.training.loop import train
from polyprefix.types import Example

METHODS: dict[str, dict[str, Any]] = {
    **{name: {"name": name} for name in registry.names() if name != "none"},
    "prefix, projected": {"name": "prefix", "parametrization": "projected"},
    "lora, all linear": {"name": "lora", "targets": "all-linear"},
}
STEPS = 20


def fit(method: str, place: Path) -> dict[str, Any]:
    """Losses of a training that is resumed in the middle from nothing but its checkpoint, then answers in two languages."""
    group, rows = processes(), examples(24, longer=True)
    settings = TrainConfig(steps=STEPS, batch_size=6, learning_rate=1e-3, validations=2, token_budget=48)
    run = registry.resolve(RunConfig(model="tiny", task="none", method=METHODS[method], seed=1, train=settings))
    model = attach(tiny_base("llama-gqa-tied"), registry.build(run.method), seed=run.seed)
    group.shard(model)
    log: list[dict[str, Any]] = []
    checkpoint = Checkpoint(place / "checkpoint.pt", place / "log", every_seconds=1e9)
    report = train(model, rows, rows[:6], run, reporter=Silent(), log=log.append, checkpoint=checkpoint)
    again = train(model, rows, rows[:6], run, reporter=Silent(), log=log.append, checkpoint=checkpoint)
    save_adapter(model, place / "adapter", write=group.main)
    with group.main_first():
        kept = Unfinished(place, {})
    items = [Example(str(i), "x", {"text": ""}, ("a", "b"), ("a",)) for i in range(8)]
    tests = {"x": items, "y": items, "z": items}
    answers = predict(model, tests, dict.fromkeys(tests, rows[:8]), 64, Silent(), "test", kept)
    loaded = load_adapter(tiny_base("llama-gqa-tied"), place / "adapter")
    with torch.no_grad():
        logits = loaded(torch.tensor([rows[0].ids])).logits[0, -1]
    return {
        "losses": [record["loss"] for record in log if "loss" in record],
        "validation": [record["validation_log_likelihood"] for record in log if "loss" not in record],
        "norms": [record["gradient_norm"] for record in log if "loss" in record],
        "passes": report.work.passes,
        "resumed_at": [report.resumed_at, again.resumed_at],
        "answers": {code: [list(p.log_likelihoods) for p in found] for code, found in answers.predictions.items()},
        "logits of the saved adapter": logits.tolist(),
        "processes": group.count,
        "sharded": group.sharded,
    }


def work(rank: int, count: int, port: int, sharded: bool, out: Path, errors: Path) -> None:
    """Be one of `count` processes.

    Args:
        rank: which one; the first one writes.
        port: of this machine, where they meet.
        out: a JSON file of what was found for each method.
        errors: where a traceback goes.
    """
    torch.set_num_threads(1)
    os.environ |= {
        "RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": str(count), "LOCAL_WORLD_SIZE": str(count),
        "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port),
        "ACCELERATE_USE_CPU": "true", "ACCELERATE_USE_FSDP": str(sharded).lower(),
    }  # fmt: skip
    try:
        with tempfile.TemporaryDirectory() as folder:
            place = Path(processes().agree(folder))
            found = {}
            for method in METHODS:
                (place / method).mkdir(exist_ok=True)
                found[method] = fit(method, place / method)
            processes().agree(None)
            if processes().main:
                out.write_text(json.dumps(found))
            processes().agree(None)
    except BaseException:
        errors.write_text(traceback.format_exc())
        raise
