"""How long training lasts, and the learning rate on the way.

A run with `epochs` or `steps` is one cycle: warm-up, then decay. A run without either is a sequence of cycles, each of which begins at the
peak rate again and ends decayed (SGDR, arXiv 1608.03983). The first makes a few passes over the data (`TrainConfig.first_cycle`); each
further one doubles the steps that are done. Training ends when a cycle has not improved the log-likelihood of validation examples, or at the
bound. Weights are compared at the ends of cycles alone, so that one decayed adapter is compared with another.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass
from typing import Literal

from polyprefix.config import TrainConfig

Stopped = Literal["length", "no improvement", "bound"]
"""Why training ended: the steps that were asked for are done, the last cycle was no better, or there were no more steps to take."""


@dataclass(frozen=True, slots=True)
class Length:
    """The steps of a training, counted from 1."""

    ends: tuple[int, ...]
    """The last step of each cycle."""
    validated: frozenset[int]
    """Steps after which validation is measured, if there are validation examples; 0 is before the first one."""
    fixed: bool
    """Whether all of them are made."""

    @classmethod
    def of(cls, config: TrainConfig, examples: int, validation: int) -> Length:
        """The steps over so many training examples.

        Args:
            config: with the method's defaults filled in.
            validation: the number of validation examples; without any, a run that has no length makes one cycle.
        """
        total = config.total_steps(examples)
        if config.has_length:
            points = {round(total * (n + 1) / config.validations) for n in range(config.validations)}
            return cls((total,), frozenset({0, *points}), fixed=True)
        ends = [config.first_cycle(examples)]
        while ends[-1] < total and validation:
            ends.append(min(total, 2 * ends[-1]))
        return cls(tuple(ends), frozenset({0, *ends}), fixed=False)

    @classmethod
    def exactly(cls, steps: int) -> Length:
        """One cycle of so many steps, validated at its end."""
        return cls((steps,), frozenset({0, steps}), fixed=True)

    @property
    def total(self) -> int:
        """The most steps."""
        return self.ends[-1]

    def rate(self, config: TrainConfig, step: int) -> float:
        """Factor on the peak learning rate in the step after so many."""
        number = min(bisect_right(self.ends, step), len(self.ends) - 1)
        start = self.ends[number - 1] if number else 0
        return _factor(config, step - start, self.ends[number] - start)


def _factor(config: TrainConfig, step: int, total: int) -> float:
    """Of a cycle of so many steps, in the one that follows after `step` of them."""
    warm = max(1, round(config.warmup * total))
    if step < warm:
        return (step + 1) / warm
    if config.schedule == "constant":
        return 1.0
    done = (step - warm) / max(1, total - warm)
    return 1 - done if config.schedule == "linear" else 0.5 * (1 + math.cos(math.pi * done))
