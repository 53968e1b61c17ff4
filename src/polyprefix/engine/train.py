"""Training: one loop for every method.

    loss = mean over the examples of a step of the mean over an answer's tokens of -log p(token | prompt)

AdamW with warm-up and decay, gradients clipped, the head only where an answer is predicted, what prompts share computed once a batch.
accelerate holds the device and the processes. English validation picks the weights that are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn

from polyprefix.config import RunConfig, TrainConfig
from polyprefix.engine.cost import Stopwatch
from polyprefix.engine.predict import rank_choices
from polyprefix.engine.tensors import IGNORED, batch
from polyprefix.errors import TrainingError
from polyprefix.methods.adapted import AdaptedModel
from polyprefix.progress import Reporter
from polyprefix.text.batches import by_token_budget, steps
from polyprefix.text.tokens import Encoded, shared_length

SIMILAR = 0.75
"""Rows of a step share a forward pass if none is shorter than this share of the longest: padding stays small, passes stay few."""


@dataclass(frozen=True, slots=True)
class TrainReport:
    """What training did."""

    steps: int = 0
    examples: int = 0
    """Training examples seen, repetitions counted."""
    seconds: float = 0.0
    """Without validation."""
    padding: float = 0.0
    """Share of the computed tokens that were padding."""
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
    clock, best = Stopwatch(), _Best()
    model.train()
    with reporter.phase("train", total * per_step) as bar:
        for step, rows in enumerate(steps(len(examples), per_step, total, run.seed), start=1):
            with clock:
                record = optimizer.step(rows)
            log({"step": step, **record})
            _require_numbers(record, step, total)
            bar.advance(per_step, f"loss {record['loss']:.3f}, {step * per_step / clock.seconds:.1f} examples/s")
            if validation and step in checkpoints:
                _validate(model, validation, run.eval.token_budget, step, best, log)
    if best.weights is not None:
        _restore(model.trainable(), best.weights)
    model.eval()
    accuracy = best.rank[0] if validation and all(item.choices for item in validation) else None
    return TrainReport(total, total * per_step, clock.seconds, optimizer.padding, best.step or total, accuracy)


class Optimizer:
    """Optimiser steps of a fixed number of examples, however many forward passes they take."""

    def __init__(self, model: AdaptedModel, examples: Sequence[Encoded], config: TrainConfig, total: int) -> None:
        self.examples = examples
        self.config = config
        self.pad = model.base.tokenizer.pad_token_id
        self.parameters = [parameter for _, parameter in model.trainable()]
        longest = max(len(item.ids) + len(item.target) for item in examples)
        self.shared = model.shareable(shared_length([item.ids for item in examples]), longest)
        self.shared_ids = torch.tensor(examples[0].ids[: self.shared], device=model.device)
        self.lengths = [len(item.ids) - self.shared + len(item.target) - 1 for item in examples]
        self.accelerator = Accelerator(cpu=model.device.type == "cpu", mixed_precision="no")
        adamw = torch.optim.AdamW(
            self.parameters, lr=config.learning_rate or 0.0, weight_decay=config.weight_decay or 0.0
        )
        self.model, self.adamw = self.accelerator.prepare(model, adamw)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(adamw, lambda step: _schedule(config, step, total))
        self._useful = self._computed = 0

    @property
    def padding(self) -> float:
        """Share of the tokens computed so far that were padding."""
        return 1 - self._useful / self._computed if self._computed else 0.0

    def step(self, rows: Sequence[int]) -> dict[str, float]:
        """One optimiser step over the examples at these indices: their mean loss, the gradient's norm before clipping, the rate."""
        loss = 0.0
        for part in by_token_budget([self.lengths[row] for row in rows], self.config.token_budget, least_share=SIMILAR):
            lengths = [self.lengths[rows[i]] for i in part]
            self._useful += sum(lengths)
            self._computed += max(lengths) * len(lengths)
            value = self._loss([self.examples[rows[i]] for i in part]) / len(rows)
            self.accelerator.backward(value)
            loss += value.item()
        norm = self.accelerator.clip_grad_norm_(self.parameters, self.config.max_grad_norm)
        record = {"loss": loss, "gradient_norm": float(norm), "learning_rate": float(self.schedule.get_last_lr()[0])}
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)
        self.schedule.step()
        return record

    def _loss(self, items: Sequence[Encoded]) -> Tensor:
        """Sum over examples of the mean negative log-likelihood of the answer's tokens."""
        inputs = batch([(item.ids[self.shared :], item.target) for item in items], self.pad, self.shared_ids.device)
        keep = inputs.labels.shape[1]
        out = self.model(inputs.input_ids, inputs.attention_mask, shared_ids=self.shared_ids, logits_to_keep=keep)
        losses = nn.functional.cross_entropy(
            out.logits[:, -keep:].float().flatten(0, 1), inputs.labels.flatten(), ignore_index=IGNORED, reduction="none"
        ).view_as(inputs.labels)
        return (losses.sum(-1) / (inputs.labels != IGNORED).sum(-1)).sum()


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
    budget: int,
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
