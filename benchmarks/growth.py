"""How time and memory grow: with languages, text, prefix, batch and training examples. python -m benchmarks.growth [--model M] [--axes ...]

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
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.rounds import ROOT, machine
from benchmarks.worker import peak_memory

AXES: dict[str, tuple[int, ...]] = {
    "languages": (1, 2, 5, 10, 20, 50, 100, 200),
    "text": (16, 32, 64, 128, 256, 512, 1024, 2048),
    "prefix": (0, 16, 32, 64, 128, 256),
    "batch": (1, 2, 4, 8, 16, 32, 64),
    "training": (16, 32, 64, 128, 256),
}
"""Axis -> sizes. Text in tokens, prefix in virtual tokens, batch in examples a step, training in examples seen."""
LABELS = {
    "languages": "languages evaluated, 8 texts of 48 tokens each",
    "text": "tokens of a text, 4 texts a step",
    "prefix": "virtual tokens, 32 texts of 48 tokens evaluated",
    "batch": "examples of 48 tokens a step",
    "training": "training examples of 48 tokens, 16 a step",
}


def point(model: str, axis: str, size: int, seed: int = 0) -> dict[str, float]:
    """Seconds and bytes of one size, after one pass that is not counted.

    Args:
        model: as `polyprefix run --model`; random tokens stand for text.
    """
    import torch

    from polyprefix.adapters import registry
    from polyprefix.adapters.adapted import attach
    from polyprefix.config import TrainConfig
    from polyprefix.evaluation.loglikelihood import loglikelihood
    from polyprefix.models.load import load_model
    from polyprefix.text.tokens import TokenizedPrompt
    from polyprefix.training.length import Length
    from polyprefix.training.optimizer import Optimizer
    from polyprefix.types import Prompt

    rng = random.Random(seed)
    base = load_model(model, dtype="float32")
    vocabulary = min(base.model.get_input_embeddings().weight.shape[0], 30_000)

    def text(length: int) -> TokenizedPrompt:
        ids = tuple(rng.randrange(10, vocabulary) for _ in range(length))
        return TokenizedPrompt(Prompt("", "eng_Latn", "", ""), ids, (5,), ((5,), (6,), (7,)))

    length = size if axis == "text" else 48
    prefix = size if axis == "prefix" else 16
    method = {"name": "prefix", "length": prefix} if prefix else {"name": "none"}
    adapted = attach(base, registry.build(method))
    if axis in ("languages", "prefix"):
        count = size if axis == "languages" else 4
        languages = [[text(length) for _ in range(8)] for _ in range(count)]
        loglikelihood(adapted, languages[0], None)
        start = time.perf_counter()
        for items in languages:
            loglikelihood(adapted, items, None)
        seconds = time.perf_counter() - start
    else:
        each = {"batch": size, "text": 4}.get(axis, 16)
        steps = size // each if axis == "training" else 2
        config = TrainConfig(learning_rate=1e-3, weight_decay=0.0, batch_size=each)
        adapted.train()
        optimizer = Optimizer(adapted, [text(length) for _ in range(each)], config, Length.exactly(steps + 1))
        optimizer.step(range(each))
        start = time.perf_counter()
        for _ in range(steps):
            optimizer.step(range(each))
        seconds = (time.perf_counter() - start) / (1 if axis == "training" else steps)
    return {
        "size": size,
        "seconds": seconds,
        "peak_memory_bytes": peak_memory("cpu"),
        "threads": torch.get_num_threads(),
    }


def exponent(sizes: Sequence[float], values: Sequence[float]) -> float | None:
    """The slope of log(value) over log(size) by least squares, over the upper half of the sizes; None for fewer than two."""
    pairs = sorted((math.log(s), math.log(v)) for s, v in zip(sizes, values, strict=True) if s > 0 and v > 0)
    pairs = pairs[len(pairs) // 2 :] if len(pairs) > 3 else pairs
    if len(pairs) < 2:
        return None
    mean_x, mean_y = (sum(values) / len(pairs) for values in zip(*pairs, strict=True))
    spread = sum((x - mean_x) ** 2 for x, _ in pairs)
    return sum((x - mean_x) * (y - mean_y) for x, y in pairs) / spread if spread else None


def measure(model: str, axes: dict[str, Sequence[int]], repeats: int) -> dict[str, Any]:
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
