"""TRL's SFTTrainer over a PEFT model: `trl` pads the texts of a batch, `trl-packed` packs them into one row."""

from __future__ import annotations

from typing import Any

from benchmarks.contestants.peft_trainer import loaded
from benchmarks.contestants.sft import fit, packed_loss
from benchmarks.contestants.trainer import first_loss, tokenizer_of
from benchmarks.worker import Clock
from benchmarks.workload import Workload


def train(name: str, work: Workload, started: float) -> dict[str, Any]:
    """SFTTrainer.train; at its own defaults it checkpoints gradients, which PEFT's prefix tuning cannot."""
    clock = Clock(work, started)
    return clock.result(fit(loaded(work), tokenizer_of(work), work, clock, packed=name.endswith("packed")))


def check(name: str, work: Workload, started: float) -> dict[str, Any]:
    """The loss of the first batch."""
    return (packed_loss if name.endswith("packed") else first_loss)(loaded(work), work)
