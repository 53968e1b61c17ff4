"""Law: on the real model, log-likelihoods equal those of lm-evaluation-harness' own backend, and so do written answers.

Both sides hold the same weights in float32. The documents are the shortest of each language, and answers end after
`TOKENS` tokens on both sides, for a processor has to do it; that the limits are the same is asserted in test_requests.
`make test` compares two documents in two languages of each task; `make compare` twenty in five, which takes twenty
minutes of a core.
"""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Any

import pytest
import torch
from tests.tasks.lm_eval import harness
from tests.tasks.rows import SOURCE

from polyprefix.adapters import registry as methods
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.evaluation.generation import generate_until
from polyprefix.evaluation.loglikelihood import loglikelihood
from polyprefix.models.load import load_model
from polyprefix.tasks import registry
from polyprefix.text.tokens import TokenizedPrompt, encode

pytestmark = [pytest.mark.real, pytest.mark.hub]

DOCUMENTS, TOKENS = int(os.environ.get("POLYPREFIX_COMPARED", 2)), 64
LANGUAGES = 2 if DOCUMENTS < 20 else 5
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
    return harness.backend(base.model, base.tokenizer)


def both(name: str, language: str, model: AdaptedModel) -> tuple[list[TokenizedPrompt], list[Any]]:
    """Our prompts in tokens, and the harness's requests for the same documents."""
    task = registry.get(name, "lm-eval")
    prompts = [task.prompt(example) for example in task.examples("test", language, SOURCE)]
    length = [len(prompt.text) + sum(map(len, prompt.choices)) for prompt in prompts]
    chosen = sorted(range(len(prompts)), key=length.__getitem__)[:DOCUMENTS]
    shorter = [replace(prompts[n], max_new_tokens=TOKENS) for n in chosen]
    requests = harness.task(name, language, tuple(chosen)).instances
    return encode(shorter, model.base.tokenizer, model.base.max_length), requests


@pytest.mark.parametrize(
    ("name", "language"), [(name, code) for name, codes in RANKED.items() for code in codes[:LANGUAGES]]
)
def test_log_likelihoods_are_the_same(name: str, language: str, ours: AdaptedModel, theirs: Any) -> None:
    rows, requests = both(name, language, ours)
    theirs.batch_size_per_gpu = 4  # it holds all logits of a batch
    found = [value for item in loglikelihood(ours, rows, 8192) for value in item.log_likelihoods]
    expected = [value for value, _ in theirs.loglikelihood(requests, True)]
    differences = [abs(a - b) for a, b in zip(found, expected, strict=True)]
    print(f"{name} {language}: largest difference {max(differences):.1e}")
    assert max(differences) <= 1e-4


@pytest.mark.parametrize(
    ("name", "language"), [(name, code) for name, codes in WRITTEN.items() for code in codes[:LANGUAGES]]
)
def test_answers_are_the_same(name: str, language: str, ours: AdaptedModel, theirs: Any) -> None:
    rows, requests = both(name, language, ours)
    for request in requests:
        request.args[1]["max_gen_toks"] = TOKENS
    theirs.batch_size_per_gpu = DOCUMENTS
    found = generate_until(ours, rows, 1 << 20)
    assert found == theirs.generate_until(requests, True)
    assert any(found) or language != "eng_Latn"  # a small model may end at once elsewhere, and both sides must then
