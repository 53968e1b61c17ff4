"""Training: one loop for every method.

    loss = mean over the examples of a step of the mean over an answer's tokens of -log p(token | prompt)

`training.length` says how many steps there are, `training.optimizer` what a step is, `training.validation` which weights are kept,
`training.meta` what may follow: meta-learning over other languages.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.config import RunConfig
from polyprefix.engine.cost import Stopwatch
from polyprefix.engine.processes import split_like
from polyprefix.errors import TrainingError
from polyprefix.progress import Bar, Reporter, duration
from polyprefix.text.batches import steps
from polyprefix.text.tokens import TokenizedPrompt
from polyprefix.training.checkpoint import Checkpoint
from polyprefix.training.length import Length, Stopped
from polyprefix.training.meta import MetaLearning, MetaReport, require_possible
from polyprefix.training.optimizer import Optimizer
from polyprefix.training.range_test import range_test
from polyprefix.training.report import TrainReport
from polyprefix.training.validation import Validation

TIMED = 3
"""The step whose time stands for the others: the first ones warm up."""


def train(
    model: AdaptedModel,
    examples: Sequence[TokenizedPrompt],
    validation: Sequence[TokenizedPrompt],
    run: RunConfig,
    *,
    reporter: Reporter,
    log: Callable[[dict[str, Any]], None],
    checkpoint: Checkpoint | None = None,
    watched: Mapping[str, Sequence[TokenizedPrompt]] | None = None,
) -> TrainReport:
    """Train the adapter in place and leave it with the weights that `run.train.keep` says.

    Args:
        examples, validation: tokenised. With `run.train.meta`, the examples of target languages train in the phase that follows.
        run: its training settings, with every `None` filled in from the method's defaults, and its seed.
        log: receives one record a step and one a validation.
        watched: language -> further validation examples that are measured and decide nothing.
        checkpoint: where an interrupted training goes on from, and where this one is kept.

    Raises:
        TrainingError: if the loss is no longer a number.
        ConfigError: if meta-learning cannot be done as asked.
    """
    config = run.train
    if not run.trains:
        return TrainReport()
    require_possible(model, config)
    apart = set(run.target_languages) if config.meta else set()
    auxiliary = [item for item in examples if item.prompt.language in apart]
    examples = [item for item in examples if item.prompt.language not in apart] if apart else examples
    length = Length.of(config, len(examples), len(validation))
    if config.gradient_checkpointing:
        model.gradient_checkpointing_enable()
    torch.manual_seed(run.seed)  # of dropout
    optimizer = Optimizer(model, examples, config, length)
    measured = Validation(
        model, validation, config.keep or "best", not length.fixed, run.eval.token_budget, reporter=reporter, log=log,
        watched=watched,
    )  # fmt: skip
    training = _Training(length, optimizer, measured, len(examples), reporter=reporter, log=log, checkpoint=checkpoint)
    state = training.resume()
    if config.learning_rate == "auto" and not training.done:
        with training.clock:
            tried = range_test(model, examples, config, model.method.tuned().learning_rate, run.seed, reporter)
        log({"step": 0, "rates": tried.rates, "losses": tried.losses, "chosen_rate": tried.learning_rate})
        optimizer.begin_at(tried.learning_rate)
        torch.manual_seed(run.seed)
    model.train()
    training.run(islice(steps(len(examples), training.per_step, length.total, run.seed), training.done, None))
    measured.restore()
    model.eval()
    if config.meta is None:
        return training.report()
    meta = MetaLearning(model, auxiliary, run, config.meta, optimizer.peak_rate, training.done)
    if "meta" in state:
        meta.load(state["meta"])
    meta.run(measured, reporter, log, lambda last: training.save(last, lambda: {"meta": meta.state()}))
    return training.report(meta.report())


class _Training:
    """A training under way: steps, validations and checkpoints in their order."""

    def __init__(
        self, length: Length, optimizer: Optimizer, validation: Validation, examples: int, *, reporter: Reporter,
        log: Callable[[dict[str, Any]], None], checkpoint: Checkpoint | None,
    ) -> None:  # fmt: skip
        self.length, self.optimizer, self.validation, self.examples = length, optimizer, validation, examples
        self.per_step = min(optimizer.config.batch_size, examples)
        """Examples of a step."""
        self.reporter, self.log, self.checkpoint = reporter, log, checkpoint
        self.clock = Stopwatch()
        self.done = 0
        """Steps."""
        self.resumed_at: int | None = None
        self.timed = 0
        """Steps in this process."""
        self.first_step: float | None = None
        self.stopped: Stopped | None = None

    def resume(self) -> dict[str, Any]:
        """Go back to the checkpoint, if there is one; returns what it holds."""
        if self.checkpoint is None:
            return {}
        with self.optimizer.processes.main_first():
            state = self.checkpoint.load(self.optimizer.adapted.device)
        if state is None:
            return {}
        self.optimizer.load(state)
        self.validation.load(state["validation"], split_like)
        self.clock.seconds, self.done, self.stopped = state["seconds"], state["step"], state["stopped"]
        self.resumed_at = self.done + state.get("meta", {}).get("episodes", 0) or None
        return state

    def run(self, rows: Iterator[list[int]]) -> None:
        """Cycle by cycle, until one does not help or there is none left."""
        if self.validation and not self.validation.points:
            self.validation.measure(0)
        for end in self.length.ends:
            if self.done < end and self.stopped is None:
                self._cycle(rows, end)

    def _cycle(self, rows: Iterator[list[int]], end: int) -> None:
        start = max((e for e in self.length.ends if e < end), default=0)
        with self.reporter.phase("train", (end - start) * self.per_step) as bar:
            bar.advance((self.done - start) * self.per_step)
            while self.done < end:
                self._step(next(rows), bar)
                if self.done in self.length.validated and self.validation:
                    improved = self.optimizer.processes.agree(self.validation.measure(self.done))
                    self.stopped = self._stopped(improved)
                elif self.done == self.length.total:
                    self.stopped = "length"
                self.save(self.stopped is not None)

    def _step(self, rows: list[int], bar: Bar) -> None:
        before = self.clock.seconds
        with self.clock:
            record = self.optimizer.step(rows)
        self.done += 1
        self.timed += 1
        if self.timed == TIMED:
            self.reporter.say(self.plan(self.clock.seconds - before))
        if self.done == 1:
            self.first_step = time.perf_counter()
        self.log({"step": self.done, **record})
        _require_numbers(record, self.done, self.length.total)
        bar.advance(
            self.per_step, f"loss {record['loss']:.3f}, {self.done * self.per_step / self.clock.seconds:.1f} examples/s"
        )

    def plan(self, seconds: float) -> str:
        """What is going to be done, and how long it takes at most.

        Args:
            seconds: of one step.
        """
        total, count = self.length.total, len(self.validation.examples)
        passes = total * self.per_step / self.examples
        line = f"{total} steps of {self.per_step} examples ({passes:.1f} passes over {self.examples})"
        time = (total - self.done) * seconds
        if count:
            points = len(self.length.validated)
            line += f", {points} validations on {count}"
            time += (points - len(self.validation.points)) * self.validation.seconds_each
        if self.length.fixed:
            return f"{line}: about {duration(time)}"
        return f"at most {line}: at most about {duration(time)}; training ends when validation no longer improves"

    def _stopped(self, improved: bool) -> Stopped | None:
        """Whether training ends after a validation, and why."""
        last = self.done == self.length.total
        if self.length.fixed:
            return "length" if last else None
        if not improved:
            return "no improvement"
        return "bound" if last else None

    def save(self, last: bool, more: Callable[[], dict[str, Any]] = dict) -> None:
        """Write a checkpoint where one is due.

        Args:
            last: whether there is no further step, so that one is due in any case.
            more: what else it holds.
        """
        if self.checkpoint is None or not self.optimizer.processes.agree(last or self.checkpoint.due()):
            return
        state = {
            "step": self.done, "stopped": self.stopped, "validation": self.validation.state(), "seconds": self.clock.seconds,
            **self.optimizer.state(self.stopped is not None), **more(),
        }  # fmt: skip
        if self.optimizer.processes.main:
            self.checkpoint.save(state)

    def report(self, meta: MetaReport | None = None) -> TrainReport:
        """What was done, in the phase that followed too."""
        seen, validation, meta = self.done * self.per_step, self.validation, meta or MetaReport()
        steps, work = self.done + meta.episodes, self.optimizer.work()
        work += meta.work
        return TrainReport(
            steps, seen + meta.examples, seen / self.examples, self.clock.seconds + meta.seconds, work,
            max(self.optimizer.memory(), meta.memory),
            self.first_step, self.optimizer.peak_rate, self.stopped or "length", validation.kept.step or steps, tuple(validation.points),
            len(validation.examples), sum(len(right) for _, right in validation.watched.values()),
            validation.clock.seconds, validation.kept_answers(),
            validation.chance, validation.learned(), self.resumed_at, meta.episodes, meta.order,
        )  # fmt: skip


def _require_numbers(record: dict[str, float], step: int, total: int) -> None:
    loss, norm, rate = record["loss"], record["gradient_norm"], record["learning_rate"]
    if not math.isfinite(loss) or not math.isfinite(norm):
        raise TrainingError(
            f"step {step} of {total}: the loss is {loss:.4g} and the gradient norm {norm:.4g}; "
            f"try a lower learning rate (--set train.learning_rate={rate / 3:.2g}, here {rate:.2g})"
        )
