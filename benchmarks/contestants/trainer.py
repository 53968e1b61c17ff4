"""What every contestant shares that trains under transformers' Trainer: rows, arguments, the clock. No tool but transformers is imported."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import DataCollatorForSeq2Seq, PreTrainedTokenizerFast, TrainerCallback, TrainingArguments

from benchmarks import shapes
from benchmarks.worker import Clock
from benchmarks.workload import Workload


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


def arguments_for(work: Workload, folder: str) -> dict[str, Any]:
    """What every Trainer here is told: our hyper-parameters, no files, no reports; the rest is its own default."""
    return {
        "output_dir": folder, "use_cpu": work.device == "cpu", "max_steps": work.max_steps, "learning_rate": work.learning_rate,
        "lr_scheduler_type": "constant", "weight_decay": 0.0, "save_strategy": "no", "report_to": [], "logging_steps": 1,
        "disable_tqdm": True,
    }  # fmt: skip


def batch_size(work: Workload) -> int:
    """Examples of a step: the workload's, or Trainer's own default."""
    return work.batch_size if work.setting == "same" else 8


def dtype_of(work: Workload) -> torch.dtype:
    """Of the weights: the workload's, or that of the published checkpoint, which transformers 5 loads by default."""
    found: torch.dtype = getattr(torch, work.dtype if work.setting == "same" else work.published_dtype)
    return found


def dataset(work: Workload) -> Any:
    """Rows as Trainer takes them: the loss is on the answer alone."""
    from datasets import Dataset

    return Dataset.from_list(
        [{"input_ids": [*r.ids, *r.target], "attention_mask": [1] * (len(r.ids) + len(r.target)),
          "labels": [-100] * len(r.ids) + list(r.target)} for r in work.rows]
    )  # fmt: skip


def tokenizer_of(work: Workload) -> Any:
    """For its padding: on the right, since on the left PEFT's prefix stands farther from texts in padded rows, with another loss."""
    random = work.model.startswith(shapes.PREFIX)
    tokenizer = shapes.tokenizer() if random else PreTrainedTokenizerFast.from_pretrained(work.model)
    tokenizer.padding_side = "right"
    return tokenizer


def train_under(trainer: Any, model: Any, work: Workload, started: float, **chosen: Any) -> dict[str, Any]:
    """Train on padded batches until enough is measured.

    Args:
        trainer: transformers' Trainer, or a class like it.
        chosen: arguments beside those that all have.
    """
    clock, size = Clock(work, started), batch_size(work)
    with tempfile.TemporaryDirectory() as folder:
        arguments = TrainingArguments(**arguments_for(work, folder), per_device_train_batch_size=size, **chosen)
        collator = DataCollatorForSeq2Seq(tokenizer_of(work), label_pad_token_id=-100)
        trainer(model, arguments, collator, dataset(work), callbacks=[Steps(clock)]).train()
    return clock.result(size)


def peft_settings(work: Workload) -> dict[str, Any]:
    """Of the initial adapter, from PEFT's file."""
    found: dict[str, Any] = json.loads(Path(work.peft, "adapter_config.json").read_text(encoding="utf-8"))
    return found


def first_loss(model: Any, work: Workload) -> dict[str, Any]:
    """The mean over examples of the loss of the first batch, each by itself: no padding is between the tools."""
    model.eval()
    losses = []
    with torch.no_grad():
        for row in work.rows[: work.batch_size]:
            ids = torch.tensor([[*row.ids, *row.target]], device=work.device)
            labels = torch.tensor([[-100] * len(row.ids) + list(row.target)], device=work.device)
            losses.append(model(input_ids=ids, attention_mask=torch.ones_like(ids), labels=labels).loss.item())
    return {"loss": sum(losses) / len(losses)}
