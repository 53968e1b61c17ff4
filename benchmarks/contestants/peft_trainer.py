"""PEFT under transformers' Trainer: `peft-trainer` with random batches, `peft-trainer-grouped` with batches of similar length."""

from __future__ import annotations

import tempfile
from typing import Any

from peft import PeftConfig, get_peft_model, load_peft_weights, set_peft_model_state_dict
from transformers import AutoModelForCausalLM, DataCollatorForSeq2Seq, Trainer, TrainingArguments

from benchmarks import shapes
from benchmarks.contestants.trainer import (
    Steps,
    arguments_for,
    batch_size,
    dataset,
    dtype_of,
    first_loss,
    tokenizer_of,
)
from benchmarks.worker import Clock
from benchmarks.workload import Workload
from polyprefix.adapters import registry
from polyprefix.adapters.attach import attach
from polyprefix.adapters.formats import to_peft


def train(name: str, work: Workload, started: float) -> dict[str, Any]:
    """Trainer.train on rows whose prompt is hidden from the loss."""
    model, tokenizer = loaded(work), tokenizer_of(work)
    clock, size = Clock(work, started), batch_size(work)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            **arguments_for(work, folder),
            per_device_train_batch_size=size,
            train_sampling_strategy="group_by_length" if name.endswith("grouped") else "sequential",
        )
        collator = DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100)
        Trainer(model, arguments, collator, dataset(work), callbacks=[Steps(clock)]).train()
    return clock.result(size)


def check(name: str, work: Workload, started: float) -> dict[str, Any]:
    """The loss of the first batch."""
    return first_loss(loaded(work), work)


def loaded(work: Workload) -> Any:
    """The base model with the initial adapter, ready to train."""
    if work.model.startswith(shapes.PREFIX):
        return _random(work)
    model: Any = AutoModelForCausalLM.from_pretrained(work.model, dtype=dtype_of(work))
    return _adapted(model.to(work.device), work.peft)


def _random(work: Workload) -> Any:
    """A random model with our initial adapter, through PEFT's own files."""
    base = shapes.base(work.model, work.dtype, work.device)
    with tempfile.TemporaryDirectory() as folder:
        adapted = attach(base, registry.build({"name": work.method, **work.extra}))
        to_peft(adapted, folder)
        adapted.hook.remove()
        base.model.set_attn_implementation("sdpa")
        return _adapted(base.model, folder)


def _adapted(model: Any, folder: str) -> Any:
    """PEFT's model with saved values, trainable: `from_pretrained` refuses that for prompts and prefixes."""
    config = PeftConfig.from_pretrained(folder)
    config.inference_mode = False
    adapted = get_peft_model(model, config)
    set_peft_model_state_dict(adapted, load_peft_weights(folder, device="cpu"))
    return adapted
