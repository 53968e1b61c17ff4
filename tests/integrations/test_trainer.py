"""Law: under transformers' Trainer and TRL's SFTTrainer an adapted model has the losses of our own loop on the same batches.

Answers have equal lengths here, so that a mean over tokens is our mean over examples.
"""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from torch.utils.data import SequentialSampler
from transformers import DataCollatorWithFlattening, Trainer, TrainerCallback, TrainingArguments

from polyprefix.adapters import registry as methods
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.files import load_adapter
from polyprefix.config import RunConfig
from polyprefix.errors import ModelError
from polyprefix.integrations.trainer import adapter_trainer
from polyprefix.models.load import BaseModel, identify
from polyprefix.progress import SILENT
from polyprefix.testing.tiny import tiny_model, tiny_tokenizer
from polyprefix.text.batches import steps
from polyprefix.text.tokens import TokenizedPrompt, encode
from polyprefix.training.loop import train
from polyprefix.types import Prompt

METHODS: dict[str, dict[str, Any]] = {
    "soft-prompt": {"length": 3}, "prefix": {"length": 3}, "llama-adapter": {"length": 3}, "lora": {"rank": 2}, "full": {},
}  # fmt: skip
STEPS, BATCH = 20, 4
RATES = {**dict.fromkeys(METHODS, 0.01), "full": 1e-4}
"""AdamW moves each weight by so much, whatever its gradient: weights whose gradient is rounding alone must not decide a loss."""


def base_of(kind: str = "llama-gqa-tied") -> BaseModel:
    model = tiny_model(kind)
    return BaseModel("tiny", model, copy.deepcopy(tiny_tokenizer()), identify("tiny", None, model))


def adapted_of(method: str, kind: str = "llama-gqa-tied") -> AdaptedModel:
    return attach(base_of(kind), methods.build({"name": method, **METHODS[method]}), seed=0).train()


def prompts(widths: int = 5) -> list[TokenizedPrompt]:
    """Of so many different lengths."""
    labels = (" sport", " money")
    texts = [
        Prompt(str(n), "eng_Latn", f"Text {'a' * (n % widths)}{n:02}\nTopic:", labels[n % 2], choices=labels)
        for n in range(24)
    ]
    return encode(texts, tiny_tokenizer(), 256)


def own_losses(method: str, examples: list[TokenizedPrompt]) -> list[float]:
    settings = {"learning_rate": RATES[method], "steps": STEPS, "batch_size": BATCH, "schedule": "constant", "warmup": 0, "weight_decay": 0,
                "validation_size": 0, "keep": "last", "whole_pass": False, "cache_lower_layers": False}  # fmt: skip
    found: list[float] = []
    run = RunConfig(model="tiny", task="terms", train=settings)  # type: ignore[arg-type]
    train(
        adapted_of(method),
        examples,
        [],
        run,
        reporter=SILENT,
        log=lambda record: found.append(record["loss"]) if "loss" in record else None,
    )
    return found


def rows(examples: list[TokenizedPrompt]) -> Dataset:
    """Tokens and labels, in the order in which our loop draws them."""
    order = [n for batch in steps(len(examples), BATCH, STEPS, 0) for n in batch]
    found = []
    for item in (examples[n] for n in order):
        ids, labels = [*item.ids, *item.target], [-100] * len(item.ids) + list(item.target)
        found.append({"input_ids": ids, "attention_mask": [1] * len(ids), "labels": labels})
    return Dataset.from_list(found)


def collate(items: list[dict[str, list[int]]]) -> dict[str, torch.Tensor]:
    width = max(len(item["input_ids"]) for item in items)
    filled = {"input_ids": 0, "attention_mask": 0, "labels": -100}
    return {
        key: torch.tensor([[value] * (width - len(item[key])) + item[key] for item in items])
        for key, value in filled.items()
    }


def arguments(kind: type[Any], out: Path, method: str, **more: Any) -> Any:
    settings: dict[str, Any] = {
        "output_dir": str(out), "max_steps": STEPS, "per_device_train_batch_size": BATCH, "learning_rate": RATES[method],
        "lr_scheduler_type": "constant", "weight_decay": 0.0, "report_to": [], "logging_steps": 1, "save_strategy": "no", "use_cpu": True,
        "disable_tqdm": True, "remove_unused_columns": False, "gradient_checkpointing": False, "bf16": False,
    }  # fmt: skip
    return kind(**{**settings, **more})


def in_order(kind: type[Any]) -> type[Any]:
    """A trainer that shuffles nothing."""
    return type(
        "InOrder",
        (adapter_trainer(kind),),
        {"_get_train_sampler": lambda self, dataset=None: SequentialSampler(dataset or self.train_dataset)},
    )


def losses_of(trainer: Any) -> list[float]:
    return [record["loss"] for record in trainer.state.log_history if "loss" in record]


