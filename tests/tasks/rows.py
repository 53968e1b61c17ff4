"""What the tests of tasks read: the local mirror, and rows of one's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from polyprefix.tasks.base import Source

MIRROR = Path(os.environ.get("POLYPREFIX_HUB", Path(__file__).parents[3] / "shared" / "hub"))
SOURCE = Source(MIRROR)
PARTIAL = {"belebele": MIRROR / "facebook" / "belebele" / "data"}
"""Task -> the folder with a file for each of its languages that the mirror has; it has all languages of the others."""


def held(name: str, language: str) -> bool:
    """Whether the mirror has a task's published test set in a language; without a mirror that is not known."""
    return name not in PARTIAL or not MIRROR.is_dir() or any(PARTIAL[name].glob(f"{language}.*"))


class Rows(dict[str, list[Any]]):
    """Columns with the length of a data set."""

    def __len__(self) -> int:
        return len(next(iter(self.values())))
