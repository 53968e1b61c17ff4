"""Validation while an adapter is trained: what was measured, whether that is better than chance, and which weights are kept."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any, Literal

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.calibration.record import Validation as ValidationAnswers
from polyprefix.engine.cost import Stopwatch
from polyprefix.evaluation.loglikelihood import Ranked, loglikelihood
from polyprefix.models.sharded import whole
from polyprefix.progress import Bar, Reporter
from polyprefix.text.tokens import TokenizedPrompt

IMPROVEMENT = 0.01
"""Nats of mean log-likelihood; a smaller gain is none."""
LEVEL = 0.05
"""Of the test that tells an adapter that has learned from chance."""

Keep = Literal["last", "best", "average"]


@dataclass(frozen=True, slots=True)
class Validated:
    """What was measured after a step."""

    step: int
    log_likelihood: float
    """Mean log-likelihood of the right answers, in nats."""
    accuracy: float | None
    """Share of examples whose right answer is the likeliest; None without choices."""
    watched: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """Language -> `log_likelihood` and, with choices, `accuracy` of the languages that decide nothing."""


class Validation:
    """The validation examples of a training, and the weights that they choose."""

    def __init__(
        self, model: AdaptedModel, examples: Sequence[TokenizedPrompt], keep: Keep, cycles: bool, token_budget: int | None,
        *, reporter: Reporter, log: Callable[[dict[str, Any]], None], watched: Mapping[str, Sequence[TokenizedPrompt]] | None = None,
    ) -> None:  # fmt: skip
        """Nothing is measured yet.

        Args:
            keep: which weights `restore` gives back (`TrainConfig.keep`).
            cycles: whether steps are measured at the ends of cycles, so that the weights of the best cycle are the last decayed ones.
            log: receives one record a measurement.
            watched: language -> examples that are measured too and decide nothing.
        """
        self.model, self.examples = model, examples
        self.ranked, self.right = _to_rank(examples)
        self.watched = {code: _to_rank(items) for code, items in (watched or {}).items()}
        self.keep, self.cycles, self.token_budget = keep, cycles, token_budget
        self.reporter, self.log = reporter, log
        self.clock = Stopwatch()
        self.points: list[Validated] = []
        self.first: list[float] = []
        """Log-likelihood of each right answer before the first step."""
        self.last: list[float] = []
        """And those of the kept weights."""
        self.answers: list[tuple[float, ...]] = []
        """Log-likelihoods of all choices of each example by the kept weights; empty without choices, and of an average."""
        self.kept = Validated(0, -math.inf, None)
        self.weights: dict[str, Tensor] = {}
        self.averaged = 0
        """Sets of weights in the average so far."""

    def __bool__(self) -> bool:
        return bool(self.examples)

    @property
    def seconds_each(self) -> float:
        """Of a measurement, so far."""
        return self.clock.seconds / max(1, len(self.points))

    @property
    def chosen(self) -> bool:
        """Whether each example has choices."""
        return all(item.choices for item in self.examples)

    @property
    def chance(self) -> float | None:
        """Accuracy of the most frequent answer where all examples have the same choices, else of a guess; None without choices."""
        if not self.examples or not self.chosen:
            return None
        guess = sum(1 / len(item.choices) for item in self.examples) / len(self.examples)
        if len({item.choices for item in self.examples}) > 1:
            return guess
        return max(guess, max(Counter(self.right).values()) / len(self.right))

    def measure(self, step: int) -> bool:
        """Measure the weights of now, and keep them where they are to be kept.

        Returns:
            Whether the mean log-likelihood of the right answers is better by `IMPROVEMENT` than that of the kept weights.
        """
        count = len(self.examples) + sum(len(right) for _, right in self.watched.values())
        with self.clock, self.reporter.phase("validate", count) as bar:
            ranked, values, own = self._measured(self.ranked, self.right, bar)
            others = {code: self._measured(*items, bar)[-1] for code, items in self.watched.items()}
        point = Validated(step, own["log_likelihood"], own.get("accuracy"), others)
        self.points.append(point)
        self.log({"step": step, **_prefixed("validation", own)})
        for code, figures in others.items():
            self.log({"step": step, "watched": code, **_prefixed("watched", figures)})
        if not step:
            self.first = values
            return True
        improved = point.log_likelihood > self.kept.log_likelihood + IMPROVEMENT
        if self._is_kept(point):
            self.kept, self.last = point, values
            self.answers = [r.log_likelihoods for r in ranked] if self.chosen and self.keep != "average" else []
            self._keep()
        return improved

    def _measured(
        self, items: Sequence[TokenizedPrompt], right: Sequence[int], bar: Bar
    ) -> tuple[list[Ranked], list[float], dict[str, float]]:
        """Log-likelihoods of the choices of each example, of its right answer, and the figures of all."""
        ranked = loglikelihood(self.model, items, self.token_budget, bar.advance)
        values = [r.log_likelihoods[answer] for r, answer in zip(ranked, right, strict=True)]
        figures = {"log_likelihood": sum(values) / len(values)}
        if self.chosen:
            figures["accuracy"] = sum(r.best == answer for r, answer in zip(ranked, right, strict=True)) / len(ranked)
        return ranked, values, figures

    def _is_kept(self, point: Validated) -> bool:
        if self.cycles:
            return point.log_likelihood > self.kept.log_likelihood
        if self.keep == "best":
            return (point.accuracy or 0.0, point.log_likelihood) > (self.kept.accuracy or 0.0, self.kept.log_likelihood)
        return True

    def _keep(self) -> None:
        if self.keep == "average":
            self.averaged += 1
            for name, parameter in self.model.trainable():
                now = _copy(parameter)
                mean = self.weights.setdefault(name, now)
                mean += (now - mean) / self.averaged
        elif self.keep == "best" or self.cycles:
            self.weights = {name: _copy(parameter) for name, parameter in self.model.trainable()}

    def keep_last(self) -> None:
        """From now on keep whatever is measured last: the weights of another phase, which are not compared with those before."""
        self.keep, self.cycles, self.weights = "last", False, {}

    @torch.no_grad()
    def restore(self) -> None:
        """Give the kept weights to the model; the last ones stay where none were put aside."""
        for name, parameter in self.model.trainable():
            if name in self.weights:
                parameter.copy_(self.weights[name])

    def learned(self) -> bool | None:
        """Whether the kept weights are better than chance on validation examples; None without any.

        With choices, by the binomial test of their accuracy against `chance`; else by the paired t test of the right answers'
        log-likelihood against that before the first step. One-sided, level `LEVEL`.
        """
        from scipy import stats

        if not self.last:
            return None
        if self.kept.accuracy is not None and self.chance is not None:
            right = round(self.kept.accuracy * len(self.examples))
            return bool(stats.binomtest(right, len(self.examples), min(self.chance, 1.0), "greater").pvalue < LEVEL)
        return bool(stats.ttest_rel(self.last, self.first, alternative="greater").pvalue < LEVEL)

    def kept_answers(self) -> ValidationAnswers:
        """What the kept weights say of each example, as calibration keeps it; empty where they were not measured."""
        if not self.answers:
            return ValidationAnswers()
        codes = tuple(item.prompt.language for item in self.examples)
        return ValidationAnswers(tuple(self.answers), tuple(self.right), codes)

    def state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        return {
            "points": [asdict(point) for point in self.points], "first": self.first, "last": self.last, "kept": asdict(self.kept),
            "weights": {name: whole(weight) for name, weight in self.weights.items()}, "averaged": self.averaged,
            "answers": self.answers,
            "seconds": self.clock.seconds,
        }  # fmt: skip

    def load(self, state: dict[str, Any], split: Callable[[Tensor, Tensor], Tensor]) -> None:
        """Take over what `state` gave.

        Args:
            split: gives a whole tensor sharded as another one is.
        """
        self.points = [Validated(**point) for point in state["points"]]
        self.first, self.last, self.kept = state["first"], state["last"], Validated(**state["kept"])
        parameters = dict(self.model.trainable())
        self.weights = {name: split(weight, parameters[name]) for name, weight in state["weights"].items()}
        self.averaged, self.clock.seconds, self.answers = state["averaged"], state["seconds"], state["answers"]


def _to_rank(examples: Sequence[TokenizedPrompt]) -> tuple[list[TokenizedPrompt], list[int]]:
    """Prompts with choices, the right answer alone where it is written freely, and its place among them."""
    ranked = [replace(item, choices=item.choices or (item.target,)) for item in examples]
    return ranked, [item.choices.index(item.target) for item in ranked]


def _prefixed(name: str, figures: Mapping[str, float]) -> dict[str, float]:
    return {f"{name}_{key}": value for key, value in figures.items()}


def _copy(parameter: Tensor) -> Tensor:
    """Where it takes no memory of the device that trains; a sharded one stays there."""
    now = parameter.detach()
    return now.clone() if isinstance(parameter, DTensor) else now.to("cpu", copy=True)
