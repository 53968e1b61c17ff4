"""Training: one loop for every method.

    loss = mean over the examples of a step of the mean over an answer's tokens of -log p(token | prompt)

`training.length` says how many steps there are, `training.optimizer` what a step is, `training.validation` which weights are kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import islice
from typing import Any

import torch

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.calibration.record import Validation as ValidationAnswers
from polyprefix.config import RunConfig
from polyprefix.engine.cost import Stopwatch
from polyprefix.engine.flop_counter import Work
from polyprefix.engine.processes import split_like
from polyprefix.errors import TrainingError
from polyprefix.progress import Bar, Reporter, duration
from polyprefix.text.batches import steps
from polyprefix.text.tokens import TokenizedPrompt
from polyprefix.training.checkpoint import Checkpoint
from polyprefix.training.length import Length, Stopped
from polyprefix.training.optimizer import Optimizer
from polyprefix.training.range_test import range_test
from polyprefix.training.validation import Validated, Validation

TIMED = 3
"""The step whose time stands for the others: the first ones warm up."""


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What training did."""

    steps: int = 0
    examples: int = 0
    """Training examples seen, repetitions counted."""
    epochs: float = 0.0
    """Passes over the training examples."""
    seconds: float = 0.0
    """Without validation."""
    work: Work = field(default_factory=Work)
    """Counted, without validation."""
    memory: int = 0
    """Bytes at the peak, before an interruption too."""
    first_step: float | None = None
    """`time.perf_counter()` when the first step was done."""
    learning_rate: float = 0.0
    """The peak rate."""
    stopped: Stopped = "length"
    """Why it ended."""
    kept_step: int = 0
    """The step whose weights were kept; of an average the last of them."""
    validation: tuple[Validated, ...] = ()
    """What was measured, from before the first step on; empty without validation examples."""
    validation_size: int = 0
    """Examples behind each of these."""
    watched_size: int = 0
    """Examples of other languages that are measured with them."""
    validation_seconds: float = 0.0
    answers: ValidationAnswers = field(default_factory=ValidationAnswers)
    """Of the kept weights to validation examples; empty where they were not measured."""
    chance: float | None = None
    """Accuracy on them without having learned anything; None without choices."""
    learned: bool | None = None
    """Whether the kept weights are better than that; None without validation examples."""
    resumed_at: int | None = None
    """The step after which an interrupted training went on; None where it was not interrupted."""

    def figures(self) -> dict[str, Any]:
        """As the `training` of a result (docs/results-format.md); empty where nothing was trained."""
        if not self.steps:
            return {}
        return {
            "steps": self.steps, "epochs": self.epochs, "learning_rate": self.learning_rate,
            "stopped": self.stopped, "kept_step": self.kept_step,
            "learned": self.learned, "still_improving": self.stopped == "bound", "chance": self.chance,
            "validation_size": self.validation_size, "watched_size": self.watched_size,
            "validation": [asdict(point) for point in self.validation],
        }  # fmt: skip

    def notes(self) -> tuple[str, ...]:
        """What a reader of its scores must know: that nothing was learned, or that more would have been."""
        found: list[str] = []
        if self.learned is False and self.kept:
            figures = f"log-likelihood {self.kept.log_likelihood:.3f}"
            if self.kept.accuracy is not None and self.chance is not None:
                figures = f"accuracy {100 * self.kept.accuracy:.1f}, {100 * self.chance:.1f} by chance"
            found.append(
                f"the adapter has not learned the task: {figures} on {self.validation_size} validation examples; "
                "try another learning rate, more training examples or a larger model"
            )
        if self.stopped == "bound":
            found.append(
                f"validation was still improving after {self.steps} steps, the most that were allowed; "
                "raise train.max_steps"
            )
        return tuple(found)

    @property
    def kept(self) -> Validated | None:
        """What was measured of the kept weights."""
        return next((point for point in self.validation if point.step == self.kept_step), None)


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
        examples, validation: tokenised.
        run: its training settings, with every `None` filled in from the method's defaults, and its seed.
        log: receives one record a step and one a validation.
        watched: language -> further validation examples that are measured and decide nothing.
        checkpoint: where an interrupted training goes on from, and where this one is kept.

    Raises:
        TrainingError: if the loss is no longer a number.
    """
    config = run.train
    if not run.trains:
        return TrainReport()
    length = Length.of(config, len(examples), len(validation))
    if config.gradient_checkpointing:
        checkpoint_activations(model.model)
    torch.manual_seed(run.seed)  # of dropout
    optimizer = Optimizer(model, examples, config, length)
    measured = Validation(
        model, validation, config.keep or "best", not length.fixed, run.eval.token_budget, reporter=reporter, log=log,
        watched=watched,
    )  # fmt: skip
    training = _Training(length, optimizer, measured, len(examples), reporter=reporter, log=log, checkpoint=checkpoint)
    training.resume()
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
    return training.report()


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

    def resume(self) -> None:
        """Go back to the checkpoint, if there is one."""
        if self.checkpoint is None:
            return
        with self.optimizer.processes.main_first():
            state = self.checkpoint.load(self.optimizer.adapted.device)
        if state is None:
            return
        self.optimizer.load(state)
        self.validation.load(state["validation"], split_like)
        self.clock.seconds, self.done, self.stopped = state["seconds"], state["step"], state["stopped"]
        self.resumed_at = self.done or None

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
                self._save()

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

    def _save(self) -> None:
        if self.checkpoint is None or not self.optimizer.processes.agree(
            self.stopped is not None or self.checkpoint.due()
        ):
            return
        state = {
            "step": self.done, "stopped": self.stopped, "validation": self.validation.state(), "seconds": self.clock.seconds,
            **self.optimizer.state(self.stopped is not None),
        }  # fmt: skip
        if self.optimizer.processes.main:
            self.checkpoint.save(state)

    def report(self) -> TrainReport:
        """What was done."""
        seen, validation = self.done * self.per_step, self.validation
        return TrainReport(
            self.done, seen, seen / self.examples, self.clock.seconds, self.optimizer.work(), self.optimizer.memory(),
            self.first_step, self.optimizer.peak_rate, self.stopped or "length", validation.kept.step or self.done, tuple(validation.points),
            len(validation.examples), sum(len(right) for _, right in validation.watched.values()),
            validation.clock.seconds, validation.kept_answers(),
            validation.chance, validation.learned(), self.resumed_at,
        )  # fmt: skip


def checkpoint_activations(model: Any) -> None:
    """Recompute activations; without re-entrance, for a prefix reaches the layers as a closure and not as an argument."""
    enable = (
        getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    )  # its name before 5.2x
    enable({"use_reentrant": False})
    model.disable_input_require_grads()  # asked of embeddings for re-entrance's sake: all layers below the adapter would have gradients


def _require_numbers(record: dict[str, float], step: int, total: int) -> None:
    loss, norm, rate = record["loss"], record["gradient_norm"], record["learning_rate"]
    if not math.isfinite(loss) or not math.isfinite(norm):
        raise TrainingError(
            f"step {step} of {total}: the loss is {loss:.4g} and the gradient norm {norm:.4g}; "
            f"try a lower learning rate (--set train.learning_rate={rate / 3:.2g}, here {rate:.2g})"
        )