@pytest.mark.parametrize("together", [collate, DataCollatorWithFlattening()], ids=["padded", "packed"])
@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("method", METHODS)
def test_the_trainer_has_our_losses(method: str, checkpointing: bool, together: Any, tmp_path: Path) -> None:
    examples = prompts()
    settings = arguments(TrainingArguments, tmp_path, method, gradient_checkpointing=checkpointing)
    trainer = in_order(Trainer)(
        model=adapted_of(method), args=settings, train_dataset=rows(examples), data_collator=together
    )
    trainer.train()
    require_same(losses_of(trainer), own_losses(method, examples))


class Stop(TrainerCallback):
    """Ends a training in the middle."""

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        control.should_training_stop = state.global_step >= STEPS // 2


@pytest.mark.parametrize("method", ["prefix", "lora", "full"])
@pytest.mark.parametrize("kind", ["Trainer", "SFTTrainer"])
def test_checkpoints_hold_the_adapter_and_training_resumes(kind: str, method: str, tmp_path: Path) -> None:
    """Of packed rows, with activations recomputed."""
    trl = pytest.importorskip("trl", reason="trl is not installed: pip install trl") if kind == "SFTTrainer" else None
    trainers, options = (trl.SFTTrainer, trl.SFTConfig) if trl else (Trainer, TrainingArguments)
    more = {"dataset_kwargs": {"skip_prepare_dataset": True}} if trl else {}
    data = rows(prompts())
    losses: dict[str, list[float]] = {}
    for name, callbacks, resumed in (("whole", [], None), ("cut", [Stop()], None), ("cut", [], True)):
        settings = arguments(
            options, tmp_path / name, method, save_strategy="steps", save_steps=STEPS // 2, gradient_checkpointing=True, **more
        )  # fmt: skip
        adapted = adapted_of(method)
        trainer = in_order(trainers)(
            model=adapted, args=settings, train_dataset=data, data_collator=DataCollatorWithFlattening(), callbacks=callbacks,
            processing_class=adapted.base.tokenizer,
        )  # fmt: skip
        trainer.train(resume_from_checkpoint=resumed)
        losses[name] = losses_of(trainer)
    assert losses["cut"] == pytest.approx(losses["whole"], abs=1e-6)
    place = tmp_path / "cut" / f"checkpoint-{STEPS}"
    assert (place / "adapter.safetensors").is_file() and not (place / "model.safetensors").exists()
    again = load_adapter(base_of(), place, force=True)
    for name, tensor in trainer.model.adapter.tensors().items():
        assert torch.equal(again.adapter.tensors()[name], tensor)


def require_same(found: list[float], expected: list[float]) -> None:
    assert len(found) == len(expected) == STEPS and len(set(found)) > STEPS // 2
    assert max(abs(a - b) for a, b in zip(found, expected, strict=True)) <= 1e-5


@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("method", METHODS)
def test_trls_trainer_has_our_losses(method: str, checkpointing: bool, tmp_path: Path) -> None:
    trl = pytest.importorskip("trl", reason="trl is not installed: pip install trl")
    examples, adapted = prompts(), adapted_of(method)
    settings = arguments(
        trl.SFTConfig,
        tmp_path,
        method,
        gradient_checkpointing=checkpointing,
        dataset_kwargs={"skip_prepare_dataset": True},
        packing=False,
    )
    trainer = in_order(trl.SFTTrainer)(
        model=adapted, args=settings, train_dataset=rows(examples), data_collator=collate, processing_class=adapted.base.tokenizer
    )  # fmt: skip
    trainer.train()
    require_same(losses_of(trainer), own_losses(method, examples))


@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize("method", METHODS)
def test_rows_that_trl_packs_have_our_losses(method: str, checkpointing: bool, tmp_path: Path) -> None:
    """Examples of one length, so that each packed row holds the examples of one of our steps."""
    trl = pytest.importorskip("trl", reason="trl is not installed: pip install trl")
    examples, adapted = prompts(widths=1), adapted_of(method)
    data = rows(examples).remove_columns("attention_mask")
    settings = arguments(
        trl.SFTConfig, tmp_path, method, gradient_checkpointing=checkpointing, packing=True, per_device_train_batch_size=1,
        max_length=BATCH * len(data[0]["input_ids"]),
    )  # fmt: skip
    trainer = in_order(trl.SFTTrainer)(
        model=adapted, args=settings, train_dataset=data, processing_class=adapted.base.tokenizer
    )  # fmt: skip
    assert len(trainer.train_dataset) == STEPS
    trainer.train()
    require_same(losses_of(trainer), own_losses(method, examples))


def test_packed_rows_are_refused_where_a_model_mixes_them() -> None:
    adapted = adapted_of("prefix", "gpt-oss")
    ids, positions = torch.arange(3, 11)[None], torch.tensor([[0, 1, 2, 3, 0, 1, 2, 3]])
    with pytest.raises(ModelError, match="packing"):
        adapted(ids, position_ids=positions)
