"""The batching queue: requests of all adapters wait in one line, and one thread answers as many as fit into a forward pass together.

While a pass runs, requests gather; the next pass takes as many as fit. Clients that were just answered mostly ask again: for them a pass
that is not full waits a little, a tenth of the time of the last one at most, for one pass of many takes less than two of half as many. A
request that is alone is answered at once. Which requests share a pass changes no answer (polyprefix.prefix.mixed).
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

from polyprefix.errors import UserError
from polyprefix.serving.adapters import Served
from polyprefix.text.tokens import TokenizedPrompt

if TYPE_CHECKING:
    from polyprefix.prefix import KVPrefix


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
COMPANY = 0.1
"""Share of the time of a pass that the next one waits at most for clients that were just answered."""
CHOOSING_ON_CPU = 1_280
"""Tokens of the questions with choices that a CPU answers together: thirty sentences, of which more would save no time, so that of sixty-four
clients half are read while the others are answered. Written answers take all that fit, since each step reads all weights."""
RATE_MEMORY = 0.9
"""Weight of earlier passes in the rate of answers."""


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
    future: Future[list[Answer]] = field(default_factory=Future)


class Engine:
    """Answers requests, one forward pass at a time."""

    def __init__(
        self, served: Sequence[Served], queue: int, pass_tokens: int | None = None, token_budget: int | None = None
    ) -> None:
        """Begin to answer.

        Args:
            served: the adapters.
            queue: prompts that wait at most.
            pass_tokens: tokens of the prompts that are taken together; None means as many as one forward pass holds, and on a CPU fewer
                of those with choices.
            token_budget: of one forward pass.
        """
        from polyprefix.engine.memory import token_budget as fitting

        self.served = served
        self.passes = 0
        """Batches that were taken."""
        self.waiting = 0
        """Prompts in the queue."""
        self.busy = False
        """Whether a batch is being answered."""
        self._most, self._budget = queue, token_budget
        fit = fitting(served[0].model, token_budget, training=False)
        self._writing = pass_tokens or fit
        self._choosing = pass_tokens or (min(fit, CHOOSING_ON_CPU) if served[0].model.device.type == "cpu" else fit)
        self._jobs: deque[Job] = deque()
        self._tokens = 0
        """Of the requests in the queue."""
        self._changed = threading.Condition()
        self._closed = False
        self._seconds_per_prompt = 0.05
        self._expected, self._until = 0, 0.0
        """Requests that there are when all clients of now ask again, and the time until which a pass waits for them."""
        self._prefixes: dict[tuple[int, int, tuple[int, ...]], KVPrefix] = {}
        self._thread = threading.Thread(target=self._run, name="polyprefix-engine", daemon=True)
        self._thread.start()

    def submit(
        self, adapter: int, items: Sequence[TokenizedPrompt], seconds: float, watch: Watch | None = None
    ) -> Future[list[Answer]]:
        """Put a request in line.

        Args:
            adapter: the place of the adapter.
            seconds: after which nobody waits for the answer.
            watch: called in the engine's thread after each token of written answers.

        Returns:
            A future of one answer a prompt. Cancel it if nobody wants the answer any more.

        Raises:
            QueueFullError: if there is no room.
            ClosedError: after `close`.
        """
        begun = len(self.served[adapter].begin)  # the prefix holds these
        tokens = sum(max(1, item.tree_size - begun) for item in items)
        job = Job(adapter, items, tokens, time.monotonic() + seconds, watch)
        with self._changed:
            if self._closed:
                raise ClosedError("the service is shutting down")
            if self.waiting + len(items) > self._most and self.waiting:
                raise QueueFullError(max(1, round(self.waiting * self._seconds_per_prompt)))
            self._jobs.append(job)
            self.waiting += len(items)
            self._tokens += tokens
            self._changed.notify()
        return job.future

    def close(self, seconds: float | None = None) -> bool:
        """Answer what waits, take nothing new, and end the thread; whether all was answered in time."""
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while jobs := self._take():
            begun, count = time.monotonic(), sum(len(job.items) for job in jobs)
            self.busy = True
            self._answer(jobs)
            self.busy = False
            seconds = time.monotonic() - begun
            self._expected, self._until = len(jobs) + len(self._jobs), begun + (1 + COMPANY) * seconds
            each = seconds / max(1, count)
            self._seconds_per_prompt = RATE_MEMORY * self._seconds_per_prompt + (1 - RATE_MEMORY) * each
            self.passes += 1

    def _take(self) -> list[Job]:
        """The next requests, in their order, as many as fit; none when the engine is closed and the queue empty."""
        with self._changed:
            while not self._jobs and not self._closed:
                self._changed.wait()
            while (
                len(self._jobs) < self._expected
                and self._tokens < self._room()
                and not self._closed
                and (left := self._until - time.monotonic()) > 0
            ):
                self._changed.wait(left)
            jobs: list[Job] = []
            tokens, room = 0, self._room()
            while self._jobs and (not jobs or tokens + self._jobs[0].tokens <= room):
                job = self._jobs.popleft()
                self.waiting -= len(job.items)
                self._tokens -= job.tokens
                tokens += job.tokens
                jobs.append(job)
            return jobs

    def _room(self) -> int:
        """Tokens of the requests that are taken together, by what the first asks."""
        return self._choosing if self._jobs and self._jobs[0].items[0].choices else self._writing

    def _answer(self, jobs: Sequence[Job]) -> None:
        """Answer requests; one that fails with others is asked by itself, so that it fails alone."""
        wanted = []
        for job in jobs:
            if job.deadline < time.monotonic():
                if job.future.set_running_or_notify_cancel():
                    job.future.set_exception(LateError("the request waited too long"))
            elif job.future.set_running_or_notify_cancel():
                wanted.append(job)
        for together in self._shared(wanted):
            try:
                self._answer_together(together)
            except Exception as error:
                for job in together:
                    self._alone(job, error if len(together) == 1 else None)

    def _alone(self, job: Job, error: Exception | None) -> None:
        if error is None:
            try:
                self._answer_together([job])
            except Exception as own:
                error = own
            else:
                return
        job.future.set_exception(error)

    def _shared(self, jobs: Sequence[Job]) -> list[list[Job]]:
        """Requests that may share forward passes: to adapters of one model object, all of them chosen or all of them written."""
        groups: dict[tuple[object, ...], list[Job]] = {}
        for job in jobs:
            one = self.served[job.adapter]
            alone = None if one.model.hook.supports_mixed_prefixes() else job.adapter
            groups.setdefault((id(one.model.model), bool(job.items[0].choices), alone), []).append(job)
        return list(groups.values())

    def _answer_together(self, jobs: Sequence[Job]) -> None:
        from polyprefix.evaluation.generation import generate_until_mixed
        from polyprefix.evaluation.loglikelihood import loglikelihood_mixed

        there = sorted({job.adapter for job in jobs})
        models = [self.served[adapter].model for adapter in there]
        items = [item for job in jobs for item in job.items]
        owners = [there.index(job.adapter) for job in jobs for _ in job.items]

        def prefix(place: int, length: int | None, begin: tuple[int, ...]) -> KVPrefix:
            return self._prefix(there[place], length, begin)

        begins = [self.served[adapter].begin for adapter in there]
        answers: list[Answer]
        if items[0].choices:
            answers = [
                one.log_likelihoods for one in loglikelihood_mixed(models, items, owners, self._budget, prefix, begins)
            ]
        else:
            cut: set[int] = set()
            watchers = [partial(job.watch, n) if job.watch else None for job in jobs for n in range(len(job.items))]
            texts = generate_until_mixed(
                models, items, owners, self._budget, prefix, cut, watchers if any(watchers) else ()
            )
            answers = [Written(text, n in cut) for n, text in enumerate(texts)]
        left = iter(answers)
        for job in jobs:
            job.future.set_result([next(left) for _ in job.items])

    def _prefix(self, adapter: int, length: int | None, begin: tuple[int, ...]) -> KVPrefix:
        """The prefix of an adapter and of what its prompts begin with, computed once for each regime of rotary phases."""
        import torch

        model = self.served[adapter].model
        key = adapter, model.hook.lengths.regime(length or 0), begin
        if key not in self._prefixes:
            with torch.no_grad():
                computed = model.compute_prefix(torch.tensor(begin, dtype=torch.long), length)
                self._prefixes[key] = computed.kv.detached()
        return self._prefixes[key]


def said(error: BaseException) -> str:
    """What a client is told of an error: our own one line, else nothing of the inside."""
    return str(error) if isinstance(error, UserError) else "the request could not be answered"
