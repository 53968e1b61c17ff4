"""A training that is stopped from outside."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from polyprefix.training.optimizer import Optimizer


class KilledError(Exception):
    """As if the process had ended here."""


@contextmanager
def stopped_after(steps: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """What is trained inside the block must be stopped in the middle of another step."""
    left, real = steps, Optimizer.update

    def update(self: Optimizer, loss: float) -> dict[str, float]:
        nonlocal left
        left -= 1
        if left < 0:
            raise KilledError
        return real(self, loss)

    with monkeypatch.context() as patched, pytest.raises(KilledError):
        patched.setattr(Optimizer, "update", update)
        yield
