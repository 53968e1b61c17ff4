"""TRL's SFTTrainer, for whoever's model: loss on the completion, the texts of a batch padded, or packed into one row."""

from __future__ import annotations

import math
import tempfile
from typing import Any

import torch
from trl import SFTConfig, SFTTrainer

from benchmarks.contestants.trainer import Steps, arguments_for, batch_size
from benchmarks.worker import Clock
from benchmarks.workload import Workload


def fit(model: Any, tokenizer: Any, work: Workload, clock: Clock, *, packed: bool) -> float:
    """Train until the clock has seen enough; returns examples a step.

    Args:
        packed: one row a step, of as many tokens as a batch has on average; transformers keeps its texts apart by their positions.
    """
    from datasets import Dataset

    same, size = work.setting == "same", batch_size(work)
    rows = [
        {"input_ids": [*r.ids, *r.target], "completion_mask": [0] * len(r.ids) + [1] * len(r.target)} for r in work.rows
    ]
    chosen: dict[str, Any] = {"bf16": False, "gradient_checkpointing": False} if same else {}
    if packed:
        tokens = sum(len(row["input_ids"]) for row in rows) / len(rows)
        chosen |= {"packing": True, "max_length": math.ceil(size * tokens), "per_device_train_batch_size": 1}
    else:
        chosen |= {"max_length": None, "per_device_train_batch_size": size}
    with tempfile.TemporaryDirectory() as folder:
        arguments = SFTConfig(**arguments_for(work, folder), completion_only_loss=True, **chosen)
        trainer: Any = SFTTrainer(
            model,
            arguments,
            train_dataset=Dataset.from_list(rows),
            processing_class=tokenizer,
            callbacks=[Steps(clock)],
        )
        trainer.train()
        return len(rows) / len(trainer.train_dataset) if packed else size


def packed_loss(model: Any, work: Workload) -> dict[str, Any]:
    """The mean over examples of the loss of the first batch in one row, as SFTTrainer packs it."""
    ids: list[int] = []
    positions: list[int] = []
    answers: list[tuple[slice, torch.Tensor]] = []
    for row in work.rows[: work.batch_size]:
        first = len(ids) + len(row.ids) - 1
        answers.append((slice(first, first + len(row.target)), torch.tensor(row.target, device=work.device)))
        ids += [*row.ids, *row.target]
        positions += range(len(row.ids) + len(row.target))
    given = {
        name: torch.tensor([values], device=work.device)
        for name, values in (("input_ids", ids), ("position_ids", positions))
    }
    with torch.no_grad():
        logits = model.eval()(**given, use_cache=False).logits[0]
    losses = [torch.nn.functional.cross_entropy(logits[places], target).item() for places, target in answers]
    return {"loss": sum(losses) / len(losses)}
