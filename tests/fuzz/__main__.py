"""`make fuzz`: damaged inputs for some minutes; every one that ends in neither a result nor one line is printed with its number.

python -m tests.fuzz --seconds 600
python -m tests.fuzz --count 10000
python -m tests.fuzz --only study --seed 17        one input, with its traceback
"""

from __future__ import annotations

import argparse
import tempfile
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.fuzz.run import outcome
from tests.fuzz.targets import TARGETS


def main() -> int:
    """Fuzz, print what failed and how many inputs were tried; 1 if any failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    parser.add_argument("--count", type=float, default=float("inf"))
    parser.add_argument("--start", type=int, default=0, help="Number of the first input.")
    parser.add_argument("--only", action="append", choices=list(TARGETS))
    parser.add_argument("--seed", type=int, help="Of one input.")
    asked = parser.parse_args()
    names = asked.only or list(TARGETS)
    if asked.seed is not None:
        with tempfile.TemporaryDirectory() as folder:
            print(outcome(names[0], asked.seed, Path(folder), keep=True))
        return 0
    tried: Counter[str] = Counter()
    failed: dict[str, int] = {}
    end, seed = time.monotonic() + asked.seconds, asked.start
    with tempfile.TemporaryDirectory() as folder:
        while time.monotonic() < end and tried.total() < asked.count:
            for name in names:
                found = outcome(name, seed, Path(folder))
                tried[f"{name}: {found.partition(':')[0]}"] += 1
                if found not in ("read", "one line"):
                    key = f"{name} {found}"
                    failed[key] = failed.get(key, 0) + 1
                    if failed[key] == 1:
                        print(f"{name} --seed {seed}: {found}", flush=True)
            seed += 1
    for line, count in sorted(tried.items()):
        print(f"{count:7,}  {line}")
    print(f"{tried.total():,} inputs, {sum(failed.values())} failed in {len(failed)} ways")
    return bool(failed)


if __name__ == "__main__":
    try:
        raise SystemExit(main())
    except KeyboardInterrupt:
        traceback.print_exc()
