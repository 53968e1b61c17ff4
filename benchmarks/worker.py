"""One contestant in one process: python -m benchmarks.worker NAME PART WORKLOAD.json RESULT.json STARTED

PART is `train`, `evaluate` or `check`. STARTED is the clock when the process was asked for, so that imports and loading count.
"""

from __future__ import annotations

import gc
import importlib
import json
import resource
import sys
import time
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.workload import Workload

CONTESTANTS = {
    "polyprefix": "ours",
    "peft-trainer": "peft_trainer",
    "peft-trainer-grouped": "peft_trainer",
    "trl": "trl_sft",
    "trl-packed": "trl_sft",
    "adapterhub": "adapterhub",
    "adapterhub-sdpa": "adapterhub",
    "llamafactory": "llamafactory_sft",
    "unsloth": "unsloth_sft",
    "litgpt": "litgpt_adapter",
    "lm-eval": "lm_eval_hf",
}


class Clock:
    """When steps ended, and whether enough of them were seen."""

    def __init__(self, work: Workload, started: float) -> None:
        self.work, self.started = work, started
        self.first: float | None = None
        """Seconds from the process's start to the end of the first step."""
        self.ends: list[float] = []
        self.losses: list[float] = []

    def step(self, loss: float | None = None) -> bool:
        """A step is done; True where measuring may end."""
        if self.first is None:
            self.first = time.time() - self.started
        self.ends.append(time.perf_counter())
        if loss is not None:
            self.losses.append(loss)
        enough = len(self.ends) > 2 and self.ends[-1] - self.ends[0] >= self.work.seconds
        return enough or len(self.ends) >= self.work.max_steps

    def result(self, batch_size: float) -> dict[str, Any]:
        """Throughput without the first step.

        Args:
            batch_size: examples a step, on average.
        """
        steps, seconds = len(self.ends) - 1, self.ends[-1] - self.ends[0]
        return {
            "first_step_seconds": self.first,
            "examples_per_second": steps * batch_size / seconds if steps else None,
            "steps": steps,
            "batch_size": batch_size,
            "losses": self.losses,
        }


def peak_memory(device: str) -> int:
    """Bytes: of the process, or of the GPU."""
    if device.startswith("cuda"):
        import torch

        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


PACKAGES = (
    "polyprefix", "adapters", "llamafactory", "unsloth", "torch", "transformers", "peft", "trl", "litgpt", "lm-eval", "accelerate"
)  # fmt: skip
"""Whose versions decide what is measured."""


def versions() -> dict[str, str]:
    """Of those of the packages that are installed here."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def release_memory(device: str) -> None:
    """Give back what earlier measurements of this process hold on a GPU, and forget their peak."""
    gc.collect()
    if device.startswith("cuda"):
        import torch

        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()


def measure(name: str, part: str, work: Workload, started: float) -> dict[str, Any]:
    """One part by one contestant; an error is a result too: that a tool cannot do a method is worth knowing."""
    result: dict[str, Any] = {"contestant": name, "part": part, "workload": work.name, "setting": work.setting}
    try:
        module = importlib.import_module(f"benchmarks.contestants.{CONTESTANTS[name]}")
        result |= getattr(module, part)(name, work, started)
    except Exception as error:
        result["error"] = f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}"[:300]
    result |= {"peak_memory_bytes": peak_memory(work.device), "packages": versions()}
    return result


def main(words: list[str]) -> None:
    """Measure and write."""
    name, part, workload, out, started = words
    result = measure(name, part, Workload.read(Path(workload)), float(started))
    Path(out).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
