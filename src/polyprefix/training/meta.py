"""X-MAML: an adapter that has learned a task in the source languages learns to adapt to others. arXiv 2003.02739; MAML 1703.03400.

An episode draws support examples S and query examples Q of each auxiliary language. With U_k the weights after k inner steps from w,

    U_0 = w,   U_{k+1} = U_k - a grad L_S(U_k)

    second order     (I - a H_0) ... (I - a H_{K-1}) grad L_Q(U_K)        H_k the Hessian of L_S at U_k
    first order      grad L_Q(U_K)
    Reptile          w - U_K, the inner steps taking S and Q in turn

is the gradient of a language, and AdamW takes a step along their mean. Inner and outer steps move the adapter's weights alone.

The product is taken from the right, one Hessian times a vector after the other, each over a forward pass of its own: no graph of the inner
steps is kept, so memory is that of a single pass, however many steps there are, and passes may be divided like those of training.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.config import MetaConfig, RunConfig, TrainConfig
from polyprefix.engine.cost import Stopwatch
from polyprefix.engine.flop_counter import Work
from polyprefix.engine.processes import processes
from polyprefix.errors import ConfigError
from polyprefix.progress import Reporter
from polyprefix.text.tokens import TokenizedPrompt
from polyprefix.training.length import Length
from polyprefix.training.optimizer import Optimizer
from polyprefix.training.validation import Validation


@dataclass(frozen=True, slots=True)
class Draw:
    """The examples of one language in an episode, as indices, and the seed of random numbers while they train (dropout)."""

    support: tuple[int, ...]
    query: tuple[int, ...]
    seed: int = 0

    def inner(self, config: MetaConfig) -> list[tuple[int, ...]]:
        """The examples of each inner step."""
        both = (self.support, self.query) if config.order == "reptile" else (self.support,)
        return [both[k % len(both)] for k in range(config.inner_steps)]


@dataclass(frozen=True, slots=True)
class MetaReport:
    """What a phase of meta-learning did; nothing where there was none."""

    order: str = ""
    episodes: int = 0
    examples: int = 0
    """Support and query examples seen, repetitions counted."""
    seconds: float = 0.0
    work: Work = field(default_factory=Work)
    memory: int = 0
    """Bytes at the peak."""


def draws(languages: Mapping[str, Sequence[int]], config: MetaConfig, seed: int, episode: int) -> list[Draw]:
    """The support and query examples of an episode, without an example in both; the same for the same seed and number.

    Args:
        languages: language -> indices of its examples.
    """
    rng = random.Random(f"{seed} {episode}")
    found = []
    for rows in languages.values():
        chosen = rng.sample(rows, config.support_size + config.query_size)
        found.append(
            Draw(tuple(chosen[: config.support_size]), tuple(chosen[config.support_size :]), rng.getrandbits(48))
        )
    return found


def meta_gradient(optimizer: Optimizer, episode: Sequence[Draw], config: MetaConfig) -> tuple[float, float]:
    """Leave the outer gradient of an episode in the parameters' `grad`, and the parameters as they are.

    Args:
        config: with its `inner_rate` filled in.

    Returns:
        The mean loss of the languages' query examples after adaptation, and of their support examples before it; with Reptile of the
        examples of the last and the first inner step.
    """
    total = [torch.zeros_like(parameter) for parameter in optimizer.parameters]
    after = before = 0.0
    for draw in episode:
        gradient, *losses = _of_language(optimizer, draw, config)
        for whole, part in zip(total, gradient, strict=True):
            whole += part / len(episode)
        after, before = after + losses[0] / len(episode), before + losses[1] / len(episode)
    for parameter, gradient_of_it in zip(optimizer.parameters, total, strict=True):
        parameter.grad = gradient_of_it
    return after, before


@torch.no_grad()
def _of_language(optimizer: Optimizer, draw: Draw, config: MetaConfig) -> tuple[list[Tensor], float, float]:
    """The outer gradient of one language, its loss after adaptation, and before."""
    rate, parameters = config.inner_rate or 0.0, optimizer.parameters
    losses, path = [], [_copies(parameters)]
    for step, rows in enumerate(draw.inner(config)):
        losses.append(_gradients(optimizer, rows, draw.seed + step))
        for parameter in parameters:
            if parameter.grad is not None:
                parameter.sub_(rate * parameter.grad)
        path.append(_copies(parameters))
    if config.order == "reptile":
        gradient = [start - end for start, end in zip(path[0], path[-1], strict=True)]
    else:
        losses.append(_gradients(optimizer, draw.query, draw.seed + config.inner_steps))
        gradient = _grads(parameters)
    for step in reversed(range(config.inner_steps if config.order == "second" else 0)):
        _set(parameters, path[step])
        _gradients(optimizer, draw.support, draw.seed + step, gradient)
        gradient = [g - rate * product for g, product in zip(gradient, _grads(parameters), strict=True)]
    _set(parameters, path[0])
    return gradient, losses[-1], losses[0]


def _gradients(optimizer: Optimizer, rows: Sequence[int], seed: int, times: Sequence[Tensor] | None = None) -> float:
    """As `Optimizer.gradients`, with the same dropout for the same seed: a Hessian is that of the loss whose gradient was taken."""
    device = optimizer.adapted.device
    with torch.random.fork_rng([device] if device.type == "cuda" else []), torch.enable_grad():
        torch.manual_seed(seed)
        return optimizer.gradients(rows, times)


def _copies(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [parameter.detach().clone() for parameter in parameters]


def _grads(parameters: Sequence[Tensor]) -> list[Tensor]:
    return [torch.zeros_like(p) if p.grad is None else p.grad.detach().clone() for p in parameters]


def _set(parameters: Sequence[Tensor], values: Sequence[Tensor]) -> None:
    for parameter, value in zip(parameters, values, strict=True):
        parameter.copy_(value)


class MetaLearning:
    """The phase of meta-learning of a run, from the weights that training in the source languages kept."""

    def __init__(
        self, model: AdaptedModel, examples: Sequence[TokenizedPrompt], run: RunConfig, config: MetaConfig, rate: float, start: int,
    ) -> None:  # fmt: skip
        """Nothing is trained yet.

        Args:
            examples: of the auxiliary languages.
            config: with its `inner_rate` filled in.
            rate: the learning rate of outer steps where `config` has none.
            start: the steps that were made before, from which those of this phase are counted on.
        """
        self.config, self.start, self.seed, self.model = config, start, run.seed, model
        self.languages: dict[str, list[int]] = {}
        for number, item in enumerate(examples):
            self.languages.setdefault(item.prompt.language, []).append(number)
        self.per_episode = len(self.languages) * (config.support_size + config.query_size)
        """Examples."""
        outer = run.train.model_copy(update={
            "learning_rate": config.learning_rate or rate, "epochs": None, "steps": config.episodes, "whole_pass": False,
            "batch_size": self.per_episode,
        })  # fmt: skip
        self.length = Length.of(outer, len(examples), 0)
        self.optimizer = Optimizer(model, examples, outer, self.length)
        self.clock = Stopwatch()
        self.done = 0
        """Episodes."""

    def run(
        self, validation: Validation, reporter: Reporter, log: Callable[[dict[str, Any]], None], save: Callable[[bool], None]
    ) -> None:  # fmt: skip
        """Episode after episode; the last weights are kept.

        Args:
            log: receives one record an episode: `loss` is that after adaptation, `support_loss` that before it.
            save: is called after each episode, with whether it was the last.
        """
        total = self.config.episodes
        validation.keep_last()
        self.model.train()
        with reporter.phase(f"meta-learning in {len(self.languages)} languages", total * self.per_episode) as bar:
            bar.advance(self.done * self.per_episode)
            while self.done < total:
                record = self._episode()
                self.done += 1
                log({"step": self.start + self.done, **record})
                bar.advance(
                    self.per_episode, f"loss {record['loss']:.3f}, {record['support_loss']:.3f} before adapting"
                )
                if self.done in self.length.validated and validation:
                    validation.measure(self.start + self.done)
                save(self.done == total)
        self.model.eval()

    def _episode(self) -> dict[str, float]:
        with self.clock:
            after, before = meta_gradient(
                self.optimizer, draws(self.languages, self.config, self.seed, self.done), self.config
            )
            return {**self.optimizer.update(after), "support_loss": before}

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of the phase."""
        return {
            "episodes": self.done,
            "seconds": self.clock.seconds,
            **self.optimizer.state(self.done == self.config.episodes),
        }

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.optimizer.load(dict(state))
        self.done, self.clock.seconds = state["episodes"], state["seconds"]

    def report(self) -> MetaReport:
        """What was done."""
        optimizer = self.optimizer
        return MetaReport(
            self.config.order,
            self.done,
            self.done * self.per_episode,
            self.clock.seconds,
            optimizer.work(),
            optimizer.memory(),
        )


def require_possible(model: AdaptedModel, config: TrainConfig) -> None:
    """Refuse meta-learning that cannot be done before anything is trained; nothing where none is asked for.

    Raises:
        ConfigError: if what was asked cannot be differentiated twice, or weights are sharded.
    """
    if config.meta is None:
        return
    if processes().sharded:
        raise ConfigError(
            "train.meta: weights are sharded over processes, which is not supported; start the run without FSDP"
        )
    if config.meta.order != "second":
        return
    if model.config._attn_implementation.endswith("flex_attention"):
        raise ConfigError(
            "train.meta.order second: flex_attention cannot be differentiated twice; "
            "take --set runtime.attention=sdpa, or --set train.meta.order=first"
        )
    if config.gradient_checkpointing:
        raise ConfigError(
            "train.meta.order second: gradient_checkpointing recomputes what is differentiated twice, which is not supported; "
            "leave it out, or take --set train.meta.order=first"
        )
