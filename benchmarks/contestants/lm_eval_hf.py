"""lm-evaluation-harness' Hugging Face backend, asked for the same continuations of the same documents, or to write answers to them."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from transformers import AutoTokenizer

from benchmarks import shapes
from benchmarks.workload import Document, Workload


def evaluate(name: str, work: Workload, started: float) -> dict[str, Any]:
    """All requests of a language in one call, as its tasks make them."""
    same = work.setting == "same"
    given = {"dtype": work.dtype, "batch_size": work.batch_size} if same else {"dtype": work.published_dtype}
    model = _random(work) if work.model.startswith(shapes.PREFIX) else _published(work, given)
    loaded = time.time() - started
    start = time.perf_counter()
    found: dict[int, Sequence[float] | str] = {}
    for places in work.by_language():
        documents = [work.documents[n] for n in places]
        answers = _ranked(model, documents) if documents[0].choices else _written(model, documents)
        found.update(zip(places, answers, strict=True))
    return work.evaluated(found, loaded, time.perf_counter() - start)


def _ranked(model: HFLM, documents: Sequence[Document]) -> list[list[float]]:
    requests = [
        Instance("loglikelihood", {}, (doc.text, choice), index)
        for doc in documents
        for index, choice in enumerate(doc.choices)
    ]
    found = iter(model.loglikelihood(requests, disable_tqdm=True))
    return [[float(next(found)[0]) for _ in doc.choices] for doc in documents]


def _written(model: HFLM, documents: Sequence[Document]) -> list[str]:
    requests = [
        Instance("generate_until", {}, (doc.text, {"until": list(doc.stop), "max_gen_toks": doc.max_new_tokens}), index)
        for index, doc in enumerate(documents)
    ]
    return list(model.generate_until(requests, disable_tqdm=True))


def _published(work: Workload, given: dict[str, Any]) -> HFLM:
    tokenizer = AutoTokenizer.from_pretrained(work.model)
    begins = tokenizer("a")["input_ids"][0] == tokenizer.bos_token_id  # as the model's own tokenizer does
    return HFLM(pretrained=work.model, device=work.device, add_bos_token=begins, **given)


def _random(work: Workload) -> HFLM:
    base = shapes.base(work.model, work.dtype, work.device)
    return HFLM(pretrained=base.model, tokenizer=base.tokenizer, device=work.device, batch_size=work.batch_size)
