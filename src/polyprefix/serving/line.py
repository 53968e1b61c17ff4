"""The line in which requests of all adapters wait, and which of them share a forward pass.

While passes run, requests gather; the next pass takes as many as fit. Clients that were just answered mostly ask again: for them a pass
that is not full waits a little, a tenth of the time of the last one at most, for one pass of many takes less than two of half as many. A
request that is alone is answered at once.

On a processor two passes run side by side, each with half of the threads, where there are requests for both: a pass that has all threads
waits at each of its products for the slowest of them, which reads and writes requests meanwhile.
"""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from dataclasses import dataclass

from polyprefix.serving.job import ClosedError, Job, QueueFullError

COMPANY = 0.1
"""Share of the time of a pass that the next one waits at most for clients that were just answered."""
RATE_MEMORY = 0.9
"""Weight of earlier passes in the rate of answers."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The requests of one pass."""

    jobs: list[Job]
    concurrent: bool
    """Whether other passes may run at the same time, so that it has its share of the threads alone."""
    begun: float
    """By `time.monotonic()`."""


@dataclass(slots=True)
class Company:
    """What a pass left for the next one of its worker."""

    clients: int = 0
    """That there are when all of now ask again."""
    until: float = 0.0
    """The time until which a pass waits for them."""


class Line:
    """The requests that wait. A worker is a thread that answers one pass after the other; passes that run alone belong to the first."""

    def __init__(self, most: int, workers: int = 1) -> None:
        """An empty line.

        Args:
            most: prompts that wait at most.
            workers: passes that may run side by side.
        """
        self.passes = 0
        """That were answered."""
        self.waiting = 0
        """Prompts in the line."""
        self.company = [Company() for _ in range(workers)]
        """Of each worker."""
        self._most, self._workers = most, workers
        self._jobs: deque[Job] = deque()
        self._running: list[Taken] = []
        self._changed = threading.Condition()
        self._closed = False
        self._seconds_per_prompt = 0.05

    @property
    def busy(self) -> bool:
        """Whether a pass is being answered."""
        return bool(self._running)

    def put(self, job: Job) -> None:
        """Put a request in line.

        Raises:
            QueueFullError: if there is no room.
            ClosedError: after `close`.
        """
        with self._changed:
            if self._closed:
                raise ClosedError("the service is shutting down")
            if self.waiting + len(job.items) > self._most and self.waiting:
                raise QueueFullError(max(1, round(self.waiting * self._seconds_per_prompt)))
            self._jobs.append(job)
            self.waiting += len(job.items)
            self._changed.notify_all()

    def close(self) -> None:
        """Take nothing new; what waits is still given out."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def take(self, worker: int) -> Taken | None:
        """The requests of the next pass of a worker, in their order; None when the line is closed and empty."""
        with self._changed:
            while self._jobs or not self._closed:
                patience = self._patience(worker) if self._jobs else None
                if patience == 0:
                    return self._taken(worker)
                self._changed.wait(patience)
            return None

    def done(self, worker: int, taken: Taken) -> None:
        """Say that a pass is over."""
        with self._changed:
            now = time.monotonic()
            self._running = [other for other in self._running if other is not taken]
            seconds, prompts = now - taken.begun, sum(len(job.items) for job in taken.jobs)
            clients = len(taken.jobs) + len(self._jobs) + self._under_way()
            self.company[worker] = Company(clients, now + COMPANY * seconds)
            each = seconds / max(1, prompts) / (self._workers if taken.concurrent else 1)
            self._seconds_per_prompt = RATE_MEMORY * self._seconds_per_prompt + (1 - RATE_MEMORY) * each
            self.passes += 1
            self._changed.notify_all()

    def _under_way(self) -> int:
        return sum(len(other.jobs) for other in self._running)

    def _patience(self, worker: int) -> float | None:
        """Seconds that a worker still waits for company, 0 if its pass begins now; None if other passes have to end first."""
        if any(not other.concurrent for other in self._running):
            return None
        concurrent = self._is_concurrent()
        if not concurrent and (worker or self._running):
            return None
        company = self.company[worker]
        wanted = math.ceil(company.clients / self._workers) if self._running else company.clients
        if self._closed or len(self._jobs) >= wanted or self._full():
            return 0
        return max(0, company.until - time.monotonic())

    def _is_concurrent(self) -> bool:
        """Whether the next pass may run beside others: one request alone has all threads for itself."""
        return self._workers > 1 and self._jobs[0].concurrent and (self._shareable() > 1 or bool(self._running))

    def _shareable(self) -> int:
        """Requests that wait and may run side by side."""
        return sum(job.concurrent for job in self._jobs)

    def _full(self) -> bool:
        """Whether what waits fills a pass."""
        first = self._jobs[0]
        if first.most is None:
            return False
        return sum(job.tokens for job in self._jobs if job.group == first.group) >= first.most

    def _taken(self, worker: int) -> Taken:
        """The first request, and those of its group that fit in their order; side by side, the share of one worker."""
        first, concurrent, company = self._jobs[0], self._is_concurrent(), self.company[worker]
        share = math.ceil((self._shareable() + self._under_way()) / self._workers)
        if time.monotonic() < company.until:
            share = max(share, math.ceil(company.clients / self._workers))
        jobs: list[Job] = []
        tokens, left = 0, deque[Job]()
        while self._jobs:
            job = self._jobs.popleft()
            if job.group != first.group:
                left.append(job)
                continue
            fits = not jobs or first.most is None or tokens + job.tokens <= first.most
            if not fits or (concurrent and len(jobs) >= share):
                self._jobs.appendleft(job)
                break
            tokens += job.tokens
            jobs.append(job)
        self._jobs.extendleft(reversed(left))
        self.waiting -= sum(len(job.items) for job in jobs)
        taken = Taken(jobs, concurrent, time.monotonic())
        self._running.append(taken)
        return taken
