"""Synthetic studies on disk: random answers from a seed, written by the functions that write real ones."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from polyprefix import languages
from polyprefix.report.grid import read_grid
from polyprefix.report.page import write_page
from polyprefix.results.files import write_predictions
from polyprefix.results.folder import RunFolder
from polyprefix.scoring.metrics import accuracy
from polyprefix.types import Prediction, RunResult

METHODS = {"none": 0, "soft-prompt": 10_240, "prefix": 163_840, "llama-adapter": 181_000, "lora": 737_280, "full": 1}
MODELS = {"tiny-a": 134_515_008, "tiny-b": 268_098_176}
LABELS = ("yes", "no", "maybe")
FAST = 300
"""Resamples: enough to test with."""


def write_report(folder: Path, path: Path, *, texts: bool = True, baseline: str | None = None) -> str:
    """The page of all runs in a folder; returns its text."""
    write_page(read_grid([folder], baseline), path, texts=texts)
    return path.read_text(encoding="utf-8")


def some_languages(count: int) -> list[str]:
    """English and a spread of families, scripts and resource levels."""
    codes = [language.code for language in languages.all_languages() if language.code != "eng_Latn"]
    order = np.random.default_rng(7).permutation(len(codes))
    return ["eng_Latn", *[codes[i] for i in order[: count - 1]]]


def write_cell(
    out: Path,
    codes: Sequence[str],
    *,
    task: str = "alpha",
    model: str = "tiny-a",
    method: str = "prefix",
    seed: int = 0,
    n: int = 30,
    text: str = "What is it? · {id}",
    labels: Sequence[str] = LABELS,
    notes: tuple[str, ...] = (),
    share: float | None = None,
    shares: Mapping[str, float] | None = None,
    settings: Mapping[str, Any] | None = None,
    **config: Any,
) -> Path:
    """One finished run whose answers are right at random: the more often the more its method trains, or a given share."""
    total = MODELS.get(model, 200_000_000)
    trained = total if method == "full" else METHODS.get(method, 50_000)
    digest = zlib.crc32(repr((task, method, model, settings, config)).encode())
    name = re.sub(r"[^\w.-]+", "-", f"{task}-{method}-{model}")[:80] + f"-s{seed}-{digest:08x}"
    random = np.random.default_rng(zlib.crc32(name.encode()))
    lift = 0.03 * np.log10(1 + trained) + 0.1 * (total > 2e8)
    predictions, correctness, scores = [], [], {}
    for code in codes:
        drawn = np.clip(0.35 + lift - (0.15 if code != "eng_Latn" else 0) + random.normal(0, 0.05), 0, 1)
        chance = (shares or {}).get(code, drawn if share is None else share)
        correct = [float(value) for value in random.random(n) < chance]
        for i, value in enumerate(correct):
            gold = labels[i % len(labels)]
            answer = gold if value else labels[(i + 1) % len(labels)]
            shown = text.replace("{id}", f"{code} {i}")
            predictions.append(Prediction(f"q{i}", code, (gold,), answer, (), shown))
        correctness += correct
        scores[code] = {"accuracy": accuracy(correct)}
    folder = RunFolder(out, name)
    write_predictions(folder.predictions, predictions, correctness)
    times = {"train_seconds": 20.0 + 30 * random.random(), "train_examples_per_second": 8.0} if trained else {}
    return folder.finish(
        RunResult(
            name,
            {
                "model": model, "task": task, "method": {"name": method, **(settings or {})}, "languages": "all",
                "train_size": None, "eval_size": n, "shots": 0, "seed": seed, "train": {"epochs": 4},
                "runtime": {"device": "cpu"}, **config,
            },
            {"packages": {"torch": "2.13"}, "device": "cpu", "finished_at": "2026-01-01T00:00:00+00:00"},
            {"trainable": trained, "total": total if method == "full" else total + trained},
            scores,
            {**times, "eval_seconds": 12.5, "eval_examples_per_second": 31.25, "peak_memory_bytes": 2.5e9},
            (f"{task}: an English prompt in all languages", *notes),
        )
    )  # fmt: skip


def write_study(out: Path, *, count: int = 40, n: int = 30) -> Path:
    """6 methods x 2 tasks x 2 models x 2 seeds (the base model has one), in `count` languages, and an ablation."""
    codes = some_languages(count)
    for task in ("alpha", "beta"):
        for model in MODELS:
            for method in METHODS:
                for seed in (0, 1) if method != "none" else (0,):
                    settings = {"length": 16} if method == "prefix" else None
                    write_cell(out, codes, task=task, model=model, method=method, seed=seed, n=n, settings=settings)
    return out
