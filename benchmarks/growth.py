"""How time and memory grow: with languages, text, prefix, batch, training examples, adapters of a service, and runs of a report.

    python -m benchmarks.growth [--model M] [--axes ...]

Each point runs in a process of its own, points in random order, and the exponent is the slope of log(cost) over log(size), fitted over the
upper half of the sizes, where what is fixed no longer hides it. 1 is linear, 0 is constant.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.rounds import ROOT, machine
from benchmarks.worker import peak_memory

AXES: dict[str, tuple[int, ...]] = {
    "languages": (1, 2, 5, 10, 20, 50, 100, 205),
    "text": (16, 32, 64, 128, 256, 512, 1024, 2048),
    "prefix": (0, 16, 32, 64, 128, 256),
    "batch": (1, 2, 4, 8, 16, 32, 64),
    "training": (16, 32, 64, 128, 256),
    "adapters": (1, 2, 4, 8, 16, 32, 64),
    "runs": (8, 16, 32, 64, 115),
}
"""Axis -> sizes. Text in tokens, prefix in virtual tokens, batch in examples a step, training in examples seen."""
LABELS = {
    "languages": "languages evaluated, 8 texts of 48 tokens each",
    "text": "tokens of a text, 4 texts a step",
    "prefix": "virtual tokens, 32 texts of 48 tokens evaluated",
    "batch": "examples of 48 tokens a step",
    "training": "training examples of 48 tokens, 16 a step",
    "adapters": "adapters that share the passes of 64 texts of 48 tokens",
    "runs": "kept runs in a report, 60 to 118 languages each",
}
KEPT = ("methods", "transfer", "emoji")
"""Studies whose kept runs a report is made of."""


def point(model: str, axis: str, size: int, seed: int = 0) -> dict[str, float]:
    """Seconds and bytes of one size, after one pass that is not counted.

    Args:
        model: as `polyprefix run --model`; random tokens stand for text.
    """
    import torch

    seconds = _report(size) if axis == "runs" else _computed(model, axis, size, random.Random(seed))
    return {
        "size": size,
        "seconds": seconds,
        "peak_memory_bytes": peak_memory("cpu"),
        "threads": torch.get_num_threads(),
    }


def _computed(model: str, axis: str, size: int, rng: random.Random) -> float:
    """Seconds of the engine."""
    from polyprefix.adapters import registry
    from polyprefix.adapters.attach import attach
    from polyprefix.evaluation.loglikelihood import loglikelihood, loglikelihood_mixed
    from polyprefix.models.load import load_model
    from polyprefix.text.tokens import TokenizedPrompt
    from polyprefix.types import Prompt

    base = load_model(model, dtype="float32")
    embeddings: Any = base.model.get_input_embeddings()
    vocabulary = min(embeddings.weight.shape[0], 30_000)
    length = size if axis == "text" else 48

    def text() -> TokenizedPrompt:
        ids = tuple(rng.randrange(10, vocabulary) for _ in range(length))
        return TokenizedPrompt(Prompt("", "eng_Latn", "", ""), ids, (5,), ((5,), (6,), (7,)))

    prefix = size if axis == "prefix" else 16
    method = registry.build({"name": "prefix", "length": prefix} if prefix else {"name": "none"})
    adapted = attach(base, method)
    if axis == "adapters":
        models = [attach(base, method, seed=n) for n in range(size)]
        items, owners = [text() for _ in range(64)], [n % size for n in range(64)]
        return _timed(lambda: loglikelihood_mixed(models, items, owners, None))
    if axis in ("languages", "prefix"):
        languages = [[text() for _ in range(8)] for _ in range(size if axis == "languages" else 4)]
        loglikelihood(adapted, languages[0], None)
        return _timed(lambda: [loglikelihood(adapted, items, None) for items in languages], warm=True)
    each = {"batch": size, "text": 4}.get(axis, 16)
    return _trained(adapted, [text() for _ in range(each)], size // each if axis == "training" else 0)


def _trained(adapted: Any, texts: Sequence[Any], steps: int) -> float:
    """Seconds of so many optimiser steps on the same texts, or of a single one, the mean of two."""
    from polyprefix.config import TrainConfig
    from polyprefix.training.length import Length
    from polyprefix.training.optimizer import Optimizer

    count = steps or 2
    adapted.train()
    config = TrainConfig(learning_rate=1e-3, weight_decay=0.0, batch_size=len(texts))
    optimizer = Optimizer(adapted, texts, config, Length.exactly(count + 1))
    optimizer.step(range(len(texts)))
    seconds = _timed(lambda: [optimizer.step(range(len(texts))) for _ in range(count)], warm=True)
    return seconds if steps else seconds / count


def _report(size: int) -> float:
    """Seconds from the folders of kept runs to their page."""
    from polyprefix.report.grid import read_grid
    from polyprefix.report.page import write_page
    from polyprefix.results.files import find_results

    kept = [run for study in KEPT for run in find_results(ROOT / "studies" / "results" / study)]
    random.Random(0).shuffle(kept)
    if len(kept) < size:
        raise SystemExit(f"--most: only {len(kept)} runs are kept")
    with tempfile.TemporaryDirectory() as folder:
        page = Path(folder) / "report.html"
        return _timed(lambda: write_page(read_grid(kept[:size]), page), warm=True)


def _timed(work: Callable[[], object], *, warm: bool = False) -> float:
    """Seconds that it takes, the second time unless it is warm."""
    if not warm:
        work()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """The slope of log(value) over log(size) by least squares, over the upper half of the sizes; None for fewer than two."""
    pairs = sorted((math.log(s), math.log(v)) for s, v in zip(sizes, values, strict=True) if s > 0 and v > 0)
    pairs = pairs[len(pairs) // 2 :] if len(pairs) > 3 else pairs
    if len(pairs) < 2:
        return None
    mean_x, mean_y = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in pairs)
    return sum((x - mean_x) * (y - mean_y) for x, y in pairs) / spread if spread else None


def measure(model: str, axes: Mapping[str, Sequence[int]], repeats: int) -> dict[str, Any]:
    """All points, each the median of `repeats` processes, in random order."""
    jobs = [(axis, size) for axis, sizes in axes.items() for size in sizes for _ in range(repeats)]
    random.Random(0).shuffle(jobs)
    found: dict[str, dict[int, list[dict[str, float]]]] = {axis: {} for axis in axes}
    with tempfile.TemporaryDirectory() as folder:
        for done, (axis, size) in enumerate(jobs, start=1):
            out = Path(folder) / "point.json"
            words = [sys.executable, "-m", "benchmarks.growth", "--model", model, "--point", axis, str(size), str(out)]
            subprocess.run(words, cwd=ROOT, check=True)
            found[axis].setdefault(size, []).append(json.loads(out.read_text()))
            print(f"{done} of {len(jobs)}: {axis} {size}: {found[axis][size][-1]['seconds']:.2f} s", flush=True)
    result: dict[str, Any] = {"model": model, "machine": machine(), "axes": {}}
    for axis, by_size in found.items():
        points = [
            {key: sorted(p[key] for p in by_size[s])[repeats // 2] for key in by_size[s][0]} for s in sorted(by_size)
        ]
        sizes = [p["size"] for p in points]
        result["axes"][axis] = {
            "label": LABELS[axis],
            "points": points,
            "time_exponent": exponent(sizes, [p["seconds"] for p in points]),
            "memory_exponent": exponent(sizes, [p["peak_memory_bytes"] for p in points]),
        }
    return result


def main() -> None:
    """Measure, or one point of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="gemma-3-270m")
    parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES))
    parser.add_argument("--repeats", type=int, default=1)
    parser.add_argument("--most", type=int, help="leave larger sizes out")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "growth.json")
    parser.add_argument("--point", nargs=3, metavar=("AXIS", "SIZE", "OUT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.point:
        axis, size, out = options.point
        Path(out).write_text(json.dumps(point(options.model, axis, int(size))), encoding="utf-8")
        return
    axes = {axis: [s for s in AXES[axis] if options.most is None or s <= options.most] for axis in options.axes}
    result = measure(options.model, axes, options.repeats)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(f"wrote {options.out}; now: python -m benchmarks.page")


if __name__ == "__main__":
    main()
