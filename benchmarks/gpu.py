"""Training with a prefix on one CUDA GPU: `make bench-gpu`.

python -m benchmarks.gpu [--shapes gemma-3-270m ...] [--lengths 80 400] [--device cuda] [--rounds 3] [--out FILE]

Random weights in the shapes of published models, random texts of different length, bfloat16; against PEFT's prefix tuning under transformers'
Trainer with batches of similar length, both in the same precision and batch. Prints tokens per second, the share of the measured ceiling of
matrix products, and memory. `--device cpu --shapes tiny --dtype float32` tries the command itself.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any

from benchmarks.rounds import ROOT, Entry, alternate, machine, medians, same_losses, step_count
from benchmarks.shapes import PREFIX, SHAPES
from benchmarks.workload import Row, Workload

LENGTHS = (80, 400)
"""Mean tokens of a text."""
SPREAD = 0.35
"""Standard deviation of the logarithm of the length: as of XNLI's English training examples."""


def workloads(options: argparse.Namespace) -> list[Workload]:
    """One for each shape and length."""
    found = []
    for shape in options.shapes:
        for length in options.lengths:
            rng = random.Random(length)
            sizes = [max(4, round(length * rng.lognormvariate(-(SPREAD**2) / 2, SPREAD))) for _ in range(256)]
            rows = tuple(Row(tuple(rng.randrange(3, 300) for _ in range(size)), (7,)) for size in sizes)
            work = Workload(
                name=f"{shape}, {length} tokens", model=PREFIX + shape, method="prefix", dtype=options.dtype, device=options.device,
                batch_size=options.batch, learning_rate=1e-3, seconds=options.seconds, max_steps=options.max_steps, rows=rows,
                extra={"length": 16},
            )  # fmt: skip
            found.append(work)
    return found


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Checks, then rounds."""
    works = workloads(options)
    checks = [Entry(name, "check", work) for work in works for name in ("polyprefix", "peft-trainer")]
    entries = [Entry(name, "train", work) for work in works for name in ("polyprefix", "peft-trainer-grouped")]
    found = alternate(checks, 1) + alternate(entries, options.rounds)
    result = {
        "machine": machine(options.device),
        "medians": medians([r for r in found if r["part"] == "train"]),
        "agreement": same_losses(found, tolerance=1e-4 if options.dtype == "float32" else 2e-2),
        "rounds": found,
    }
    for line in (*result["agreement"], *lines(result["medians"])):
        print(line)
    return result


def lines(records: list[dict[str, Any]]) -> list[str]:
    """One line a measurement."""
    found = []
    for record in records:
        name = f"{record['workload']}, {record['contestant']}"
        if "error" in record:
            found.append(f"{name}: {record['error']}")
            continue
        speed, memory = record["examples_per_second"]["median"], record["peak_memory_bytes"]["median"]
        tokens = f", {record['tokens_per_second']['median']:,.0f} tokens/s" if "tokens_per_second" in record else ""
        share = f", {record['share_of_ceiling']['median']:.0%} of the ceiling" if "share_of_ceiling" in record else ""
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
    parser.add_argument("--seconds", type=float, default=10.0)
    parser.add_argument("--max-steps", type=step_count, default=1000)
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results" / "gpu.json")
    options = parser.parse_args()
    result = run(options)
    options.out.parent.mkdir(parents=True, exist_ok=True)
    options.out.write_text(json.dumps(result, indent=1), encoding="utf-8")
    print(f"wrote {options.out}; now: python -m benchmarks.page")


if __name__ == "__main__":
    main()
