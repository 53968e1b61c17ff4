"""Several processes that train and evaluate one model; accelerate starts them (`accelerate launch`), this says who does what.

    replicated (DDP)    every process holds the model and computes some rows of a step; gradients are summed once a step
    sharded (FSDP2)     each process also holds only its share of every layer's weights, which are gathered while the layer is computed

An adapter's own parameters are few, so every process holds all of them, and what is saved needs no merging. Where the layers themselves are
trained, they are sharded with their gradients and moments, and merged when they are saved. A sharded layer's attention stays whole as
long as it is frozen: prefixes are projected through it outside of the layer's own forward pass. The last layer stays whole: of a text that is
read as a prefix only its keys and values are used there, so no gradient reaches its output, which is what has weights gathered again.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import mark_changed
from polyprefix.models.sharded import whole

Value = TypeVar("Value")


class Processes:
    """This process among those that work on the same run."""

    def __init__(self, rank: int = 0, count: int = 1, sharded: bool = False) -> None:
        self.rank = rank
        self.count = count
        self.sharded = sharded

    @property
    def main(self) -> bool:
        """Whether this one writes."""
        return self.rank == 0

    def agree(self, value: Value) -> Value:
        """The main process's value, in all."""
        if self.count == 1:
            return value
        box = [value]
        dist.broadcast_object_list(box)
        return box[0]

    def gather(self, value: Value) -> list[Value]:
        """Every process's value, in all."""
        if self.count == 1:
            return [value]
        found: list[Any] = [None] * self.count
        dist.all_gather_object(found, value)
        return found

    @contextmanager
    def main_first(self) -> Iterator[None]:
        """The main process does the block while the others wait, then they do it."""
        if self.count > 1 and not self.main:
            dist.barrier()
        yield
        if self.count > 1 and self.main:
            dist.barrier()

    def mine(self, parts: Sequence[Value]) -> list[tuple[Value, float]]:
        """The parts of a step that this process computes, and their weight.

        Sharded layers are gathered by all processes together, so all compute equally many parts: some again, without weight.
        """
        own: list[tuple[Value, float]] = [(part, 1.0) for part in parts[self.rank :: self.count]]
        most = -(-len(parts) // self.count)
        return own + [(parts[0], 0.0)] * (most - len(own)) if self.sharded else own

    def sum_gradients(self, parameters: Sequence[nn.Parameter], losses: float) -> float:
        """Add up the gradients of parameters that every process holds; returns the sum of `losses`."""
        if self.count == 1:
            return losses
        whole = [p for p in parameters if not isinstance(p, DTensor)]
        grads = [torch.zeros_like(p) if p.grad is None else p.grad for p in whole]
        device = parameters[0].device
        flat = torch.cat([*(grad.flatten().float() for grad in grads), torch.tensor([losses], device=device)])
        dist.all_reduce(flat)
        for parameter, part in zip(whole, flat[:-1].split([p.numel() for p in whole]), strict=True):
            parameter.grad = part.view_as(parameter)
        return float(flat[-1])

    def shard(self, model: AdaptedModel) -> None:
        """Split the weights of every layer but the last over the processes, in place."""
        if not self.sharded:
            return
        kind = "cuda" if torch.cuda.is_available() else "cpu"
        mesh = init_device_mesh(kind, (self.count,))
        trained = {id(parameter) for _, parameter in model.trainable()}
        names = {module: name for name, module in model.model.named_modules()}
        for attention in model.hook.modules[:-1]:
            layer = model.model.get_submodule(names[attention].rpartition(".")[0])
            kept: set[nn.Parameter] = set()
            if not all(id(parameter) in trained for parameter in layer.parameters()):
                kept = {p for p in layer.parameters() if id(p) in trained} | set(attention.parameters())
            # whole again only while it is computed, although each layer is the root of its own group
            sharded: FSDPModule = fully_shard(layer, mesh=mesh, reshard_after_forward=True, ignored_params=kept)
            sharded.set_force_sum_reduction_for_comms(True)  # the only one that gloo knows
            sharded.set_gradient_divide_factor(1.0)  # gradients are those of sums over the rows of a step
        mark_changed(model.base, "sharded")
        model.to(torch.device(kind, torch.cuda.current_device()) if kind == "cuda" else "cpu")


ALONE = Processes()


@cache
def processes() -> Processes:
    """This process as accelerate's launcher started it; alone where it did not."""
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        return ALONE
    from accelerate import PartialState

    state = PartialState(cpu=not torch.cuda.is_available())
    sharded = os.environ.get("ACCELERATE_USE_FSDP", "false").lower() in ("true", "1", "yes")
    return Processes(state.process_index, state.num_processes, sharded)


def split_like(whole: Tensor, like: Tensor) -> Tensor:
    """A whole tensor sharded as another one is."""
    if not isinstance(like, DTensor) or whole.ndim == 0:
        return whole
    return distribute_tensor(whole.to(like.device), like.device_mesh, like.placements)


def clip(parameters: Sequence[nn.Parameter], largest: float) -> float:
    """Scale gradients down to a norm, over whole and sharded ones together; returns the norm before."""
    kinds = [[p for p in parameters if isinstance(p, DTensor) == sharded] for sharded in (False, True)]
    norms = [whole(nn.utils.get_total_norm([p.grad for p in kind if p.grad is not None])) for kind in kinds if kind]
    total = torch.linalg.vector_norm(torch.stack(norms)) if len(norms) > 1 else norms[0]
    for kind in kinds:
        nn.utils.clip_grads_with_norm_(kind, largest, total)
    return float(total)
