"""Training: one loop for every method.

    loss = mean over the examples of a step of the mean over an answer's tokens of -log p(token | prompt)

AdamW with warm-up and decay, gradients clipped, the head only where an answer is predicted, what prompts share computed once a batch.
accelerate holds the device and the processes. English validation picks the weights that are kept.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from polyprefix.config import RunConfig, TrainConfig
from polyprefix.engine import tensors
from polyprefix.engine.cost import Stopwatch
from polyprefix.engine.memory import out_of_memory, release, token_budget, too_large
from polyprefix.engine.predict import rank_choices
from polyprefix.engine.work import Meter, Work
from polyprefix.errors import TrainingError
from polyprefix.methods.adapted import AdaptedModel
from polyprefix.models.head import most_positions
from polyprefix.progress import Reporter
from polyprefix.text.batches import by_token_budget, steps
from polyprefix.text.tokens import Encoded, shared_length


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What training did."""

    steps: int = 0
    examples: int = 0
    """Training examples seen, repetitions counted."""
    seconds: float = 0.0
    """Without validation."""
    work: Work = field(default_factory=Work)
    """Counted, without validation."""
    first_step: float | None = None
    """`time.perf_counter()` when the first step was done."""
    best_step: int = 0
    """The step whose weights were kept."""
    best_validation: float | None = None
    """Accuracy on English validation examples there; None without any, or without choices."""


@dataclass(slots=True)
class _Best:
    step: int = 0
    rank: tuple[float, float] = (-1.0, -math.inf)
    """Accuracy, then mean log-likelihood of the right answer."""
    weights: dict[str, Tensor] | None = None


def train(
    model: AdaptedModel,
    examples: Sequence[Encoded],
    validation: Sequence[Encoded],
    run: RunConfig,
    *,
    reporter: Reporter,
    log: Callable[[dict[str, Any]], None],
) -> TrainReport:
    """Train the adapter in place and leave it with the best weights.

    Args:
        examples, validation: English, tokenised.
        run: its training settings, with every `None` filled in from the method's defaults, and its seed.
        log: receives one record a step and one a validation.

    Raises:
        TrainingError: if the loss is no longer a number.
    """
    config = run.train
    if not run.trains:
        return TrainReport()
    per_step = min(config.batch_size, len(examples))
    once = math.ceil(len(examples) / per_step)
    total = max(1, config.steps or 0, once) if config.epochs is None else math.ceil(once * config.epochs)
    checkpoints = {round(total * (n + 1) / config.validations) for n in range(config.validations)}
    if config.gradient_checkpointing:
        _checkpoint(model.model)
    optimizer = Optimizer(model, examples, config, total)
    clock, best, first = Stopwatch(), _Best(), 0.0
    model.train()
    with reporter.phase("train", total * per_step) as bar:
        for step, rows in enumerate(steps(len(examples), per_step, total, run.seed), start=1):
            with clock:
                record = optimizer.step(rows)
            first = first or time.perf_counter()
            log({"step": step, **record})
            _require_numbers(record, step, total)
            bar.advance(per_step, f"loss {record['loss']:.3f}, {step * per_step / clock.seconds:.1f} examples/s")
            if validation and step in checkpoints:
                _validate(model, validation, run.eval.token_budget, step, best, log)
    if best.weights is not None:
        _restore(model.trainable(), best.weights)
    model.eval()
    accuracy = best.rank[0] if validation and all(item.choices for item in validation) else None
    return TrainReport(
        total, total * per_step, clock.seconds, optimizer.meter.work, first or None, best.step or total, accuracy
    )


