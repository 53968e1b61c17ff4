"""LlamaFactory: its own command's function, on tokens that are ready and a LoRA adapter that it goes on with."""

from __future__ import annotations

import sys
import tempfile
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType
from typing import Any

# It imports torchaudio, whose wheels need the torch of CUDA; text needs nothing of it.
sys.modules["torchaudio"] = ModuleType("torchaudio")
sys.modules["torchaudio"].__spec__ = ModuleSpec("torchaudio", None)

from datasets import DatasetDict
from llamafactory.hparams import get_train_args
from llamafactory.model import load_model, load_tokenizer
from llamafactory.train.tuner import run_exp

from benchmarks.contestants.trainer import Steps, arguments_for, batch_size, dataset, first_loss
from benchmarks.worker import Clock
from benchmarks.workload import Workload


def train(name: str, work: Workload, started: float) -> dict[str, Any]:
    """`llamafactory-cli train` with these settings."""
    clock = Clock(work, started)
    with tempfile.TemporaryDirectory() as folder:
        run_exp(_settings(work, folder), callbacks=[Steps(clock)])
    return clock.result(batch_size(work))


def check(name: str, work: Workload, started: float) -> dict[str, Any]:
    """The loss of the first batch."""
    with tempfile.TemporaryDirectory() as folder:
        model_args, _, _, finetuning_args, _ = get_train_args(_settings(work, folder))
        tokenizer = load_tokenizer(model_args)["tokenizer"]
        return first_loss(load_model(tokenizer, model_args, finetuning_args, is_trainable=True), work)


def _settings(work: Workload, folder: str) -> dict[str, Any]:
    """At its own defaults it would recompute activations and load the published dtype."""
    if work.method != "lora":
        raise ValueError(f"{work.method}: LlamaFactory has no such method")
    tokens = Path(folder, "tokens")
    DatasetDict({"train": dataset(work)}).save_to_disk(tokens)
    same = {"disable_gradient_checkpointing": True, "infer_dtype": work.dtype} if work.setting == "same" else {}
    arguments = arguments_for(work, folder) | {"report_to": "none"}
    return {
        **arguments, **same, "stage": "sft", "do_train": True, "template": "empty", "finetuning_type": "lora",
        "model_name_or_path": work.model, "adapter_name_or_path": work.peft, "tokenized_path": str(tokens), "dataset": "tokens",
        "per_device_train_batch_size": batch_size(work),
    }  # fmt: skip
