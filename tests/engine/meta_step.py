"""One optimiser step of a published shape on torch's meta device, with every operation watched: where tensors are, and what is held.

A meta tensor has a shape, a precision and a device, and no values. A step on it calls what a step on a GPU calls. What a machine without
one cannot do is put in here: a number that is read back is 1, attention and AdamW are the kernels that CUDA chooses (memory-efficient
attention, the fused update), and what probes of the architecture find comes from a small model of the same class.
"""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from importlib import import_module
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import AutoModelForCausalLM, LlamaConfig

from polyprefix.models.facts import Facts
from polyprefix.models.load import BaseModel
from polyprefix.prefix import AttentionHook
from polyprefix.prefix.limits import measure_limits
from polyprefix.testing.tiny import tiny_base

adam: Any = import_module("torch.optim.adam")
ATTENTION = torch.ops.aten._scaled_dot_product_efficient_attention
COPIES = {torch.ops.aten._to_copy.default, torch.ops.aten.copy_.default}
FUSED = torch.ops.aten._fused_adamw_.default
READS = {torch.ops.aten._local_scalar_dense.default}
ALIGNED = 8
"""Columns to which the kernel pads a mask."""


class Kernel(TorchFunctionMode):
    """Attention as on a GPU: a boolean mask becomes a bias in the precision of the queries, padded to a multiple of 8 columns."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func is not functional.scaled_dot_product_attention or not args[0].is_meta:
            return func(*args, **kwargs)
        q, k, v, *more = args
        bias = kwargs.get("attn_mask", more[0] if more else None)
        if bias is not None and bias.dtype == torch.bool:
            bias = q.new_zeros(bias.shape).masked_fill(~bias, float("-inf"))
        if bias is not None:
            short = -bias.shape[-1] % ALIGNED
            bias = (functional.pad(bias, (0, short))[..., : bias.shape[-1]] if short else bias).expand(
                *q.shape[:3], k.shape[2]
            )
        if k.shape[1] != q.shape[1]:  # grouped queries
            k, v = (states.repeat_interleave(q.shape[1] // k.shape[1], 1) for states in (k, v))
        return ATTENTION(q, k, v, bias, True, 0.0, bool(kwargs.get("is_causal")), scale=kwargs.get("scale"))[0]


class Watch(TorchDispatchMode):
    """Sees every operation: names those that leave the device, and counts the bytes that are held."""

    def __init__(self, held: Sequence[Tensor] = ()) -> None:
        super().__init__()
        self.faults: Counter[str] = Counter()
        self.bytes = self.most = 0
        self._seen: set[int] = set()
        self.hold(held)

    def hold(self, tensors: Sequence[Any]) -> None:
        """Count the storage of tensors from now until it is given back."""
        for tensor in tensors:
            if not isinstance(tensor, Tensor) or not tensor.is_meta:
                continue
            storage = tensor.untyped_storage()
            key, size = storage._cdata, storage.nbytes()
            if key in self._seen:
                continue
            self._seen.add(key)
            self.bytes += size
            self.most = max(self.most, self.bytes)
            weakref.finalize(storage, self._give_back, key, size)

    def _give_back(self, key: int, size: int) -> None:
        self._seen.discard(key)
        self.bytes -= size

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        given = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, Tensor)]
        if func in READS and given[0].is_meta:
            return 1.0
        if func is FUSED:  # in place, and without temporary tensors
            return None
        out = func(*args, **kwargs)
        made = [leaf for leaf in tree_leaves(out) if isinstance(leaf, Tensor)]
        self._check(str(func), func in COPIES, given, made)
        self.hold(made)
        return out

    def _check(self, name: str, copies: bool, given: Sequence[Tensor], made: Sequence[Tensor]) -> None:
        """Layouts are laid out on the CPU in whole numbers; numbers of the model never are, and the two meet in copies alone."""
        if any(not t.is_meta and t.is_floating_point() and t.ndim for t in made):
            self.faults[f"{name} made a floating-point tensor on the CPU"] += 1
        devices = {t.device.type for t in given if t.ndim} | (
            {t.device.type for t in made if t.ndim} if given else set()
        )
        if len(devices) > 1 and not copies:
            self.faults[f"{name} met tensors on {sorted(devices)}"] += 1


@contextmanager
def fused(optimizer: torch.optim.Optimizer) -> Iterator[None]:
    """Inside, AdamW takes the fused update, as on a GPU."""
    for group in optimizer.param_groups:
        group |= {"fused": True, "foreach": False}
    asked = adam._device_dtype_check_for_fused
    adam._device_dtype_check_for_fused = lambda *args, **kwargs: None
    try:
        yield
    finally:
        adam._device_dtype_check_for_fused = asked


@contextmanager
def facts_of(name: str) -> Iterator[None]:
    """Inside, probes are answered by what they find on a small model."""
    hook = AttentionHook.of(tiny_base(name).model)
    known: dict[str, Any] = {
        "serves_exactly": True,
        "takes_rows": hook.supports_packing(),
        "keeps_packed_sequences_apart": hook.isolates_packed_sequences(),
        "caches_what_it_attends_to": hook.caches_what_it_attends_to(),
        "limits": asdict(measure_limits(hook)),
    }
    asked = Facts.recall
    Facts.recall = lambda self, question, ask: known[question]  # type: ignore[method-assign,assignment]
    try:
        yield
    finally:
        Facts.recall = asked  # type: ignore[method-assign]


def on_meta(config: Any, dtype: torch.dtype) -> BaseModel:
    """A model of this shape without weights."""
    small = tiny_base("llama-gqa-tied" if isinstance(config, LlamaConfig) else "mistral-small-shape")
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=dtype, attn_implementation="sdpa")
    return BaseModel("meta", model.eval().requires_grad_(False), small.tokenizer, small.identity)
