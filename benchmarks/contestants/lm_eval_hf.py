"""lm-evaluation-harness' Hugging Face backend, asked for the same continuations of the same documents."""

from __future__ import annotations

import time
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import AutoTokenizer

from benchmarks import shapes
from benchmarks.workload import Workload


def evaluate(name: str, work: Workload, started: float) -> dict[str, Any]:
    """All requests of a language in one call, as its tasks make them."""
    same = work.setting == "same"
    given = {"dtype": work.dtype, "batch_size": work.batch_size} if same else {"dtype": work.published_dtype}
    model = _random(work) if work.model.startswith(shapes.PREFIX) else _published(work, given)
    loaded = time.time() - started
    by_language: dict[str, list[int]] = {}
    for number, doc in enumerate(work.documents):
        by_language.setdefault(doc.language, []).append(number)
    start = time.perf_counter()
    values: dict[int, list[float]] = {}
    for numbers in by_language.values():
        requests = [
            Instance("loglikelihood", {}, (work.documents[n].text, choice), index)
            for n in numbers
            for index, choice in enumerate(work.documents[n].choices)
        ]
        answers = iter(model.loglikelihood(requests, disable_tqdm=True))
        for n in numbers:
            values[n] = [float(next(answers)[0]) for _ in work.documents[n].choices]
    seconds = time.perf_counter() - start
    return {
        "load_seconds": loaded,
        "seconds": seconds,
        "examples_per_second": len(values) / seconds,
        "log_likelihoods": [values[n] for n in range(len(values))],
    }


def _published(work: Workload, given: dict[str, Any]) -> HFLM:
    tokenizer = AutoTokenizer.from_pretrained(work.model)
    begins = tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id  # as the model's own tokenizer does
    return HFLM(pretrained=work.model, device=work.device, add_bos_token=begins, **given)


def _random(work: Workload) -> HFLM:
    base = shapes.base(work.model, work.dtype, work.device)
    return HFLM(pretrained=base.model, tokenizer=base.tokenizer, device=work.device, batch_size=work.batch_size)
