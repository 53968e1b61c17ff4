"""The command `polyprefix` in a process that says what it holds: python -m benchmarks.watched FILE serve RUN...

At SIGUSR1 it adds a line of JSON to FILE.
"""

from __future__ import annotations

import ctypes
import gc
import json
import re
import signal
import sys
from pathlib import Path
from typing import Any


class _MallInfo(ctypes.Structure):
    """`struct mallinfo2` of glibc."""

    _fields_ = [
        (name, ctypes.c_size_t)
        for name in (
            "arena", "ordblks", "smblks", "hblks", "hblkhd", "usmblks", "fsmblks", "uordblks", "fordblks", "keepcost",
        )
    ]  # fmt: skip


def counts() -> dict[str, float]:
    """What this process holds.

    Returns:
        `objects`: that Python's garbage collector knows of, after a collection. `memory_mb`: resident. `allocated_mb` and `free_mb`: what the
        C library has given out and what it keeps for later; left out where it does not say.
    """
    gc.collect()
    status = Path("/proc/self/status").read_text()
    found: dict[str, float] = {
        "objects": len(gc.get_objects()),
        "memory_mb": int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1024,
    }
    try:
        mallinfo = ctypes.CDLL(None).mallinfo2
    except AttributeError:
        return found
    mallinfo.restype = _MallInfo
    info = mallinfo()
    return {**found, "allocated_mb": (info.uordblks + info.hblkhd) / 2**20, "free_mb": info.fordblks / 2**20}


def main() -> None:
    """Run the command."""
    from polyprefix.cli import main as command

    file = Path(sys.argv[1])

    def write(*_: Any) -> None:
        with file.open("a", encoding="utf-8") as lines:
            lines.write(json.dumps(counts()) + "\n")

    signal.signal(signal.SIGUSR1, write)
    sys.argv = ["polyprefix", *sys.argv[2:]]
    command()


if __name__ == "__main__":
    main()
