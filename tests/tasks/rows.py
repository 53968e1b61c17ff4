"""What the tests of tasks read: the local mirror, and rows of one's own."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from polyprefix.tasks.base import Source

MIRROR = Path(os.environ.get("POLYPREFIX_HUB", Path(__file__).parents[3] / "shared" / "hub"))
SOURCE = Source(MIRROR)


class Rows(dict[str, list[Any]]):
    """Columns with the length of a data set."""

    def __len__(self) -> int:
        return len(next(iter(self.values())))
