"""Several measurements in one process, in turn: for GPUs, where starting a process takes longer than measuring.

python -m benchmarks.session ENTRIES.json RESULTS.jsonl ROUNDS
"""

from __future__ import annotations

import gc
import json
import sys
import time
from dataclasses import replace
from pathlib import Path

from benchmarks import shapes
from benchmarks.worker import measure, release_memory
from benchmarks.workload import Workload


def main(words: list[str]) -> None:
    """Measure each entry once a round; a line is written after each, so that an interrupted session leaves what it measured."""
    entries, out, rounds = json.loads(Path(words[0]).read_text(encoding="utf-8")), Path(words[1]), int(words[2])
    works = [(name, part, Workload.from_values(values)) for name, part, values in entries]
    failed: set[int] = set()
    with shapes.kept_in_memory(), out.open("a", encoding="utf-8") as file:
        for name, part, work in works:  # the first use of a kernel loads it; its time belongs to no contestant
            if part == "train":
                measure(name, part, replace(work, seconds=0, max_steps=2), time.time())
        for number in range(rounds):
            for index, (name, part, work) in enumerate(works):
                if index in failed or (part == "check" and number):
                    continue
                release_memory(work.device)
                result = {"round": number, **measure(name, part, work, time.time())}
                file.write(json.dumps(result) + "\n")
                file.flush()
                if "error" in result:
                    failed.add(index)
                gc.collect()


if __name__ == "__main__":
    main(sys.argv[1:])
