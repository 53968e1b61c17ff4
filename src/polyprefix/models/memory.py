"""How much main memory there is."""

from __future__ import annotations

import os
from pathlib import Path

GROUP = Path("/sys/fs/cgroup")


def available_memory() -> int | None:
    """Bytes that a process may still take, within the limit of its control group; None where the system does not say."""
    found = [*_system("MemAvailable"), *_group(GROUP)]
    return min(found) if found else None


def total_memory() -> int | None:
    """Bytes of the machine, or of the control group's limit; None where the system does not say."""
    limit = _number(GROUP / "memory.max")
    found = [*_system("MemTotal"), *([limit] if limit is not None else [])]
    return min(found) if found else None


def _system(name: str) -> list[int]:
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return [next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))]
    except (OSError, StopIteration):
        pass
    try:
        return [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, ValueError, OSError):
        return []


def _number(file: Path) -> int | None:
    try:
        text = file.read_text(encoding="ascii").strip()
    except OSError:
        return None
    return int(text) if text.isdigit() else None


def _group(folder: Path) -> list[int]:
    """What a container's limit leaves; files that are only cached count as free."""
    try:
        limit, used = ((folder / name).read_text(encoding="ascii").strip() for name in ("memory.max", "memory.current"))
        lines = (folder / "memory.stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return []
    cached = sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    return [int(limit) - int(used) + cached] if limit.isdigit() else []
