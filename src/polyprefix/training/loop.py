"""Training: one loop for every method.

    loss = mean over the examples of a step of the mean over an answer's tokens of -log p(token | prompt)

AdamW with warm-up and decay, gradients clipped, the head only where an answer is predicted, what prompts share computed once a batch.
Several processes share the passes of a step (polyprefix.engine.processes). English validation picks the weights that are kept.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass, field, replace
from itertools import islice
from typing import Any

import torch
from torch import Tensor, nn
from torch.distributed.tensor import DTensor

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.config import RunConfig, TrainConfig
from polyprefix.engine import batch as tensors
from polyprefix.engine.cost import Stopwatch, peak_memory_bytes
from polyprefix.engine.flop_counter import Meter, Work
from polyprefix.engine.memory import out_of_memory, release, token_budget, too_large
from polyprefix.engine.processes import Processes, clip, processes, split_like
from polyprefix.errors import TrainingError
from polyprefix.evaluation.loglikelihood import loglikelihood
from polyprefix.models.head import most_positions
from polyprefix.models.sharded import whole
from polyprefix.prefix import TokenTree
from polyprefix.progress import Reporter
from polyprefix.text.batches import by_token_budget, steps
from polyprefix.text.tokens import TokenizedPrompt, common_prefix_length
from polyprefix.training.activation_cache import activation_cache
from polyprefix.training.checkpoint import Checkpoint


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
    memory: int = 0
    """Bytes at the peak, before an interruption too."""
    first_step: float | None = None
    """`time.perf_counter()` when the first step was done."""
    best_step: int = 0
    """The step whose weights were kept."""
    best_validation: float | None = None
    """Accuracy on English validation examples there; None without any, or without choices."""
    resumed_at: int | None = None
    """The step after which an interrupted training went on; None where it was not interrupted."""


@dataclass(slots=True)
class _Best:
    step: int = 0
    rank: tuple[float, float] = (-1.0, -math.inf)
    """Accuracy, then mean log-likelihood of the right answer."""
    weights: dict[str, Tensor] | None = None

    def state(self) -> dict[str, Any]:
        """Plain values for a checkpoint."""
        weights = {name: whole(weight) for name, weight in (self.weights or {}).items()}
        return {"step": self.step, "rank": self.rank, "weights": weights or None}


def train(
    model: AdaptedModel,
    examples: Sequence[TokenizedPrompt],
    validation: Sequence[TokenizedPrompt],
    run: RunConfig,
    *,
    reporter: Reporter,
    log: Callable[[dict[str, Any]], None],
    checkpoint: Checkpoint | None = None,
) -> TrainReport:
    """Train the adapter in place and leave it with the best weights.

    Args:
        examples, validation: English, tokenised.
        run: its training settings, with every `None` filled in from the method's defaults, and its seed.
        log: receives one record a step and one a validation.
        checkpoint: where an interrupted training goes on from, and where this one is kept.

    Raises:
        TrainingError: if the loss is no longer a number.
    """
    config = run.train
    if not run.trains:
        return TrainReport()
    per_step = min(config.batch_size, len(examples))
    total = config.total_steps(len(examples))
    validated = {round(total * (n + 1) / config.validations) for n in range(config.validations)}
    if config.gradient_checkpointing:
        _checkpoint(model.model)
    torch.manual_seed(run.seed)  # of dropout
    optimizer = Optimizer(model, examples, config, total)
    clock, best, first = Stopwatch(), _Best(), 0.0
    done = _resume(checkpoint, optimizer, best, clock) if checkpoint else 0
    model.train()
    with reporter.phase("train", total * per_step) as bar:
        bar.advance(done * per_step)
        for step, rows in enumerate(
            islice(steps(len(examples), per_step, total, run.seed), done, None), start=done + 1
        ):
            with clock:
                record = optimizer.step(rows)
            first = first or time.perf_counter()
            log({"step": step, **record})
            _require_numbers(record, step, total)
            bar.advance(per_step, f"loss {record['loss']:.3f}, {step * per_step / clock.seconds:.1f} examples/s")
            if validation and step in validated:
                _validate(model, validation, run.eval.token_budget, step, best, log)
            if checkpoint and optimizer.processes.agree(step == total or checkpoint.due()):
                state = {"step": step, "best": best.state(), "seconds": clock.seconds, **optimizer.state(step == total)}
                if optimizer.processes.main:
                    checkpoint.save(state)
    if best.weights is not None:
        _restore(model.trainable(), best.weights)
    model.eval()
    accuracy = best.rank[0] if validation and all(item.choices for item in validation) else None
    return TrainReport(
        total, total * per_step, clock.seconds, optimizer.work(), optimizer.memory(), None if done else first,
        best.step or total, accuracy, done or None,
    )  # fmt: skip


def _resume(checkpoint: Checkpoint, optimizer: Optimizer, best: _Best, clock: Stopwatch) -> int:
    """Go back to the checkpoint, if there is one; returns the number of steps that are done."""
    with optimizer.processes.main_first():
        state = checkpoint.load(optimizer.adapted.device)
    if state is None:
        return 0
    optimizer.load(state)
    kept = state["best"]
    best.step, best.rank, best.weights = kept["step"], tuple(kept["rank"]), kept["weights"]
    clock.seconds = state["seconds"]
    return int(state["step"])


class Optimizer:
    """Optimiser steps of a fixed number of examples, however many forward passes they take."""

    def __init__(
        self, model: AdaptedModel, examples: Sequence[TokenizedPrompt], config: TrainConfig, total: int
    ) -> None:
        self.adapted = model
        self.config = config
        self.trainable = model.trainable()
        self.parameters = [parameter for _, parameter in self.trainable]
        self.lengths = [len(item.ids) + len(item.target) - 1 for item in examples]
        """Tokens of each example that go through the model; the answer's last one does not."""
        apart = len(model.hook.lengths.passes([(n, n) for n in self.lengths])) > 1
        common = common_prefix_length([item.ids for item in examples])
        self.shared = 0 if apart else model.shareable(common, max(self.lengths))
        self.trees = [TokenTree(item.ids[self.shared :], [item.target]) for item in examples]
        # At the head of a packed row one product serves all; where most trees are shorter, attention's rows would widen.
        # One answer for all passes: processes that share a model's weights must call its layers equally often.
        in_row = model.hook.supports_packing() and self.shared <= statistics.median(tree.size for tree in self.trees)
        head = examples[0].ids[: self.shared]
        common_prefix = torch.tensor(head, device=model.device)
        self.head: tuple[int, ...] = head if in_row else ()
        self.apart: Tensor | None = None if in_row else common_prefix
        self.meter = Meter(model, self.shared, training=True)
        self.budget = token_budget(model, config.token_budget, training=True, shared=len(self.head))
        self.processes: Processes = processes()
        self.lower = activation_cache(
            model, self.trees, common_prefix, in_row=in_row, lowest=self.meter.shape.lowest,
            wanted=config.cache_lower_layers, again=total * min(config.batch_size, len(examples)) > len(examples),
        )  # fmt: skip
        self.meter.start = self.meter.shape.lowest if self.lower else 0
        kinds = ([p for p in self.parameters if isinstance(p, DTensor) == sharded] for sharded in (False, True))
        groups = [{"params": kind} for kind in kinds if kind]  # AdamW takes whole and sharded ones one after the other
        self.adamw = torch.optim.AdamW(
            groups, lr=config.learning_rate or 0.0, weight_decay=config.weight_decay or 0.0,
            fused=model.device.type in ("cpu", "cuda"),  # one pass over moments and weights instead of a dozen
        )  # fmt: skip
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.adamw, lambda step: _schedule(config, step, total))
        self.earlier_memory = 0

    def work(self) -> Work:
        """What was counted so far, in all processes and before an interruption too."""
        total = Work()
        for part in self.processes.gather(self.meter.work):
            total += part
        return total

    def memory(self) -> int:
        """Bytes at the peak so far, before an interruption too."""
        return max(self.earlier_memory, peak_memory_bytes(self.adapted.device))

    def state(self, last: bool) -> dict[str, Any]:
        """All that the next step depends on but the random numbers; after the last step that is the weights alone."""
        weights = {name: whole(parameter.detach()) for name, parameter in self.trainable}
        state = {"weights": weights, "work": asdict(self.work()), "memory": self.memory(), "budget": self.budget}
        if last:
            return state
        moments = self._each(self.adamw.state_dict(), lambda value, _: whole(value))
        groups = self.lower.groups if self.lower else []
        return {**state, "adamw": moments, "schedule": self.schedule.state_dict(), "groups": groups}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        _restore(self.trainable, state["weights"])
        if "adamw" in state:
            self.adamw.load_state_dict(self._each(state["adamw"], split_like))
            self.schedule.load_state_dict(state["schedule"])
        if self.lower:
            self.lower.load(state.get("groups", []))
        self.earlier_memory = state["memory"]
        self.budget = state["budget"]  # which depends on free memory, and decides which rows are added up first
        if self.processes.main:
            self.meter.work = Work(**state["work"])

    def _each(self, state: dict[str, Any], change: Callable[[Tensor, Tensor], Tensor]) -> dict[str, Any]:
        """AdamW's state with every tensor changed; the parameter that it belongs to is given along."""
        parameters = [parameter for group in self.adamw.param_groups for parameter in group["params"]]
        moments = {
            number: {key: change(value, parameters[number]) for key, value in values.items()}
            for number, values in state["state"].items()
        }
        return {**state, "state": moments}

    def step(self, rows: Sequence[int]) -> dict[str, float]:
        """One optimiser step over the examples at these indices: their mean loss, the gradient's norm before clipping, the rate."""
        loss = self._gradients(rows)
        loss = self.processes.sum_gradients(self.parameters, loss)
        norm = clip(self.parameters, self.config.max_grad_norm)
        record = {"loss": loss, "gradient_norm": norm, "learning_rate": float(self.schedule.get_last_lr()[0])}
        for parameter in self.parameters:  # the fused update on a CPU reads them in memory order, without a check
            gradient = parameter.grad
            if gradient is not None and gradient.stride() != parameter.stride():
                parameter.grad = torch.empty_like(parameter).copy_(gradient)
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)
        self.schedule.step()
        return record

    def _gradients(self, rows: Sequence[int]) -> float:
        """The mean loss, with its gradients; where memory is short, all of it again in smaller passes.

        Raises:
            ModelError: if a single sequence does not fit.
        """
        while True:
            try:
                return self._in_passes(rows)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or self.processes.sharded:  # the others wait for this pass
                    raise
                largest = max(self.trees[row].size for row in rows)
                if self.budget < largest:
                    raise too_large(largest, self.adapted.device) from error
            self.adamw.zero_grad(set_to_none=True)  # a pass may have failed half-way
            self.budget //= 2
            release(self.adapted.device)

    def _in_passes(self, rows: Sequence[int]) -> float:
        loss = 0.0
        for part, weight in self.processes.mine(self._passes(rows)):
            chosen = [rows[i] for i in part]
            trees = [self.trees[row] for row in chosen]
            inputs = tensors.batch(trees, self.adapted, self.head)
            with self._lower_layers(chosen, inputs):
                value = self._loss(inputs) * (weight / len(rows))
            value.backward()
            loss += value.item()
            if weight:
                self.meter.count(trees, inputs.input_ids.numel() - len(self.head))
        return loss

    def _lower_layers(self, rows: Sequence[int], inputs: tensors.Batch) -> AbstractContextManager[None]:
        """The pass over these trees inside begins above the lower layers, where what they give is kept."""
        if self.lower is None:
            return nullcontext()
        self.meter.count_below([self.trees[row] for row in self.lower.visit(rows)])
        return self.lower.skipped(rows, inputs)

    def _passes(self, rows: Sequence[int]) -> list[list[int]]:
        """Which of these rows go through the model together, as indices of `rows`."""
        groups = self.adapted.hook.lengths.passes([(self.lengths[row], self.lengths[row]) for row in rows])
        batches = [[group[i] for i in part] for group in groups for part in self._batches([rows[i] for i in group])]
        return batches

    def _batches(self, rows: Sequence[int]) -> list[list[int]]:
        trees = [self.trees[row] for row in rows]
        sizes = [tree.size for tree in trees]
        share = math.ceil(sum(sizes) / self.processes.count)  # so that every process has something to do
        return by_token_budget(
            sizes,
            min(self.budget, share) if self.processes.count > 1 else self.budget,
            answers=[tree.logit_positions for tree in trees],
            most_answers=most_positions(self.adapted.model),
            padded=None if self.adapted.hook.supports_packing() else tensors.SIMILAR,
        )

    def _loss(self, inputs: tensors.Batch) -> Tensor:
        """Sum over trees of the mean negative log-likelihood of the answer's tokens."""
        logits = inputs.logits(self.adapted, common_prefix=self.apart)
        return -(inputs.sums(inputs.log_likelihoods(logits)) / inputs.counts()).sum()


def _checkpoint(model: Any) -> None:
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
    validation: Sequence[TokenizedPrompt],
    budget: int | None,
    step: int,
    best: _Best,
    log: Callable[[dict[str, Any]], None],
) -> None:
    """Measure the right answers' likelihood, and how often they are the likeliest where there are choices; keep the best weights."""
    ranked = loglikelihood(
        model, [replace(item, choices=item.choices or (item.target,)) for item in validation], budget
    )
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
        parameter.copy_(split_like(weights[name], parameter))
