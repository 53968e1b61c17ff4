"""A training that is stopped from outside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from polyprefix.training.optimizer import Optimizer


class KilledError(Exception):
    """As if the process had ended here."""


@contextmanager
def stopped_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is trained inside the block must be stopped when it begins another step."""
    left, real = steps, Optimizer.step

    def step(self: Optimizer, rows: Any, **settings: Any) -> dict[str, float]:
        nonlocal left
        left -= 1
        if left < 0:
            raise KilledError
        return real(self, rows, **settings)

    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr(Optimizer, "step", step)
        yield
