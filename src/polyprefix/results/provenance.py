"""What a result was made with: versions, code, machine. Enough to know whether two results may be compared."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path

PACKAGES = ("polyprefix", "torch", "transformers", "peft", "accelerate", "datasets", "tokenizers", "babel", "numpy")


def provenance(*, threads: int, gpu: str | None = None, **more: object) -> dict[str, object]:
    """Package versions, git commit of the code with its dirty flag, machine and time, and whatever else is given.

    Args:
        threads: that computed; they decide in which order a CPU adds numbers up, and so the last bits of a result.
        gpu: that computed, by its name.
    """
    return {
        **made_by(),
        "python": platform.python_version(),
        "machine": {"system": platform.platform(), "processor": processor(), "threads": threads}
        | ({"gpu": gpu} if gpu else {}),
        "finished_at": datetime.now(UTC).isoformat(timespec="seconds"),
        **more,
    }


def made_by() -> dict[str, object]:
    """What must be the same for one process to go on where another stopped: package versions and the commit of the code."""
    return {"packages": {name: _version(name) for name in PACKAGES}, "code": _commit()}


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _commit() -> dict[str, object]:
    """The checkout that this package runs from; empty for an installed package."""
    here = Path(__file__).resolve().parent

    def git(*words: str) -> str:
        done = subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, timeout=10, check=True)
        return done.stdout.strip()

    try:
        git("ls-files", "--error-unmatch", __file__)  # not some other repository that an environment lies in
        return {"commit": git("rev-parse", "HEAD"), "dirty": bool(git("status", "--porcelain", "--untracked-files=no"))}
    except (OSError, subprocess.SubprocessError):
        return {}


def processor() -> str:
    """Its name, as the system has it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor()
