"""A request on its way through the engine, and its answer."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from polyprefix.text.tokens import TokenizedPrompt


@dataclass(frozen=True, slots=True)
class Written:
    """A generated answer."""

    text: str
    too_long: bool
    """Whether it ends only because it is too long."""


Answer = tuple[float, ...] | Written
"""Log-likelihoods of the choices, or what was written."""
Watch = Callable[[int, str], bool]
"""Is told the stable beginning of the answer to the prompt of that number while it is written; whether it still wants the rest."""


class QueueFullError(Exception):
    """There is no room for a request."""

    def __init__(self, retry_after: int) -> None:
        super().__init__(f"the queue is full; try again in {retry_after} s")
        self.retry_after = retry_after


class ClosedError(Exception):
    """The service is shutting down."""


class LateError(Exception):
    """A request was not answered in time."""


@dataclass(slots=True)
class Job:
    """The prompts of one request to one adapter."""

    adapter: int
    """The place of the adapter."""
    items: Sequence[TokenizedPrompt]
    tokens: int
    """That go through the model."""
    deadline: float
    """By `time.monotonic()`."""
    watch: Watch | None = None
    group: Hashable = None
    """Requests of one group may share a pass."""
    most: int | None = None
    """Tokens of a pass of this group at most; None means any number."""
    concurrent: bool = False
    """Whether passes of this group may run side by side."""
    future: Future[list[Answer]] = field(default_factory=Future)
