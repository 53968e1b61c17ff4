"""What a run cost: time where the work is, useful operations against what the machine can do, and the most memory that it held."""

from __future__ import annotations

import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

import torch

from polyprefix.engine.flop_counter import Work
from polyprefix.engine.peak import measured_peak


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
    *,
    train: tuple[int, float, Work],
    evaluation: tuple[int, float, Work],
    memory: int,
    device: torch.device,
    dtype: torch.dtype,
    first_step: float | None = None,
    validation: tuple[int, float] = (0, 0.0),
) -> dict[str, float]:
    """The `cost` of a result (docs/results-format.md). What was not done is absent, not zero.

    MFU is model FLOPs utilisation: useful operations per second over the measured peak of matrix products on the same device.

    Args:
        train, evaluation: examples, seconds, and the work that was counted.
        memory: bytes at the peak.
        dtype: in which the model computes.
        first_step: seconds until the first optimiser step was done.
        validation: examples, all measurements together, and seconds.
    """
    peak = measured_peak(device, dtype)
    figures: dict[str, float] = {"peak_memory_bytes": memory, "peak_flops_per_second": peak}
    if first_step is not None:
        figures["first_step_seconds"] = first_step
    if validation[0]:
        figures |= {
            "validation_seconds": validation[1],
            "validation_examples_per_second": validation[0] / validation[1],
        }
    for name, (count, seconds, work) in (("train", train), ("eval", evaluation)):
        if count:
            figures |= {
                f"{name}_seconds": seconds,
                f"{name}_examples_per_second": count / seconds,
                f"{name}_flops": work.flops,
                f"{name}_mfu": work.flops / seconds / peak,
                f"{name}_padding_share": work.padding_share,
                f"{name}_forward_passes": work.passes,
            }
    return figures


def start_measuring_memory(device: torch.device) -> None:
    """Forget the peak of earlier runs in this process, where the system can (Linux, CUDA)."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def peak_memory_bytes(device: torch.device) -> int:
    """On a GPU what torch allocated there at most; on the CPU the process's largest resident size."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    with suppress(OSError, StopIteration):
        lines = Path("/proc/self/status").read_text(encoding="ascii", errors="replace").splitlines()
        return next(int(line.split()[1]) for line in lines if line.startswith("VmHWM:")) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
