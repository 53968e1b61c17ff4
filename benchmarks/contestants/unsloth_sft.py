"""Unsloth's model under TRL's SFTTrainer, as its notebooks do it; it trains LoRA and whole models only."""

from __future__ import annotations

from typing import Any

from unsloth import FastLanguageModel  # before trl and transformers, which it changes  # isort: skip

from peft import load_peft_weights, set_peft_model_state_dict

from benchmarks.contestants.trainer import dtype_of, first_loss, peft_settings, tokenizer_of
from benchmarks.contestants.sft import fit
from benchmarks.worker import Clock
from benchmarks.workload import Workload


def train(name: str, work: Workload, started: float) -> dict[str, Any]:
    """SFTTrainer.train."""
    clock = Clock(work, started)
    return clock.result(fit(_loaded(work), tokenizer_of(work), work, clock, packed=False))


def check(name: str, work: Workload, started: float) -> dict[str, Any]:
    """The loss of the first batch."""
    return first_loss(_loaded(work), work)


def _loaded(work: Workload) -> Any:
    if work.method != "lora":
        raise ValueError(f"{work.method}: Unsloth has no such method")
    longest = max(len(row.ids) + len(row.target) for row in work.rows)
    model, _ = FastLanguageModel.from_pretrained(
        work.model, dtype=dtype_of(work), load_in_4bit=False, max_seq_length=longest
    )
    given = peft_settings(work)
    same = {"use_gradient_checkpointing": False} if work.setting == "same" else {}
    adapted = FastLanguageModel.get_peft_model(
        model, r=given["r"], lora_alpha=given["lora_alpha"], lora_dropout=0.0,
        target_modules=sorted(given["target_modules"]), **same,
    )  # fmt: skip
    set_peft_model_state_dict(adapted, load_peft_weights(work.peft, device="cpu"))
    return adapted
