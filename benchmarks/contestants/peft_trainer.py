"""PEFT under transformers' Trainer: `peft-trainer` with random batches, `peft-trainer-grouped` with batches of similar length."""

from __future__ import annotations

import tempfile
from typing import Any

import torch
from peft import PeftConfig, get_peft_model, load_peft_weights, set_peft_model_state_dict
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    DataCollatorForSeq2Seq,
    Trainer,
    TrainerCallback,
    TrainingArguments,
)

from benchmarks import shapes
from benchmarks.worker import Clock
from benchmarks.workload import Workload
from polyprefix.adapters import registry
from polyprefix.adapters.attach import attach
from polyprefix.adapters.formats import to_peft

DEFAULT_BATCH = TrainingArguments(output_dir=tempfile.gettempdir(), use_cpu=True).per_device_train_batch_size


class Steps(TrainerCallback):
    """Tells the clock of each optimiser step, and stops where enough is measured."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> Any:
        """After each optimiser step."""
        control.should_training_stop = self.clock.step()
        return control

    def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, Any] | None = None, **kwargs: Any) -> None:
        """Losses, one a step."""
        if logs and "loss" in logs:
            self.clock.losses.append(float(logs["loss"]))


def train(name: str, work: Workload, started: float) -> dict[str, Any]:
    """Trainer.train on rows whose prompt is hidden from the loss."""
    model, tokenizer = loaded(work), tokenizer_of(work)
    clock, size = Clock(work, started), work.batch_size if work.setting == "same" else DEFAULT_BATCH
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(
            **arguments_for(work, folder),
            per_device_train_batch_size=size,
            train_sampling_strategy="group_by_length" if name.endswith("grouped") else "sequential",
        )
        collator = DataCollatorForSeq2Seq(tokenizer, label_pad_token_id=-100)
        Trainer(model, arguments, collator, dataset(work), callbacks=[Steps(clock)]).train()
    return clock.result(size)


def arguments_for(work: Workload, folder: str) -> dict[str, Any]:
    """What every Trainer here is told: our hyper-parameters, no files, no reports; the rest is its own default."""
    return {
        "output_dir": folder, "use_cpu": work.device == "cpu", "max_steps": work.max_steps, "learning_rate": work.learning_rate,
        "lr_scheduler_type": "constant", "weight_decay": 0.0, "save_strategy": "no", "report_to": [], "logging_steps": 1,
        "disable_tqdm": True,
    }  # fmt: skip


def dataset(work: Workload) -> Any:
    """Rows as Trainer takes them."""
    from datasets import Dataset

    return Dataset.from_list(
        [{"input_ids": [*r.ids, *r.target], "attention_mask": [1] * (len(r.ids) + len(r.target)),
          "labels": [-100] * len(r.ids) + list(r.target)} for r in work.rows]
    )  # fmt: skip


def tokenizer_of(work: Workload) -> Any:
    """For its padding: on the right, since on the left PEFT's prefix stands farther from texts in padded rows, with another loss."""
    random = work.model.startswith(shapes.PREFIX)
    tokenizer = shapes.tokenizer() if random else AutoTokenizer.from_pretrained(work.model)
    tokenizer.padding_side = "right"
    return tokenizer


def loaded(work: Workload) -> Any:
    """The base model with the initial adapter, ready to train."""
    if work.model.startswith(shapes.PREFIX):
        return _random(work)
    dtype = getattr(torch, work.dtype if work.setting == "same" else work.published_dtype)
    model: Any = AutoModelForCausalLM.from_pretrained(work.model, dtype=dtype)
    return _adapted(model.to(work.device), work.peft)


def check(name: str, work: Workload, started: float) -> dict[str, Any]:
    """The mean over examples of the loss of the first batch, each by itself: no padding is between the tools."""
    model = loaded(work).eval()
    losses = []
    with torch.no_grad():
        for row in work.rows[: work.batch_size]:
            ids = torch.tensor([[*row.ids, *row.target]], device=work.device)
            labels = torch.tensor([[-100] * len(row.ids) + list(row.target)], device=work.device)
            losses.append(model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss.item())
    return {"loss": sum(losses) / len(losses)}


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
