"""Run a sweep of learning rates and print what English validation says of each; finished cells are not run again.

python tools/sweep.py studies/defaults.yaml --model gemma-3-270m --out runs/defaults [--table]
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polyprefix.config import RunConfig, read_yaml, validate
from polyprefix.methods.registry import settle
from polyprefix.results.files import TRAIN_LOG, read_result
from polyprefix.results.folder import finished_folder
from polyprefix.results.log import read_jsonl


def cells(study: dict[str, Any], model: str) -> Iterator[tuple[str, RunConfig]]:
    """(name of the method's row, settings) for each cell."""
    for name, axes in study["methods"].items():
        for rate in axes["learning_rate"]:
            values = {**study["base"], "model": model, "method": axes.get("settings", {"name": name})}
            values["train"] = {**values["train"], "learning_rate": rate}
            yield name, settle(validate(RunConfig, values, f"{name} at {rate}"))


def best_validation(folder: Path) -> tuple[float, float]:
    """Accuracy and mean log-likelihood of the kept weights on English validation examples."""
    records = [r for r in read_jsonl(folder / TRAIN_LOG) if "validation_accuracy" in r]
    return max((r["validation_accuracy"], r["validation_log_likelihood"]) for r in records)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--model", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--table", action="store_true", help="only print what is there")
    given = parser.parse_args()
    print(f"{'method':18} {'learning rate':>13} {'accuracy':>9} {'log-likelihood':>14} {'seconds':>8}")
    for name, config in cells(read_yaml(given.study), given.model):
        folder = finished_folder(given.out, config.run_id())
        if folder is None and not given.table:
            from polyprefix.recipe import run

            [folder] = run(config, out=given.out)
        if folder is not None:
            accuracy, likelihood = best_validation(folder)
            seconds = read_result(folder).cost["train_seconds"]
            rate = config.train.learning_rate
            print(f"{name:18} {rate:13.0e} {accuracy:9.3f} {likelihood:14.3f} {seconds:8.0f}", flush=True)


if __name__ == "__main__":
    main()
