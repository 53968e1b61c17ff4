"""PEFT under transformers' Trainer: `peft-trainer` with random batches, `peft-trainer-grouped` with batches of similar length."""

from __future__ import annotations

import tempfile
from typing import Any

from peft import PeftConfig, get_peft_model, load_peft_weights, set_peft_model_state_dict
from transformers import AutoModelForCausalLM, Trainer

from benchmarks import shapes
from benchmarks.contestants.trainer import dtype_of, first_loss, train_under
from benchmarks.workload import Workload
from polyprefix.adapters import registry
from polyprefix.adapters.attach import attach
from polyprefix.adapters.formats import to_peft


def train(name: str, work: Workload, started: float) -> dict[str, Any]:
    """Trainer.train on rows whose prompt is hidden from the loss."""
    sampling = "group_by_length" if name.endswith("grouped") else "sequential"
    return train_under(Trainer, loaded(work), work, started, train_sampling_strategy=sampling)


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
