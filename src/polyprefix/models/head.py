"""Both ends of a language model: the table of embeddings, and the head, called with what it computes fast on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

LARGEST = 1 << 26
"""Logits in one batch: 256 MB in float32. A vocabulary of 262,144 allows 256 rows."""
COLUMNS = 4096
"""Of the vocabulary, normalised at a time on a CPU, so that what lies between stays in its cache."""


def keep_contiguous(model: Any) -> None:
    """Give the head contiguous hidden states, and only those that `only_at` asks for; on a CPU, compute it vocabulary first.

    A slice of the last positions is not contiguous, and `F.linear` then falls back to a batched product that copies the head's
    weight for every row: seconds instead of hundredths for a large vocabulary.
    """
    head = model.get_output_embeddings()
    if head is not None and not getattr(head, "_polyprefix_contiguous", False):
        head.register_forward_pre_hook(_contiguous_input)
        head._polyprefix_contiguous = True
        if _is_plain(head):
            head.forward = partial(_vocabulary_first, head, head.forward)


def release_head(model: Any) -> None:
    """Undo `keep_contiguous`."""
    head = model.get_output_embeddings()
    if head is None or not getattr(head, "_polyprefix_contiguous", False):
        return
    for key in [key for key, hook in head._forward_pre_hooks.items() if hook is _contiguous_input]:
        del head._forward_pre_hooks[key]
    for name in ("_polyprefix_contiguous", "_polyprefix_tokens"):
        head.__dict__.pop(name, None)
    if isinstance(fast := head.__dict__.get("forward"), partial) and fast.func is _vocabulary_first:
        del head.forward
        if (own := fast.args[1]) != head.forward:  # somebody had replaced it before us
            head.forward = own


def _contiguous_input(head: Any, args: tuple[Any, ...]) -> tuple[Any, ...]:
    return _chosen(head, args[0]), *args[1:]


def _is_plain(head: Any) -> bool:
    from torch import nn

    return type(head) is nn.Linear and head.bias is None


def _vocabulary_first(head: Any, forward: Any, states: Tensor) -> Tensor:
    """W x^T, seen as x W^T: with few rows and 262,144 words one and a half to two times as fast as `F.linear` in float32."""
    if states.device.type != "cpu" or states.dtype != head.weight.dtype or states.element_size() < 4:
        return forward(states)
    return (head.weight @ states.flatten(0, -2).T).T.unflatten(0, states.shape[:-1])


def log_normaliser(logits: Tensor) -> Tensor:
    """log sum exp over the vocabulary, [A, V] to [A]; on a CPU in parts, for three copies of all logits take longer than the sum."""
    import torch

    if logits.device.type != "cpu":
        return logits.logsumexp(-1)
    return torch.stack([part.logsumexp(-1) for part in logits.split(COLUMNS, -1)]).logsumexp(0)


def largest(logits: Tensor) -> Tensor:
    """The largest logit of the vocabulary, [A, V] to [A]; on a CPU in parts, for argmax over logits that lie vocabulary first takes as
    long as the head itself."""
    import torch

    if logits.device.type != "cpu":
        return logits.amax(-1)
    return torch.stack([part.amax(-1) for part in logits.split(COLUMNS, -1)]).amax(0)


@contextmanager
def only_at(model: Any, tokens: Tensor | None) -> Iterator[None]:
    """Logits of these tokens alone, [1, A, V], with the architecture's own scaling and soft caps.

    Args:
        model: one that `keep_contiguous` was called on.
        tokens: [A], counted through [B, T]; None leaves the head as it is.
    """
    head = model.get_output_embeddings()
    head._polyprefix_tokens = tokens
    try:
        yield
    finally:
        head._polyprefix_tokens = None


def _chosen(head: Any, states: Tensor) -> Tensor:
    tokens = getattr(head, "_polyprefix_tokens", None)
    return states.contiguous() if tokens is None else states.flatten(0, 1).index_select(0, tokens)[None]


def most_positions(model: Any) -> int:
    """How many positions may be scored together."""
    return max(1, LARGEST // embedding_table(model).shape[0])


def embedding_table(model: Any) -> Tensor:
    """The input embeddings' weight, [V, D]; its device and precision are those of the hidden states."""
    table: Tensor = model.get_input_embeddings().weight
    return table
