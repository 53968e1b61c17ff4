"""The real Gemma 3 270M: the mechanism is exact, and a short training teaches the task."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from polyprefix.adapters import registry
from polyprefix.adapters.attach import attach
from polyprefix.config import RunConfig
from polyprefix.models.load import BaseModel, load_model
from polyprefix.recipe import run
from polyprefix.results.files import TRAIN_LOG, read_result
from polyprefix.results.log import read_jsonl

pytestmark = pytest.mark.real


@pytest.fixture(scope="module")
def base() -> BaseModel:
    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))  # another worker runs beside this one
    return load_model("gemma-3-270m", dtype="float32")


@torch.no_grad()
def test_a_soft_prompt_equals_the_prompt_in_front_of_every_example(base: BaseModel) -> None:
    model = attach(base, registry.build({"name": "soft-prompt", "length": 7}))
    ids = base.tokenizer(["Habari ya asubuhi, rafiki", "สวัสดีตอนเช้าเพื่อน"], return_tensors="pt", padding=True)
    ours = model(ids["input_ids"], ids["attention_mask"]).logits
    for row, mask, logits in zip(ids["input_ids"], ids["attention_mask"].bool(), ours, strict=True):
        text = base.model.get_input_embeddings()(row[mask])[None]
        whole = base.model(inputs_embeds=torch.cat([model.adapter.table, text], 1), use_cache=False).logits[0, 7:]
        torch.testing.assert_close(logits[mask], whole, atol=2e-4, rtol=0)


def test_a_prefix_learns_in_english_and_carries_over(tmp_path: Path) -> None:
    """The margins are a fraction of what was measured (docs/testing.md), so that another processor's rounding does not decide."""
    config = RunConfig(
        model="gemma-3-270m", task="terms", languages=("ru",), eval_size=60,
        train={"steps": 40, "validations": 1}, train_size=240,
    )  # fmt: skip
    adapted, zero_shot = (read_result(folder) for folder in run(config, out=tmp_path, beside_base=True))
    assert set(adapted.scores) == set(zero_shot.scores) == {"eng_Latn", "rus_Cyrl"}
    losses = [record["loss"] for record in read_jsonl(tmp_path / adapted.run_id / TRAIN_LOG) if "loss" in record]
    assert len(losses) == 40 and sum(losses[-10:]) < 0.5 * sum(losses[:10])
    gained = {
        code: adapted.scores[code]["accuracy"].value - zero_shot.scores[code]["accuracy"].value
        for code in adapted.scores
    }
    assert gained["eng_Latn"] > 0.05 and gained["rus_Cyrl"] > 0.05, gained
    assert adapted.scores["eng_Latn"]["accuracy"].value > 0.8  # chance is a third
