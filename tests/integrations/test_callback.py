"""Law: evaluated while it trains, a model trains as it does without, bit by bit, and its scores are those of `pp.evaluate` at that step."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PromptTuningConfig, get_peft_model
from tests.integrations.test_trainer import adapted_of, arguments, collate, prompts, rows
from transformers import Trainer, TrainingArguments

import polyprefix as pp
from polyprefix.errors import UserError
from polyprefix.integrations.trainer import adapter_trainer
from polyprefix.testing.tiny import tiny_model, tiny_tokenizer

STEPS, LANGUAGES = 5, ["sw", "fi"]


def with_peft(config: Any) -> Any:
    torch.manual_seed(0)
    return get_peft_model(tiny_model("llama-gqa-tied"), config)


MODELS: dict[str, Callable[[], Any]] = {
    "adapted": lambda: adapted_of("prefix"),
    "plain": lambda: tiny_model("llama-gqa-tied").requires_grad_(True),
    "peft": lambda: with_peft(LoraConfig(r=2, lora_dropout=0.2, target_modules=["q_proj"], task_type="CAUSAL_LM")),
}


def trainer_of(model: Any, out: Path, **more: Any) -> Trainer:
    kind = adapter_trainer(Trainer) if isinstance(model, pp.AdaptedModel) else Trainer
    settings = arguments(TrainingArguments, out, "prefix", max_steps=STEPS, seed=3, **more)
    return kind(
        model=model, args=settings, train_dataset=rows(prompts()), data_collator=collate, processing_class=tiny_tokenizer()
    )  # fmt: skip


def evaluated(trainer: Trainer, **more: Any) -> Any:
    callback = pp.EvaluateLanguages(trainer, "terms", LANGUAGES, **{"every": 2, "eval_size": 6, **more})
    trainer.add_callback(callback)
    return callback


@pytest.mark.parametrize("kind", MODELS)
def test_training_is_not_disturbed(kind: str, tmp_path: Path) -> None:
    """With activations recomputed, and PEFT's dropout, which draws random numbers."""
    found: list[tuple[list[float], dict[str, torch.Tensor], list[bool]]] = []
    for watched in (False, True):
        trainer = trainer_of(MODELS[kind](), tmp_path, gradient_checkpointing=True)
        callback = evaluated(trainer) if watched else None
        trainer.train()
        model = trainer.model
        losses = [record["loss"] for record in trainer.state.log_history if "loss" in record]
        weights = {name: value.detach().clone() for name, value in model.named_parameters() if value.requires_grad}
        found.append((losses, weights, [parameter.requires_grad for parameter in model.parameters()]))
    (losses, weights, flags), (other_losses, other_weights, other_flags) = found
    assert losses == other_losses and flags == other_flags and weights.keys() == other_weights.keys()
    assert all(torch.equal(value, other_weights[name]) for name, value in weights.items())
    assert callback is not None and callback.scores["step"].unique().tolist() == [2, 4, 5]


@pytest.mark.parametrize("kind", MODELS)
def test_scores_are_those_of_evaluate_at_that_step(kind: str, tmp_path: Path) -> None:
    trainer = trainer_of(MODELS[kind](), tmp_path)
    callback = evaluated(trainer)
    trainer.train()
    model: Any = trainer.model
    base = (
        model
        if kind == "adapted"
        else pp.wrap_model(getattr(model, "get_base_model", lambda: model)(), tiny_tokenizer())
    )
    expected = pp.evaluate(base, pp.load_task("terms"), LANGUAGES, eval_size=6, progress=False).scores
    last = callback.scores[callback.scores["step"] == STEPS].drop(columns="step").reset_index(drop=True)
    assert last.equals(expected) and set(last["language"]) == {"eng_Latn", "swh_Latn", "fin_Latn"}
    [logged] = [one for one in trainer.state.log_history if one["step"] == STEPS and "eval_swh_Latn_accuracy" in one]
    for row in expected.itertuples():
        assert logged[f"eval_{row.language}_{row.metric}"] == row.value


@pytest.mark.parametrize(
    ("model", "given", "said"),
    [
        (MODELS["plain"], {"every": 0}, "every=0: expected a number of steps"),
        (MODELS["plain"], {"every": 1, "task": "term"}, "did you mean 'terms'"),
        (MODELS["plain"], {"every": 1, "languages": ["Klingonn"]}, "Klingonn"),
        (
            lambda: with_peft(PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=2)),
            {"every": 1},
            "PROMPT_TUNING stands outside the model",
        ),
    ],
)
def test_a_mistake_is_said_before_training(model: Any, given: dict[str, Any], said: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=said):
        pp.EvaluateLanguages(trainer_of(model(), tmp_path), **{"task": "terms", "languages": LANGUAGES, **given})
