"""Optimiser steps of AdamW: gradients over as many forward passes as memory asks for, clipped, the head only where an answer is predicted.

What prompts share is computed once a batch. Several processes share the passes of a step (polyprefix.engine.processes).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from typing import Any

import torch
from torch import Tensor
from torch.distributed.tensor import DTensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.config import TrainConfig
from polyprefix.engine import batch as tensors
from polyprefix.engine.cost import peak_memory_bytes
from polyprefix.engine.flop_counter import Meter, Work
from polyprefix.engine.memory import out_of_memory, release, token_budget, too_large
from polyprefix.engine.processes import Processes, clip, processes, split_like
from polyprefix.models.head import most_positions
from polyprefix.models.sharded import whole
from polyprefix.prefix import TokenTree
from polyprefix.text.batches import by_token_budget
from polyprefix.text.tokens import TokenizedPrompt, common_prefix_length
from polyprefix.training.activation_cache import activation_cache
from polyprefix.training.length import Length


class Optimizer:
    """Optimiser steps of a fixed number of examples, however many forward passes they take."""

    def __init__(
        self, model: AdaptedModel, examples: Sequence[TokenizedPrompt], config: TrainConfig, length: Length
    ) -> None:
        self.adapted = model
        self.config, self.length = config, length
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
            wanted=config.cache_lower_layers, again=length.total * min(config.batch_size, len(examples)) > len(examples),
        )  # fmt: skip
        self.meter.start = self.meter.shape.lowest if self.lower else 0
        kinds = ([p for p in self.parameters if isinstance(p, DTensor) == sharded] for sharded in (False, True))
        groups = [{"params": kind} for kind in kinds if kind]  # AdamW takes whole and sharded ones one after the other
        self.adamw = torch.optim.AdamW(
            groups, lr=config.learning_rate if isinstance(config.learning_rate, float) else 0.0, weight_decay=config.weight_decay or 0.0,
            betas=config.betas,
            fused=model.device.type in ("cpu", "cuda"),  # one pass over moments and weights instead of a dozen
        )  # fmt: skip
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.adamw, lambda step: length.rate(config, step))
        self.earlier_memory = 0

    def work(self) -> Work:
        """What was counted so far, in all processes and before an interruption too."""
        total = Work()
        for part in self.processes.gather(self.meter.work):
            total += part
        return total

    @property
    def peak_rate(self) -> float:
        """The learning rate at the end of the warm-up."""
        return float(self.schedule.base_lrs[0])

    def memory(self) -> int:
        """Bytes at the peak so far, before an interruption too."""
        return max(self.earlier_memory, peak_memory_bytes(self.adapted.device))

    def state(self, last: bool) -> dict[str, Any]:
        """All that the next step depends on but the random numbers; after the last step that is the weights alone."""
        weights = {name: whole(parameter.detach()) for name, parameter in self.trainable}
        state = {
            "weights": weights,
            "peak_rate": self.peak_rate,
            "work": asdict(self.work()),
            "memory": self.memory(),
            "budget": self.budget,
        }
        if last:
            return state
        moments = self._each(self.adamw.state_dict(), lambda value, _: whole(value))
        groups = self.lower.groups if self.lower else []
        return {**state, "adamw": moments, "schedule": self.schedule.state_dict(), "groups": groups}

    def load(self, state: dict[str, Any]) -> None:
        """Take over what `state` gave."""
        with torch.no_grad():
            for name, parameter in self.trainable:
                parameter.copy_(split_like(state["weights"][name], parameter))
        if "adamw" in state:
            self.adamw.load_state_dict(self._each(state["adamw"], split_like))
            self.schedule.load_state_dict(state["schedule"])
        else:
            self.begin_at(state["peak_rate"])  # for the report: there is no further step
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

    def begin_at(self, rate: float) -> None:
        """Take another peak rate before the first step."""
        self.schedule.base_lrs = [rate] * len(self.adamw.param_groups)
        for group in self.adamw.param_groups:
            group["initial_lr"], group["lr"] = rate, rate * self.length.rate(self.config, 0)

    def step(self, rows: Sequence[int], rate: float | None = None) -> dict[str, float]:
        """One optimiser step over the examples at these indices: their mean loss, the gradient's norm before clipping, the rate.

        Args:
            rate: the learning rate of this step in place of the schedule's.
        """
        for group in self.adamw.param_groups if rate is not None else ():
            group["lr"] = rate
        return self.update(self.gradients(rows))

    def gradients(self, rows: Sequence[int], times: Sequence[Tensor] | None = None) -> float:
        """The mean loss of the examples at these indices, over all processes; its gradient is left in the parameters' `grad`.

        Args:
            rows: indices of examples.
            times: one tensor for each parameter, of its shape. The product of the loss's Hessian and this vector then takes the place of
                the gradient. `grad` is cleared before.

        Raises:
            ModelError: if a single sequence does not fit into memory.
        """
        self.adamw.zero_grad(set_to_none=True)
        loss = self._gradients(rows, times)
        return self.processes.sum_gradients(self.parameters, loss)

    def update(self, loss: float) -> dict[str, float]:
        """One step of AdamW along the gradients that are there, clipped.

        Args:
            loss: for the record that is returned, with the gradient's norm before clipping and the rate.
        """
        norm = clip(self.parameters, self.config.max_grad_norm)
        record = {"loss": loss, "gradient_norm": norm, "learning_rate": float(self.adamw.param_groups[0]["lr"])}
        for parameter in self.parameters:  # the fused update on a CPU reads them in memory order, without a check
            gradient = parameter.grad
            if gradient is not None and gradient.stride() != parameter.stride():
                parameter.grad = torch.empty_like(parameter).copy_(gradient)
        self.adamw.step()
        self.adamw.zero_grad(set_to_none=True)
        self.schedule.step()
        return record

    def _gradients(self, rows: Sequence[int], times: Sequence[Tensor] | None) -> float:
        """The mean loss, with its gradients or a product of its Hessian; where memory is short, all of it again in smaller passes.

        Raises:
            ModelError: if a single sequence does not fit.
        """
        while True:
            try:
                return self._in_passes(rows, times)
            except (RuntimeError, MemoryError) as error:
                if not out_of_memory(error) or self.processes.sharded:  # the others wait for this pass
                    raise
                largest = max(self.trees[row].size for row in rows)
                if self.budget < largest:
                    raise too_large(largest, self.adapted.device) from error
            self.adamw.zero_grad(set_to_none=True)  # a pass may have failed half-way
            self.budget //= 2
            release(self.adapted.device)

    def _in_passes(self, rows: Sequence[int], times: Sequence[Tensor] | None) -> float:
        loss = 0.0
        for part, weight in self.processes.mine(self._passes(rows)):
            chosen = [rows[i] for i in part]
            trees = [self.trees[row] for row in chosen]
            inputs = tensors.batch(trees, self.adapted, self.head)
            with self._lower_layers(chosen, inputs), nullcontext() if times is None else sdpa_kernel(SDPBackend.MATH):
                value = self._loss(inputs) * (weight / len(rows))
            (value if times is None else self._along(value, times)).backward()
            loss += value.item()
            for _ in range(
                0 if not weight else 1 if times is None else 2
            ):  # a product with the Hessian is two gradients
                self.meter.count(trees, inputs.input_ids.numel() - len(self.head))
        return loss

    def _along(self, loss: Tensor, times: Sequence[Tensor]) -> Tensor:
        """The derivative of a loss along a direction: its gradient is the Hessian times that direction (Pearlmutter 1994)."""
        gradients = torch.autograd.grad(loss, self.parameters, create_graph=True, materialize_grads=True)
        return torch.stack([(g * t).sum() for g, t in zip(gradients, times, strict=True)]).sum()

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
