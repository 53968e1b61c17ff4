"""TRL's SFTTrainer over a PEFT model, loss on the completion."""

from __future__ import annotations

import tempfile
from typing import Any

from trl import SFTConfig, SFTTrainer

from benchmarks.contestants.peft_trainer import DEFAULT_BATCH, Steps, arguments_for, check, loaded, tokenizer_of
from benchmarks.worker import Clock
from benchmarks.workload import Workload

__all__ = ["check", "train"]


def train(name: str, work: Workload, started: float) -> dict[str, Any]:
    """SFTTrainer.train; at its own defaults it checkpoints gradients, which PEFT's prefix tuning cannot."""
    from datasets import Dataset

    clock, same = Clock(work, started), work.setting == "same"
    size = work.batch_size if same else DEFAULT_BATCH
    rows = [
        {"input_ids": [*r.ids, *r.target], "completion_mask": [0] * len(r.ids) + [1] * len(r.target)} for r in work.rows
    ]
    with tempfile.TemporaryDirectory() as folder:
        chosen: dict[str, Any] = {"bf16": False, "gradient_checkpointing": False} if same else {}
        arguments = SFTConfig(
            **arguments_for(work, folder),
            per_device_train_batch_size=size,
            completion_only_loss=True,
            max_length=None,
            **chosen,
        )
        SFTTrainer(
            loaded(work),
            arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer_of(work),
            callbacks=[Steps(clock)],
        ).train()
    return clock.result(size)