class Optimizer:
    """Optimiser steps of a fixed number of examples, however many forward passes they take."""

    def __init__(self, model: AdaptedModel, examples: Sequence[Encoded], config: TrainConfig, total: int) -> None:
        self.adapted = model
        self.config = config
        self.parameters = [parameter for _, parameter in model.trainable()]
        longest = max(len(item.ids) + len(item.target) for item in examples)
        self.shared = model.shareable(shared_length([item.ids for item in examples]), longest)
        self.shared_ids = torch.tensor(examples[0].ids[: self.shared], device=model.device)
        self.texts: list[tensors.Text] = [(item.ids[self.shared :], [item.target]) for item in examples]
        self.meter = Meter(model, self.shared, training=True)
        self.budget = token_budget(model, config.token_budget, training=True)
        self.accelerator = Accelerator(cpu=model.device.type == "cpu", mixed_precision="no")
        adamw = torch.optim.AdamW(
            self.parameters, lr=config.learning_rate or 0.0, weight_decay=config.weight_decay or 0.0
        )
        self.model, self.adamw = self.accelerator.prepare(model, adamw)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(adamw, lambda step: _schedule(config, step, total))

    def step(self, rows: Sequence[int]) -> dict[str, float]:
        """One optimiser step over the examples at these indices: their mean loss, the gradient's norm before clipping, the rate."""
        loss = self._gradients([self.texts[row] for row in rows])
        norm = self.accelerator.clip_grad_norm_(self.parameters, self.config.max_grad_norm)
        record = {"loss": loss, "gradient_norm": float(norm), "learning_rate": float(self.schedule.get_last_lr()[0])}
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)
        self.schedule.step()
        return record

    def _gradients(self, texts: Sequence[tensors.Text]) -> float:
        """The mean loss, with its gradients; where memory is short, all of it again in smaller passes.

        Raises:
            ModelError: if one text alone does not fit.
        """
        while True:
            try:
                return self._in_passes(texts)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error):
                    raise
                largest = max(map(tensors.size, texts))
                if self.budget < largest:
                    raise too_large(largest, self.shared_ids.device) from error
            self.adamw.zero_grad(set_to_none=True)  # a pass may have failed half-way
            self.budget //= 2
            release(self.shared_ids.device)

    def _in_passes(self, texts: Sequence[tensors.Text]) -> float:
        loss = 0.0
        for rows in self._passes(texts):
            inputs = tensors.batch([texts[i] for i in rows], self.adapted)
            value = self._loss(inputs) / len(texts)
            self.accelerator.backward(value)
            loss += value.item()
            self.meter.count([texts[i] for i in rows], inputs.input_ids.numel())
        return loss

    def _passes(self, texts: Sequence[tensors.Text]) -> list[list[int]]:
        return by_token_budget(
            list(map(tensors.size, texts)),
            self.budget,
            answers=list(map(tensors.heads, texts)),
            most_answers=most_positions(self.adapted.model),
            padded=None if self.adapted.seam.flattens() else tensors.SIMILAR,
        )

    def _loss(self, inputs: tensors.Batch) -> Tensor:
        """Sum over texts of the mean negative log-likelihood of the answer's tokens."""
        logits = inputs.logits(self.model, shared_ids=self.shared_ids)
        return -(inputs.sums(inputs.log_likelihoods(logits)) / inputs.counts()).sum()


def _checkpoint(model: Any) -> None:
    """Recompute activations; without re-entrance, for a prefix reaches the layers as a closure and not as an argument."""
    enable = (
        getattr(model, "activation_checkpointing_enable", None) or model.gradient_checkpointing_enable
    )  # its name before 5.2x
    enable({"use_reentrant": False})


def _require_numbers(record: dict[str, float], step: int, total: int) -> None:
    loss, norm, rate = record["loss"], record["gradient_norm"], record["learning_rate"]
    if not math.isfinite(loss) or not math.isfinite(norm):
        raise TrainingError(
            f"step {step} of {total}: the loss is {loss:.4g} and the gradient norm {norm:.4g}; "
            f"try a lower learning rate (--set train.learning_rate={rate / 3:.2g}, here {rate:.2g})"
        )


def _schedule(config: TrainConfig, step: int, total: int) -> float:
    """Factor on the peak learning rate at a step, counted from 0."""
    warm = max(1, round(config.warmup * total))
    if step < warm:
        return (step + 1) / warm
    if config.schedule == "constant":
        return 1.0
    done = (step - warm) / max(1, total - warm)
    return 1 - done if config.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))


def _validate(
    model: AdaptedModel,
    validation: Sequence[Encoded],
    budget: int | None,
    step: int,
    best: _Best,
    log: Callable[[dict[str, Any]], None],
) -> None:
    """Measure the right answers' likelihood, and how often they are the likeliest where there are choices; keep the best weights."""
    ranked = rank_choices(model, [replace(item, choices=item.choices or (item.target,)) for item in validation], budget)
    right = [item.encoded.choices.index(item.encoded.target) for item in ranked]
    likelihood = sum(r.log_likelihoods[answer] for r, answer in zip(ranked, right, strict=True)) / len(ranked)
    record = {"step": step, "validation_log_likelihood": likelihood}
    if all(item.choices for item in validation):
        record["validation_accuracy"] = sum(r.best == a for r, a in zip(ranked, right, strict=True)) / len(ranked)
    log(record)
    rank = (record.get("validation_accuracy", 0.0), likelihood)
    if rank > best.rank:
        best.rank, best.step = rank, step
        best.weights = {name: p.detach().clone() for name, p in model.trainable()}


@torch.no_grad()
def _restore(trainable: Sequence[tuple[str, nn.Parameter]], weights: dict[str, Tensor]) -> None:
    for name, parameter in trainable:
        parameter.copy_(weights[name])
