"""What a device can do: the measured peak of matrix products, against which MFU is computed and plans are made."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import cache

import torch

SQUARE = {"cpu": 1024, "cuda": 8192}
"""Rows of the square matrices whose product is the peak of a device."""
SECONDS = 0.25
"""How long each measurement takes."""


@cache
def measured_peak(device: torch.device, dtype: torch.dtype) -> float:
    """FLOP/s of the fastest of some square matrix products, measured once a process."""
    size = SQUARE.get(device.type, 1024)
    return matmul_rate(device, dtype, size, size, size)


def matmul_rate(device: torch.device, dtype: torch.dtype, m: int, k: int, n: int) -> float:
    """FLOP/s of the fastest of some products of [m, k] with a transposed [n, k], as a linear layer has them.

    `mm` and not `linear`, whose thread pool on a CPU does not survive a fork of the process.
    """
    a, b = torch.randn(m, k, device=device, dtype=dtype), torch.randn(n, k, device=device, dtype=dtype)
    return 2 * m * k * n / fastest(lambda: torch.mm(a, b.T), device)


def fastest(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of the fastest of the calls that `SECONDS` allow; at least one is made."""
    best, end = float("inf"), time.perf_counter() + SECONDS
    while time.perf_counter() < end or best == float("inf"):
        start = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        best = min(best, time.perf_counter() - start)
    return best
