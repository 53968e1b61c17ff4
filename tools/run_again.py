"""Do cells of a study give the same results a second time? python -m tools.run_again STUDY.yaml --out DIR --hub DIR

Draws finished cells at random, runs them in a folder that is thrown away, and compares every answer and log-likelihood with those that are
kept, bit by bit. A CPU adds numbers up in an order that depends on its threads, so as many threads as then are asked for.
"""

from __future__ import annotations

import argparse
import json
import random
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from polyprefix.progress import Terminal
from polyprefix.recipe import run
from polyprefix.results.files import PREDICTIONS, read_predictions, read_result
from polyprefix.study.file import read_study
from polyprefix.study.grid import TUNE, cells
from polyprefix.study.locks import Bookkeeping
from polyprefix.study.table import finished
from polyprefix.types import Prediction


def answers(folder: Path) -> list[Prediction]:
    """Without texts, which kept runs lack."""
    return [replace(prediction, text="") for prediction in read_predictions(folder / PREDICTIONS)[0]]


def main() -> int:
    """Exit status 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("study", type=Path)
    parser.add_argument("--out", type=Path, required=True, help="folder of the study's results")
    parser.add_argument("--hub", type=Path, help="a local mirror of the Hub")
    parser.add_argument("--cells", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--to", type=Path, help="where to write what was found, as JSON")
    given = parser.parse_args()

    done = finished(cells(read_study(given.study), str(given.study)), Bookkeeping(given.out))
    configs = {config.run_id(): config for cell, config in done if cell.part != TUNE}
    drawn = random.Random(given.seed).sample(sorted(configs), given.cells)
    records: list[dict[str, Any]] = []
    for run_id in drawn:
        before = given.out / run_id
        threads = read_result(before).provenance["machine"].get("threads")
        if threads not in (None, torch.get_num_threads()):
            sys.exit(
                f"{run_id}: computed with {threads} threads, here are {torch.get_num_threads()}; set OMP_NUM_THREADS={threads}"
            )
        with tempfile.TemporaryDirectory() as scratch:
            (after,) = run(configs[run_id], hub=given.hub, out=Path(scratch), reporter=Terminal())
            first, second = answers(before), answers(after)
            same = sum(a == b for a, b in zip(first, second, strict=True))
            equal = read_result(before).scores == read_result(after).scores
        records.append({"run_id": run_id, "answers": len(first), "same": same, "scores_equal": equal})
        print(f"{run_id}: {same} of {len(first)} answers the same, scores {'equal' if equal else 'differ'}")
    if given.to:
        found = {"seed": given.seed, "threads": torch.get_num_threads(), "cells": records}
        given.to.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return int(any(one["same"] < one["answers"] or not one["scores_equal"] for one in records))


if __name__ == "__main__":
    sys.exit(main())
