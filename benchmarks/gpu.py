"""Training with a prefix and evaluation on one CUDA GPU: `make bench-gpu`.

python -m benchmarks.gpu [--shapes gemma-3-270m ...] [--lengths 80 400] [--device cuda] [--rounds 3] [--out FILE]

Random weights in the shapes of published models, random texts of different length, bfloat16. Training against PEFT's prefix tuning under
transformers' Trainer with batches of similar length; evaluation of the base model on documents with four choices against the Hugging Face
backend of lm-evaluation-harness; same precision and batch. One process a shape, contestants in turn. Prints tokens per second, the share of
the measured peak of matrix products, and memory. `--device cpu --shapes tiny --dtype float32` tries the command itself.
"""

from __future__ import annotations

import argparse
import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

from benchmarks.rounds import (
    ROOT,
    Entry,
    in_one_process,
    machine,
    medians,
    same_losses,
    same_predictions,
    step_count,
    without_answers,
)
from benchmarks.shapes import PREFIX, SHAPES
from benchmarks.workload import Document, Row, Workload

LENGTHS = (80, 400)
"""Mean tokens of a text."""
SPREAD = 0.35
"""Standard deviation of the logarithm of the length: as of XNLI's English training examples."""
EVALUATED_TOKENS = {"tiny": 400, "gemma-3-270m": 200_000, "llama-3.2-1b": 100_000}
"""Tokens of all prompts of an evaluation; of a larger model 25,600. Some seconds for the slower contestant."""


def workloads(options: argparse.Namespace, shape: str) -> list[tuple[Workload, Workload]]:
    """What is trained and what is evaluated, for each length."""
    found = []
    for length in options.lengths:
        rng = random.Random(length)

        def words(rng: random.Random = rng, length: int = length) -> list[int]:
            size = max(4, round(length * rng.lognormvariate(-(SPREAD**2) / 2, SPREAD)))
            return [rng.randrange(3, 300) for _ in range(size)]

        rows = tuple(Row(tuple(words()), (7,)) for _ in range(256))
        trained = Workload(
            name=f"{shape}, {length} tokens", model=PREFIX + shape, method="prefix", dtype=options.dtype, device=options.device,
            batch_size=options.batch, learning_rate=1e-3, seconds=options.seconds, max_steps=options.max_steps, rows=rows,
            extra={"length": 16},
        )  # fmt: skip
        count = max(4, EVALUATED_TOKENS.get(shape, 25_600) // length)
        choices = (" 7", " 8", " 9 10", " 11")
        documents = tuple(Document("x", " ".join(map(str, words())), choices) for _ in range(count))
        found.append((trained, replace(trained, method="none", rows=(), documents=documents, extra={})))
    return found


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All shapes; a failure of one is a result too."""
    found = []
    for shape in options.shapes:
        entries = []
        for trained, evaluated in workloads(options, shape):
            entries += [Entry(name, "check", trained) for name in ("polyprefix", "peft-trainer")]
            entries += [Entry(name, "train", trained) for name in ("polyprefix", "peft-trainer-grouped")]
            entries += [Entry(name, "evaluate", evaluated) for name in ("polyprefix", "lm-eval")]
        found += in_one_process(entries, options.rounds, limit=options.limit)
    tolerance = 1e-4 if options.dtype == "float32" else 2e-2
    result: dict[str, Any] = {
        "machine": machine(options.device),
        "medians": medians([r for r in found if r["part"] != "check"]),
        "agreement": [
            *same_losses([r for r in found if r["part"] == "check"], tolerance),
            *same_predictions([r for r in found if r["part"] == "evaluate"], tolerance),
        ],
        "rounds": without_answers(found),
    }
    for line in (*result["agreement"], *lines(result["medians"])):
        print(line)
    return result


def lines(records: list[dict[str, Any]]) -> list[str]:
    """One line a measurement."""
    found = []
    for record in records:
        name = f"{record['workload']}, {record['part']}, {record['contestant']}"
        if "error" in record:
            found.append(f"{name}: {record['error']}")
            continue
        speed, memory = record["examples_per_second"]["median"], record["peak_memory_bytes"]["median"]
        tokens = f", {record['tokens_per_second']['median']:,.0f} tokens/s" if "tokens_per_second" in record else ""
        share = f", {record['mfu']['median']:.0%} of the measured peak" if "mfu" in record else ""
        found.append(f"{name}: {speed:.3g} examples/s{tokens}{share}, {memory / 1e9:.1f} GB")
    return found


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shapes", nargs="+", choices=SHAPES, default=[name for name in SHAPES if name != "tiny"])
    parser.add_argument("--lengths", nargs="+", type=int, default=list(LENGTHS))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--dtype", default="bfloat16", choices=("bfloat16", "float32"))
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.5)
    parser.add_argument("--max-steps", type=step_count, default=1000)
    parser.add_argument("--limit", type=float, default=200.0, help="seconds for a shape")
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "gpu.json")
    options = parser.parse_args()
    result = run(options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(f"wrote {options.out}; now: python -m benchmarks.page")


if __name__ == "__main__":
    main()
