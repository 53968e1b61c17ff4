"""Answers the requests of a line, one forward pass after the other, or two side by side (polyprefix.serving.line).

Which requests share a pass changes no answer (polyprefix.prefix.mixed).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from contextlib import nullcontext
from functools import partial
from typing import TYPE_CHECKING

from polyprefix.errors import UserError
from polyprefix.serving.adapters import Served
from polyprefix.serving.job import Answer, Job, LateError, Watch, Written
from polyprefix.serving.line import Line
from polyprefix.text.tokens import TokenizedPrompt

if TYPE_CHECKING:
    from polyprefix.adapters.adapted import AdaptedModel
    from polyprefix.prefix import KVPrefix


CHOOSING_ON_CPU = 1_280
"""Tokens of the questions with choices that a CPU answers at a time, in one pass or in several side by side: thirty sentences, of which
more would save no time, so that of sixty-four clients half are read while the others are answered. Written answers take all that fit, since
each step reads all weights."""


class Engine:
    """Answers requests."""

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
        import torch

        from polyprefix.engine.memory import token_budget as fitting

        self.served = served
        self._budget = token_budget
        workers = 1 + max(len(one.copies) for one in served)
        self.line = Line(queue, workers)
        fit = fitting(served[0].model, token_budget, training=False)
        on_cpu = served[0].model.device.type == "cpu"
        self._writing = pass_tokens or fit
        self._choosing = pass_tokens or (min(fit, CHOOSING_ON_CPU // workers) if on_cpu else fit)
        self._thread_counts = torch.get_num_threads(), max(1, torch.get_num_threads() // workers)
        """Of a pass that runs alone, and of one that runs beside others."""
        self._computing = threading.RLock()
        """Held while the adapters' own models compute: one does at a time."""
        self._prefixes: dict[tuple[int, int, tuple[int, ...]], KVPrefix] = {}
        self._workers = [
            threading.Thread(target=self._run, args=(worker,), name=f"polyprefix-engine-{worker}", daemon=True)
            for worker in range(workers)
        ]
        for thread in self._workers:
            thread.start()

    @property
    def alive(self) -> bool:
        """Whether it still answers."""
        return any(thread.is_alive() for thread in self._workers)

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
        one = self.served[adapter]
        begun, chosen = len(one.begin), bool(items[0].choices)  # the prefix holds what prompts begin with
        alone = None if one.model.hook.supports_mixed_prefixes() else adapter
        job = Job(
            adapter, items, sum(max(1, item.tree_size - begun) for item in items), time.monotonic() + seconds, watch,
            group=(id(one.model.model), chosen, alone), most=self._choosing if chosen else self._writing,
            concurrent=chosen and bool(one.copies),
        )  # fmt: skip
        self.line.put(job)
        return job.future

    def close(self, seconds: float | None = None) -> bool:
        """Answer what waits, take nothing new, and end the threads; whether all was answered in time."""
        self.line.close()
        end = None if seconds is None else time.monotonic() + seconds
        for thread in self._workers:
            thread.join(None if end is None else max(0, end - time.monotonic()))
        return not self.alive

    def _run(self, worker: int) -> None:
        import torch

        while (taken := self.line.take(worker)) is not None:
            wanted = self._thread_counts[taken.concurrent]
            if torch.get_num_threads() != wanted:
                torch.set_num_threads(wanted)  # of this thread
            self._answer(taken.jobs, worker)
            self.line.done(worker, taken)

    def _answer(self, jobs: Sequence[Job], worker: int) -> None:
        """Answer requests of one group; one that fails with others is asked by itself, so that it fails alone."""
        wanted = []
        for job in jobs:
            if job.deadline < time.monotonic():
                if job.future.set_running_or_notify_cancel():
                    job.future.set_exception(LateError("the request waited too long"))
            elif job.future.set_running_or_notify_cancel():
                wanted.append(job)
        if not wanted:
            return
        try:
            self._answer_together(wanted, worker)
        except Exception as error:
            for job in wanted:
                self._alone(job, worker, error if len(wanted) == 1 else None)

    def _alone(self, job: Job, worker: int, error: Exception | None) -> None:
        if error is None:
            try:
                self._answer_together([job], worker)
            except Exception as own:
                error = own
            else:
                return
        job.future.set_exception(error)

    def _answer_together(self, jobs: Sequence[Job], worker: int) -> None:
        from polyprefix.evaluation.generation import generate_until_mixed
        from polyprefix.evaluation.loglikelihood import loglikelihood_mixed

        there = sorted({job.adapter for job in jobs})
        items = [item for job in jobs for item in job.items]
        owners = [there.index(job.adapter) for job in jobs for _ in job.items]

        def prefix(place: int, length: int | None, begin: tuple[int, ...]) -> KVPrefix:
            return self._prefix(there[place], length, begin)

        begins = [self.served[adapter].begin for adapter in there]
        answers: list[Answer]
        with self._computing if worker == 0 else nullcontext():
            models = self._models(there, worker)
            if items[0].choices:
                ranked = loglikelihood_mixed(models, items, owners, self._budget, prefix, begins)
                answers = [one.log_likelihoods for one in ranked]
            else:
                cut: set[int] = set()
                watchers = [partial(job.watch, n) if job.watch else None for job in jobs for n in range(len(job.items))]
                told = watchers if any(watchers) else ()
                texts = generate_until_mixed(models, items, owners, self._budget, prefix, cut, told)
                answers = [Written(text, n in cut) for n, text in enumerate(texts)]
        left = iter(answers)
        for job in jobs:
            job.future.set_result([next(left) for _ in job.items])

    def _models(self, adapters: Sequence[int], worker: int) -> list[AdaptedModel]:
        """Of each adapter, the model whose forward passes a worker computes."""
        if worker == 0:
            return [self.served[adapter].model for adapter in adapters]
        return [self.served[adapter].copies[worker - 1] for adapter in adapters]

    def _prefix(self, adapter: int, length: int | None, begin: tuple[int, ...]) -> KVPrefix:
        """The prefix of an adapter and of what its prompts begin with, computed once for each regime of rotary phases."""
        import torch

        model = self.served[adapter].model
        key = adapter, model.hook.lengths.regime(length or 0), begin
        if key not in self._prefixes:
            with self._computing, torch.no_grad():
                computed = model.compute_prefix(torch.tensor(begin, dtype=torch.long), length)
                self._prefixes[key] = computed.kv.detached()
        return self._prefixes[key]


def said(error: BaseException) -> str:
    """What a client is told of an error: our own one line, else nothing of the inside."""
    return str(error) if isinstance(error, UserError) else "the request could not be answered"
