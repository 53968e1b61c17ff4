"""Training: one loop for every method.

    loss = mean over the examples of a step of the mean over an answer's tokens of -log p(token | prompt)

AdamW with warm-up and decay, gradients clipped, the head only where an answer is predicted, what prompts share computed once a batch.
accelerate holds the device and the processes. English validation picks the weights that are kept.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
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
from polyprefix.text.batches import by_token_budget, padding_share, steps
from polyprefix.text.tokens import Encoded, shared_length


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
    """Accuracy on English validation examples there; None where there were none."""


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
    if not config.epochs or not config.learning_rate:
        return TrainReport()
    trainable = model.trainable()
    per_step = min(config.batch_size, len(examples))
    total = max(1, math.ceil(len(examples) * config.epochs / per_step))
    accelerator = Accelerator(cpu=model.device.type == "cpu", mixed_precision="no")
    optimizer = torch.optim.AdamW([p for _, p in trainable], lr=config.learning_rate, weight_decay=config.weight_decay or 0.0)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _schedule(config, step, total))
    wrapped, optimizer = accelerator.prepare(model, optimizer)
    if config.gradient_checkpointing:
        model.model.gradient_checkpointing_enable({"use_reentrant": False})
    longest = max(len(item.ids) + len(item.target) for item in examples)
    shared = model.shareable(shared_length([item.ids for item in examples]), longest)
    pad = model.base.tokenizer.pad_token_id
    shared_ids = torch.tensor(examples[0].ids[:shared], device=model.device)
    lengths = [len(item.ids) - shared + len(item.target) - 1 for item in examples]
    checkpoints = {round(total * (n + 1) / config.validations) for n in range(config.validations)}
    clock, best, padding = Stopwatch(), _Best(), []
    model.train()
    with reporter.phase("train", total * per_step) as bar:
        for step, rows in enumerate(steps(lengths, per_step, total, run.seed), start=1):
            with clock:
                batches = [
                    [rows[i] for i in part] for part in by_token_budget([lengths[r] for r in rows], config.token_budget)
                ]
                padding.append(padding_share(lengths, batches))
                loss = 0.0
                for part in batches:
                    value = _loss(wrapped, [examples[r] for r in part], shared, shared_ids, pad) / per_step
                    accelerator.backward(value)
                    loss += value.item()
                norm = float(accelerator.clip_grad_norm_([p for _, p in trainable], config.max_grad_norm))
                if not math.isfinite(loss) or not math.isfinite(norm):
                    raise TrainingError(
                        f"step {step} of {total}: the loss is {loss:.4g} and the gradient norm {norm:.4g}; "
                        f"try a lower learning rate (--set train.learning_rate={config.learning_rate / 3:.2g}, now {config.learning_rate:.2g})"
                    )
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
            log({"step": step, "loss": loss, "gradient_norm": norm, "learning_rate": schedule.get_last_lr()[0]})
            schedule.step()
            speed = step * per_step / clock.seconds
            bar.advance(per_step, f"loss {loss:.3f}, {speed:.1f} examples/s")
            if validation and step in checkpoints:
                _validate(model, validation, run.eval.token_budget, step, best, log)
    if best.weights is not None:
        _restore(trainable, best.weights)
    model.eval()
    accuracy = best.rank[0] if validation else None
    mean_padding = sum(padding) / len(padding)
    return TrainReport(total, total * per_step, clock.seconds, mean_padding, best.step or total, accuracy)


def _loss(model: nn.Module, items: Sequence[Encoded], shared: int, shared_ids: Tensor, pad: int) -> Tensor:
    """Sum over the batch's examples of the mean negative log-likelihood of the answer's tokens."""
    inputs = batch([(item.ids[shared:], item.target) for item in items], pad, shared_ids.device)
    keep = inputs.labels.shape[1]
    logits = model(inputs.input_ids, inputs.attention_mask, shared_ids=shared_ids, logits_to_keep=keep).logits[
        :, -keep:
    ]
    losses = nn.functional.cross_entropy(
        logits.float().flatten(0, 1), inputs.labels.flatten(), ignore_index=IGNORED, reduction="none"
    ).view_as(inputs.labels)
    return (losses.sum(-1) / (inputs.labels != IGNORED).sum(-1)).sum()


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
    ranked = rank_choices(model, validation, budget)
    right = [item.choices.index(item.target) for item in validation]
    accuracy = sum(r.best == answer for r, answer in zip(ranked, right, strict=True)) / len(ranked)
    likelihood = sum(r.log_likelihoods[answer] for r, answer in zip(ranked, right, strict=True)) / len(ranked)
    log({"step": step, "validation_accuracy": accuracy, "validation_log_likelihood": likelihood})
    if (accuracy, likelihood) > best.rank:
        best.rank, best.step = (accuracy, likelihood), step
        best.weights = {name: p.detach().clone() for name, p in model.trainable()}


@torch.no_grad()
def _restore(trainable: Sequence[tuple[str, nn.Parameter]], weights: dict[str, Tensor]) -> None:
    for name, parameter in trainable:
        parameter.copy_(weights[name])
