"""What a run cost: time where the work is, and the most memory that it held."""

from __future__ import annotations

import resource
import sys
import time

import torch


class Stopwatch:
    """Seconds spent inside its `with` blocks."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._start = 0.0

    def __enter__(self) -> Stopwatch:
        self._start = time.perf_counter()
        return self

    def __exit__(self, *error: object) -> None:
        self.seconds += time.perf_counter() - self._start


def cost(
    trained: int, train_seconds: float, evaluated: int, eval_seconds: float, device: torch.device
) -> dict[str, float]:
    """The `cost` of a result: seconds, examples per second, bytes. What was not done is absent, not zero."""
    figures: dict[str, float] = {"peak_memory_bytes": peak_memory_bytes(device)}
    for name, count, seconds in (("train", trained, train_seconds), ("eval", evaluated, eval_seconds)):
        if count:
            figures |= {f"{name}_seconds": seconds, f"{name}_examples_per_second": count / seconds}
    return figures


def peak_memory_bytes(device: torch.device) -> int:
    """On a GPU what torch allocated there at most; on the CPU the process's largest resident size."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
