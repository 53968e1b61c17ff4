"""Kill `polyprefix study run` with SIGKILL at random moments, start it again each time, and compare the end with an undisturbed run.

python tools/kill_study.py studies/smoke.yaml --out runs/kills --kills 50

After every kill, each file that looks like a result must parse. At the end all cells are there, none was finished twice, and scores, answers
and adapter weights equal those of the undisturbed run, to the last bit. Exit status 1 where they do not.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from polyprefix.results.files import find_results, read_predictions, read_result


def command(given: argparse.Namespace, out: Path) -> list[str]:
    words = [sys.executable, "-m", "polyprefix", "study", "run", str(given.study), "--out", str(out)]
    return [*words, "--checkpoint-every", "0", *(["--hub", str(given.hub)] if given.hub else [])]


def run_for(words: list[str], seconds: float) -> int | None:
    """The exit status, or None where the run was killed after so many seconds."""
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return None


def contents(out: Path) -> dict[str, tuple[object, ...]]:
    """Run -> what must not depend on interruptions; fails where a file does not parse."""
    found: dict[str, tuple[object, ...]] = {}
    for folder in find_results(out) if out.exists() else []:
        adapter = folder / "adapter" / "adapter.safetensors"
        digest = hashlib.sha256(adapter.read_bytes()).hexdigest() if adapter.exists() else None
        found[folder.name] = (read_result(folder).scores, read_predictions(folder / "predictions.parquet"), digest)
    return found


def finished_at(out: Path) -> dict[str, int]:
    return {folder.name: (folder / "result.json").stat().st_mtime_ns for folder in find_results(out)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("study", type=Path)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--hub", type=Path)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    start = time.monotonic()
    if run_for(command(given, given.out / "undisturbed"), 1e6) != 0:
        print("the undisturbed run failed")
        return 1
    whole, expected = time.monotonic() - start, contents(given.out / "undisturbed")
    print(f"undisturbed: {len(expected)} cells in {whole:.0f} s", flush=True)
    rng, kills, rounds = random.Random(given.seed), 0, 0
    while kills < given.kills:  # a study that completes before it was killed often enough is begun anew
        out, stamps = given.out / f"killed-{rounds}", dict[str, int]()
        rounds += 1
        status: int | None = None
        while status is None:
            longest = whole / 3 if kills < given.kills else 1e6
            status = run_for(command(given, out), rng.uniform(0, longest) if kills < given.kills else 1e6)
            kills += status is None
            seen = finished_at(out) if out.exists() else {}
            twice = [name for name, stamp in stamps.items() if seen.get(name) != stamp]
            if twice or any(expected[name] != what for name, what in contents(out).items()):
                print(f"after kill {kills}: finished twice {twice}, or a result differs")
                return 1
            stamps = seen
            print(f"kill {kills}: {len(seen)} of {len(expected)} cells", flush=True)
        if status or contents(out) != expected:
            print(f"round {rounds}: exit status {status}, {len(contents(out))} of {len(expected)} cells")
            return 1
    print(f"{kills} kills in {rounds} rounds: {len(expected)} cells each, none twice, equal to the undisturbed run")
    return 0


if __name__ == "__main__":
    sys.exit(main())
