"""The state in which `attach` found a model, and how `detach` gives it back.

What an adapter may change: submodules (LoRA's layers stand in place of linear ones), `requires_grad`, training mode, gradient checkpointing,
the head's fast path, the attention implementation, and with full fine-tuning the weights themselves.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from polyprefix.models.head import release_head
from polyprefix.prefix import AttentionHook

ATTACHED = "_polyprefix_attached"
"""The attribute of a model that holds its `Attachments`."""
CHECKPOINTING = ("gradient_checkpointing", "_gradient_checkpointing_func")


class Original:
    """The modules, flags and attributes of a model at one moment."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self._children = [(module, dict(module._modules), module.training) for module in model.modules()]
        self._flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
        self._attributes = set(model.__dict__)
        self._checkpointing = [
            (module, {name: module.__dict__[name] for name in CHECKPOINTING if name in module.__dict__})
            for module in model.modules()
        ]
        self._weights: list[tuple[nn.Parameter, Tensor]] = []
        self._buffers: list[tuple[nn.Module, dict[str, Tensor | None]]] = []

    def keep_weights(self) -> None:
        """Keep the values of all weights: a copy of those in float32; others are replaced by training in float32, and stay as they are."""
        parameters = [parameter for parameter, _ in self._flags]
        self._weights = [(p, p.data.clone() if p.dtype == torch.float32 else p.data) for p in parameters]
        self._buffers = [(module, dict(module._buffers)) for module, _, _ in self._children]

    def restore(self) -> None:
        """Give the model back as it was, but for its attention, which is the hook's."""
        for module, modules, training in self._children:
            module._modules.clear()
            module._modules.update(modules)
            module.training = training
        for parameter, value in self._weights:
            parameter.data = value
        for module, buffers in self._buffers:
            module._buffers.update(buffers)
        for parameter, flag in self._flags:
            parameter.requires_grad_(flag)
            parameter.grad = parameter.grad if flag else None
        for module, values in self._checkpointing:
            for name in CHECKPOINTING:
                module.__dict__.pop(name, None)
            module.__dict__.update(values)
        for name in set(self.model.__dict__) - self._attributes:  # PEFT's and ours
            del self.model.__dict__[name]

    @contextmanager
    def restored_on_failure(self) -> Iterator[None]:
        """If the block fails, the model is as it was before, with its own attention if it had it."""
        hooked = AttentionHook.on(self.model) is not None
        try:
            yield
        except BaseException:
            hook = AttentionHook.on(self.model)
            if hook is not None and not hooked:
                hook.remove()
            self.restore()
            raise


class Attachments:
    """The adapters of one model, and the model as the first of them found it."""

    def __init__(self, original: Original) -> None:
        self.original = original
        self.adapters: WeakSet[nn.Module] = WeakSet()
        """Those that are in use; one that nobody holds any more needs nothing from the model."""

    def __deepcopy__(self, memo: dict[int, Any]) -> Attachments:
        """Of a copy of the model, which has no adapters yet."""
        import copy

        return Attachments(copy.deepcopy(self.original, memo))

    @classmethod
    def on(cls, model: nn.Module) -> Attachments | None:
        """The model's, if an adapter was ever attached and not detached."""
        found: Attachments | None = model.__dict__.get(ATTACHED)
        return found

    def others(self) -> int:
        """How many adapters are in use."""
        if self.adapters:
            gc.collect()  # what nobody can reach may still be in a cycle
        return len(self.adapters)

    def leave(self, adapted: nn.Module) -> None:
        """One adapter is detached; after the last one the model is its original self."""
        self.adapters.discard(adapted)
        if self.adapters:
            return
        model: Any = self.original.model
        release_head(model)
        if hook := AttentionHook.on(model):
            hook.remove()
        self.original.restore()
