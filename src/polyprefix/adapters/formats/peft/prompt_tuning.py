"""Soft prompt <-> PEFT's PROMPT_TUNING: one table [P, D], `prompt_embeddings`.

PEFT puts it in front of the text at positions 0..P-1, here it is at -P..-1; rotary attention sees only differences, so
nothing changes.
"""

from __future__ import annotations

from typing import Any, Literal

from peft import PromptTuningConfig

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.formats.peft.files import Saved, only_tensor
from polyprefix.adapters.formats.windows import warn_of_window
from polyprefix.methods.soft_prompt import SoftPrompt
from polyprefix.models.load import BaseModel
from polyprefix.prefix import AttentionHook

NAME = "prompt_embeddings"
INIT: dict[Any, Literal["text", "vocabulary"]] = {"TEXT": "text", "SAMPLE_VOCAB": "vocabulary"}
"""PEFT's initial values -> ours, for the record."""


def export(model: AdaptedModel) -> Saved:
    """The table as PEFT saves it.

    Raises:
        AdapterError: if a sliding window leaves no room for the text.
    """
    table = model.adapter.tensors()["table"][0]
    length, width = table.shape
    warn_of_window(model.hook, length, "PEFT")
    config = PromptTuningConfig(
        task_type="CAUSAL_LM", num_virtual_tokens=length, token_dim=width, num_layers=model.hook.layers,
        num_attention_heads=model.hook.heads(0), num_transformer_submodules=1,
    )  # fmt: skip
    return Saved(config.to_dict(), {NAME: table})


def load(base: BaseModel, saved: Saved) -> AdaptedModel:
    """A soft prompt with the saved table.

    Raises:
        AdapterError: if the table does not fit.
    """
    table, expected = only_tensor(saved, NAME), (saved.number("num_virtual_tokens"), AttentionHook.of(base.model).width)
    if tuple(table.shape) != expected:
        raise saved.misfit(f"a prompt of shape {list(table.shape)}", f"{list(expected)} for {base.name}")
    warn_of_window(AttentionHook.of(base.model), expected[0], "PEFT")
    init: Literal["text", "vocabulary", "random"] = INIT.get(saved.config.get("prompt_tuning_init"), "random")
    text = saved.config.get("prompt_tuning_init_text") if init == "text" else None
    model = attach(base, SoftPrompt(length=expected[0], init=init, init_text=text))
    model.adapter.load_tensors({"table": table[None].to(model.device)})
    return model
