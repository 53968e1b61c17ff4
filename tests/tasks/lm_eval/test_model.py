"""Law: on the real model, log-likelihoods equal those of lm-evaluation-harness' own backend, and so do written answers.

The documents are the first of each language, and both sides hold the same weights in float32.
"""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch
from tests.tasks.lm_eval import harness
from tests.tasks.rows import SOURCE

from polyprefix.engine.generate import write_answers
from polyprefix.engine.predict import rank_choices
from polyprefix.methods import registry as methods
from polyprefix.methods.adapted import AdaptedModel, attach
from polyprefix.models.load import load_model
from polyprefix.tasks import registry
from polyprefix.text.tokens import Encoded, encode

pytestmark = [pytest.mark.real, pytest.mark.hub]

DOCUMENTS = 20
RANKED = {
    "belebele": ("eng_Latn", "deu_Latn", "ind_Latn", "tha_Thai", "vie_Latn"),
    "xnli": ("eng_Latn", "arb_Arab", "swh_Latn", "tha_Thai", "zho_Hans"),
}
WRITTEN = {
    "mgsm": ("eng_Latn", "ben_Beng", "fra_Latn", "jpn_Jpan", "swh_Latn"),
    "xquad": ("eng_Latn", "arb_Arab", "ell_Grek", "hin_Deva", "zho_Hans"),
}


@pytest.fixture(scope="module")
def ours() -> AdaptedModel:
    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))  # another worker runs beside this one
    return attach(load_model("gemma-3-270m", dtype="float32"), methods.build({"name": "none"})).eval()


@pytest.fixture(scope="module")
def theirs() -> Any:
    harness.require()
    base = load_model("gemma-3-270m", dtype="float32")  # weights of its own: nothing of ours is attached to them
    return harness.backend(base.model, base.tokenizer, DOCUMENTS)


def encoded(name: str, language: str, model: AdaptedModel) -> list[Encoded]:
    task = registry.get(name, "lm-eval")
    rows = task.examples("test", language, SOURCE)[:DOCUMENTS]
    return encode([task.prompt(row) for row in rows], model.base.tokenizer, model.base.max_length)


@pytest.mark.parametrize(("name", "language"), [(name, code) for name, codes in RANKED.items() for code in codes])
def test_log_likelihoods_are_the_same(name: str, language: str, ours: AdaptedModel, theirs: Any) -> None:
    ranked = rank_choices(ours, encoded(name, language, ours), 8192)
    found = [value for item in ranked for value in item.log_likelihoods]
    expected = [value for value, _ in theirs.loglikelihood(harness.task(name, language, DOCUMENTS).instances, True)]
    assert found == pytest.approx(expected, abs=1e-4, rel=0)


@pytest.mark.parametrize(("name", "language"), [(name, code) for name, codes in WRITTEN.items() for code in codes])
def test_answers_are_the_same(name: str, language: str, ours: AdaptedModel, theirs: Any) -> None:
    found = write_answers(ours, encoded(name, language, ours), 1 << 20)
    assert found == theirs.generate_until(harness.task(name, language, DOCUMENTS).instances, True)
    assert any(found)
