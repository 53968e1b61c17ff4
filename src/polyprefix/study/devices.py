"""What machines can do: makers' figures for GPUs, a measurement of a second or two for this one."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from polyprefix.errors import ConfigError, nearest

if TYPE_CHECKING:
    import torch

GB = 1e9


@dataclass(frozen=True, slots=True)
class Device:
    """One processor, or one GPU of a kind."""

    name: str
    memory: float
    """Bytes."""
    bfloat16: float
    """FLOP/s of dense matrix products; 0 where it computes in float32 only."""
    float32: float
    """Likewise, without TF32, which torch leaves off."""
    bandwidth: float
    """Bytes/s between memory and processor."""
    share: float
    """Of those FLOP/s that training and evaluation reach."""
    measured: bool = False
    """Measured here, or the maker's figures."""
    host: float = 0.0
    """Bytes of the process that are neither weights nor activations; on a GPU they do not count."""
    weights: float = math.inf
    """Bytes/s at which a product of few rows reads its weights, where that is slower than a copy."""
    fresh: float = math.inf
    """Bytes/s at which memory is filled that the process had not used yet."""
    start: float = 0.0
    """Seconds that the first pass takes longer than later ones, memory aside."""

    def reads(self, size: float) -> float:
        """Seconds for which weights of that many bytes pass to the processor."""
        return size / min(self.weights, self.bandwidth)

    def times(self, factor: float) -> Device:
        """This device if everything in it were so many times as fast."""
        return replace(
            self, bfloat16=self.bfloat16 * factor, float32=self.float32 * factor, bandwidth=self.bandwidth * factor,
            weights=self.weights * factor, fresh=self.fresh * factor, start=self.start / factor,
        )  # fmt: skip

    def flops(self, dtype: str) -> float:
        """FLOP/s that are reached in this precision."""
        return self.share * (self.bfloat16 if dtype == "bfloat16" and self.bfloat16 else self.float32)


NOMINAL = 0.45
"""Share of a GPU's nominal FLOP/s that well-made training loops of this size reach. Not measured here: no GPU was at hand."""
GPUS = {
    # dense bfloat16 and float32 FLOP/s, memory and bandwidth from the makers' data sheets (SXM where there are two forms)
    "rtx-4090": Device("rtx-4090", 24 * GB, 165e12, 82.6e12, 1008e9, NOMINAL),
    "l4": Device("l4", 24 * GB, 121e12, 30.3e12, 300e9, NOMINAL),
    "a100-40": Device("a100-40", 40 * GB, 312e12, 19.5e12, 1555e9, NOMINAL),
    "a100-80": Device("a100-80", 80 * GB, 312e12, 19.5e12, 2039e9, NOMINAL),
    "h100": Device("h100", 80 * GB, 989e12, 67e12, 3350e9, NOMINAL),
    "h200": Device("h200", 141 * GB, 989e12, 67e12, 4800e9, NOMINAL),
}
HERE = "here"
LIBRARIES = 0.55 * GB
"""Resident size of a process with torch, transformers and peft loaded, before any model."""
CPU_SHARE = 0.72
"""Of the measured ceiling; the rest goes into shapes that suit it less, and into Python."""

CPU_START = 0.5
"""Seconds of the first pass beyond a later one: libraries choose kernels and threads in it."""

SOME_PROCESSOR = Device(
    "a processor", 16 * GB, 0.0, 1e11, 20e9, CPU_SHARE, False, LIBRARIES, weights=8e9, fresh=2e9, start=CPU_START,
)  # fmt: skip
"""For comparing runs with each other, where how long each takes does not matter."""


def names() -> tuple[str, ...]:
    """What `device` takes."""
    return (HERE, *GPUS)


def device(name: str) -> Device:
    """A device by name; `here` is measured.

    Raises:
        ConfigError: if there is no such device.
    """
    if name == HERE:
        return here()
    if name not in GPUS:
        raise ConfigError(f"--device {name}: no such device, {nearest(name, names())}")
    return GPUS[name]


@cache
def here() -> Device:
    """This machine: its GPU, or its processor."""
    import torch

    from polyprefix.engine.peak import matmul_rate
    from polyprefix.models.memory import total_memory
    from polyprefix.models.runtime import choose_device, computes_in_bfloat16

    on = torch.device(choose_device("auto"))
    if on.type == "cuda":
        found = torch.cuda.get_device_properties(on)
        half, single = (matmul_rate(on, dtype, 8192, 4096, 4096) for dtype in (torch.bfloat16, torch.float32))
        return Device(found.name, found.total_memory, half, single, _bandwidth(on), 0.6, True)
    feed_forward = (512, 640, 2048)  # the shape of a small model's
    half = matmul_rate(on, torch.bfloat16, *feed_forward) if computes_in_bfloat16("cpu") else 0.0
    return Device(
        "here", total_memory() or 8 * GB, half, matmul_rate(on, torch.float32, *feed_forward), _bandwidth(on), CPU_SHARE, True,
        LIBRARIES, weights=_weights(), fresh=_fresh(), start=CPU_START,
    )  # fmt: skip


def _bandwidth(on: torch.device) -> float:
    """Bytes/s of a copy that does not fit a cache, read and written."""
    import torch

    from polyprefix.engine.peak import fastest

    size = 1 << (26 if on.type == "cpu" else 28)
    a, b = torch.zeros(size, device=on), torch.zeros(size, device=on)
    return 2 * 4 * size / fastest(lambda: b.copy_(a), on)


def _weights() -> float:
    """Bytes/s at which eight rows meet weights that no cache holds: where passes are short, that is what they wait for."""
    import torch

    from polyprefix.engine.peak import fastest

    rows, layers = torch.randn(8, 640), [torch.randn(2048, 640) for _ in range(40)]

    def work() -> None:
        for layer in layers:
            torch.nn.functional.linear(rows, layer)

    return 4 * sum(layer.numel() for layer in layers) / fastest(work, rows.device)


def _fresh() -> float:
    """Bytes/s at which the system hands out memory: gradients and moments of a model whose every weight is trained wait for it."""
    import torch

    from polyprefix.engine.peak import fastest

    size = 1 << 26
    return 4 * size / fastest(lambda: torch.empty(size).fill_(1.0), torch.device("cpu"))
