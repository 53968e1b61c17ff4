"""A learning rate for a model that nobody has tuned the method on: the range test (Smith, arXiv 1506.01186).

From the initial weights, the rate grows from step to step by the same factor while the loss of training batches is watched. It falls, is
least where steps are as large as they can be, and rises where they are too large. Taken is the first rate at which the loss has made most of
its fall, and the weights are set back.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate

import torch

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.config import TrainConfig
from polyprefix.progress import Reporter
from polyprefix.text.batches import steps
from polyprefix.text.tokens import TokenizedPrompt
from polyprefix.training.length import Length
from polyprefix.training.optimizer import Optimizer

STEPS = 40
DECADES = 4
"""Powers of ten that the rates span, half of them below the method's default and half above."""
SMOOTHING = 0.8
"""Weight of the past in the exponential mean of the loss."""
DIVERGED = 4.0
"""Times the least mean loss at which the test ends."""
FALL = 0.8
"""Share of the fall of the mean loss. On Gemma 3 270M and SIB-200 it gives 0.12 for `prefix`, 0.21 for `soft-prompt` and 0.0024 for `lora`,
where sweeps at full length found 0.1, 0.3 and 0.003 (studies/methods.yaml)."""


@dataclass(frozen=True, slots=True)
class RangeTest:
    """What was tried, and what was chosen."""

    learning_rate: float
    rates: tuple[float, ...]
    losses: tuple[float, ...]
    """Of the batch at each rate."""


def range_test(
    model: AdaptedModel,
    examples: Sequence[TokenizedPrompt],
    config: TrainConfig,
    around: float,
    seed: int,
    reporter: Reporter,
) -> RangeTest:
    """Try rates from the initial weights on, and give the weights back as they were.

    Args:
        config: the other training settings.
        around: the method's default rate, the middle of the range.
        seed: of the order of the examples; another one than that of training, so that the test does not use up its first batches.
    """
    before = [parameter.detach().clone() for _, parameter in model.trainable()]
    factor = 10 ** (DECADES / (STEPS - 1))
    low = around / 10 ** (DECADES / 2)
    optimizer = Optimizer(model, examples, config.model_copy(update={"learning_rate": low}), Length.exactly(STEPS))
    per_step = min(config.batch_size, len(examples))
    rates: list[float] = []
    losses: list[float] = []
    model.train()
    with reporter.phase("range test of the learning rate", STEPS * per_step) as bar:
        for number, rows in enumerate(steps(len(examples), per_step, STEPS, seed + 1)):
            rate = low * factor**number
            loss = optimizer.step(rows, rate=rate)["loss"]
            bar.advance(per_step, f"rate {rate:.1g}, loss {loss:.3f}")
            if not math.isfinite(loss):
                break
            rates.append(rate)
            losses.append(loss)
            means = smoothed(losses)
            if means[-1] > DIVERGED * min(means):
                break
    with torch.no_grad():
        for (_, parameter), value in zip(model.trainable(), before, strict=True):
            parameter.copy_(value)
    return RangeTest(chosen(rates, losses, low), tuple(rates), tuple(losses))


def smoothed(losses: Sequence[float]) -> list[float]:
    """The exponential mean of the losses up to each of them."""
    return list(accumulate(losses, lambda mean, loss: SMOOTHING * mean + (1 - SMOOTHING) * loss))


def chosen(rates: Sequence[float], losses: Sequence[float], lowest: float) -> float:
    """The rate to train with, from the losses at growing rates; the lowest where not even the first step gave a number.

    >>> chosen([1e-3, 1e-2, 1e-1, 1.0], [8.0, 2.0, 0.5, 90.0], 1e-3)
    0.1
    """
    if not rates:
        return lowest
    means = smoothed(losses)
    enough = means[0] - FALL * (means[0] - min(means))
    return next(rate for rate, mean in zip(rates, means, strict=True) if mean <= enough)
