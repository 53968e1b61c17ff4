"""Run and evaluate on all languages of every benchmark as a user would, and compute every reported figure again.

python tools/check_benchmarks.py --hub ../hub --model gemma-3-270m --eval-size 4

For each benchmark: `polyprefix run` (a few training steps), `polyprefix evaluate` of the adapter that it saved, and the
same with one few-shot example in each language. After each of them the published number of languages must be there, each
with the same number of answers, and every score, interval included, must come out of `predictions.parquet` again.
Exit status 1 where one does not.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from polyprefix.results.files import read_result
from polyprefix.results.rescore import rescore
from polyprefix.tasks import registry

LANGUAGES = {"xnli": 15, "xquad": 12, "belebele": 122, "mgsm": 11, "sib200": 205}
"""As published."""
STEPS, EXAMPLES = 2, 32


def polyprefix(*words: str) -> Path:
    """The folder of the result that the command wrote."""
    done = subprocess.run([sys.executable, "-m", "polyprefix", *words, "--json"], stdout=subprocess.PIPE, text=True)
    if done.returncode:
        sys.exit(f"polyprefix {' '.join(words)}: exit status {done.returncode}")
    return Path(words[words.index("--out") + 1]) / json.loads(done.stdout)["run_id"]


def check(name: str, folder: Path, size: int) -> str:
    """What was found there: all languages but those that the result says the mirror lacks, and all answers scored again."""
    scores = rescore(folder, registry.get(name))
    counts = [score.n for metrics in scores.values() for score in metrics.values()]
    lacking = [re.search(r"left out: (\d+) of", note) for note in read_result(folder).notes]
    missing = sum(int(found[1]) for found in lacking if found)
    if len(scores) + missing != LANGUAGES[name] or set(counts) != {size}:
        sys.exit(f"{folder}: {len(scores)} languages of {LANGUAGES[name]}, {sorted(set(counts))} answers each")
    return f"{len(scores)} languages, {missing} not in the mirror, {size * len(scores)} answers scored again"


def labelled(words: Sequence[str]) -> str:
    """The command and what is asked of shots."""
    return " ".join([words[0], *words[words.index("--shots") :]] if "--shots" in words else words[:1])


def parsed(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """What the command was told."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n\n")[0])
    parser.add_argument("--hub", type=Path, required=True)
    parser.add_argument("--model", default="gemma-3-270m")
    parser.add_argument("--eval-size", type=int, default=4)
    parser.add_argument("--tasks", default=",".join(LANGUAGES), help="Comma-separated.")
    parser.add_argument(
        "--shots", action=argparse.BooleanOptionalAction, default=True, help="With few-shot examples, too."
    )
    return parser.parse_args(arguments)


def main() -> None:
    """Check all benchmarks."""
    given = parsed()
    few = ["--train-size", str(EXAMPLES), "--set", f"train.steps={STEPS}", "--set", "train.validation_size=8"]
    for name in given.tasks.split(","):
        with tempfile.TemporaryDirectory() as out:
            shared = ["--task", name, "--languages", "all", "--hub", str(given.hub), "--out", out]
            shared += ["--eval-size", str(given.eval_size)]
            trained = ""
            for words in (
                ["run", "--model", given.model, "--method", "prefix", "--no-base", *few],
                ["evaluate", "ADAPTER"],
                ["evaluate", "ADAPTER", "--shots", "1"],
                ["evaluate", "ADAPTER", "--shots", "1", "--shot-language", "target"],
            ):
                if "--shots" in words and not given.shots:
                    continue
                if name in ("belebele", "xquad") and "target" in words:
                    continue  # development data in English only
                start = time.perf_counter()
                folder = polyprefix(*(trained if word == "ADAPTER" else word for word in words), *shared)
                trained = trained or str(folder)
                found = check(name, folder, given.eval_size)
                print(f"{name:9}{labelled(words):42}{found}, {time.perf_counter() - start:.0f} s", flush=True)


if __name__ == "__main__":
    main()
