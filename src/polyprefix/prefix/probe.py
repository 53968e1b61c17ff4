"""Questions that a model is asked once, with eight tokens: whether a prefix is served exactly, and how sequences may be given."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Any, Protocol

import torch
from torch import Tensor
from transformers import PreTrainedModel

from polyprefix.errors import ModelError, first_line
from polyprefix.models.head import embedding_table
from polyprefix.prefix.kv import KVPrefix
from polyprefix.prefix.packed import Packed, packing
from polyprefix.prefix.token_tree import TokenTree

PROBE_TOKENS = 8
TOLERANCE = {True: 1e-3, False: 0.2}
"""In float32 and in less. Rounding to 8 bits gave 0.07 on Gemma 3 270M; tokens in the wrong place move logits by their own size, 1."""


class Probed(Protocol):
    """What is asked of a hook (polyprefix.prefix.hook)."""

    model: Any

    @property
    def device(self) -> torch.device:
        """Where the input embeddings live."""

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the hidden states."""

    def set(self, prefix: KVPrefix | None, packed: Packed | None = None) -> None:
        """Attend to a prefix from now on."""

    def using(self, prefix: KVPrefix | None) -> AbstractContextManager[None]:
        """Attend to a prefix inside the block."""

    def compute_kv(self, input_ids: Tensor | None = None, *, start: int = 0) -> KVPrefix:
        """The keys and values of tokens."""


@torch.no_grad()
def serves_exactly(hook: Probed) -> bool:
    """Compare the logits with tokens in front of the text and with their keys and values as a prefix at negative positions.

    Returns:
        True: what differs is refused.

    Raises:
        ModelError: if they differ, or are no numbers.
    """
    ids, front = probe_ids(hook.model), PROBE_TOKENS // 2
    name = type(hook.model).__name__
    was_training = hook.model.training
    hook.model.eval()
    try:
        whole = hook.model(input_ids=ids, use_cache=False).logits[:, front:]
        with hook.using(hook.compute_kv(input_ids=ids[:, :front], start=-front)):
            split = hook.model(input_ids=ids[:, front:], use_cache=False).logits
    except Exception as error:
        raise refusal(
            name, f"it cannot read tokens at negative positions ({type(error).__name__}: {first_line(error)[:120]})"
        ) from error
    finally:
        hook.model.train(was_training)
    if not bool(whole.isfinite().all()):
        raise ModelError(
            f"{name}: its logits are not finite numbers; its weights are damaged, or too large for {hook.dtype}: "
            "fetch it again, or load it with --set runtime.dtype=float32"
        )
    wrong = normalized_rmse(whole, split)
    if not wrong <= TOLERANCE[hook.dtype == torch.float32]:
        raise refusal(
            name, f"logits differ by {wrong:.2g} of their standard deviation when tokens are given as a prefix"
        )
    return True


@torch.no_grad()
def keeps_packed_sequences_apart(hook: Probed) -> bool:
    """Whether logits of a sequence are its own where positions restart in a row."""
    ids, half = probe_ids(hook.model), PROBE_TOKENS // 2
    positions = torch.arange(half, device=hook.device).repeat(2)[None]
    hook.set(None)
    packed = hook.model(input_ids=ids, position_ids=positions, use_cache=False).logits[:, half:]
    alone = hook.model(input_ids=ids[:, half:], use_cache=False).logits
    return normalized_rmse(packed, alone) < TOLERANCE[hook.dtype == torch.float32]


@torch.no_grad()
def takes_rows(hook: Probed) -> bool:
    """Whether sequences in one row under a layout, behind a common head, have the logits that they have alone."""
    ids = probe_ids(hook.model)
    head, *texts = ids.split((2, 3, 3), 1)
    trees = [TokenTree(range(3)), TokenTree(range(2), branches=[TokenTree(range(1))])]
    packed = Packed.of(trees, hook.device, common_prefix=2)
    was_training = hook.model.training
    hook.model.eval()
    hook.set(None)
    whole = [hook.model(input_ids=torch.cat([head, text], 1), use_cache=False).logits for text in texts]
    alone = torch.cat([whole[0], whole[1][:, 2:]], 1)
    hook.set(None, packed)
    try:
        with packing(packed):
            mask = torch.ones_like(ids)
            row = hook.model(ids, attention_mask=mask, position_ids=packed.position[None], use_cache=False)
        return normalized_rmse(row.logits, alone) < TOLERANCE[hook.dtype == torch.float32]
    except (RuntimeError, TypeError, ValueError, KeyError):  # a mask of another shape, or none that is made there
        return False
    finally:
        hook.set(None)
        hook.model.train(was_training)


@torch.no_grad()
def caches_what_it_attends_to(hook: Probed) -> bool:
    """Whether a cache holds as many heads, of the same size, as attention sees: JetMoE's holds them before they are repeated."""
    ids = probe_ids(hook.model)
    seen = hook.compute_kv(input_ids=ids, start=0).joined
    cache = hook.model.base_model(input_ids=ids, use_cache=True).past_key_values
    layers = getattr(cache, "layers", [])
    return len(layers) == len(seen) and all(
        kept.shape[1::2] == read.shape[1::2]  # a window keeps fewer tokens
        for n, layer in enumerate(layers)
        for kept, read in ((layer.keys, seen[n].keys), (layer.values, seen[n].values))
    )


def probe_ids(model: PreTrainedModel) -> Tensor:
    """A few different tokens, spread over the vocabulary."""
    table = embedding_table(model)
    ids = torch.linspace(3, table.shape[0] - 1, PROBE_TOKENS).long()
    return ids[None].to(table.device)


def normalized_rmse(a: Tensor, b: Tensor) -> float:
    """Root mean square difference, in standard deviations of `a`."""
    a, b = a.float(), b.float()
    return ((a - b).pow(2).mean().sqrt() / a.std().clamp(min=1e-12)).item()


def refusal(name: str, reason: str) -> ModelError:
    """The error for an architecture that cannot be served."""
    return ModelError(
        f"{name} cannot be served with a prefix: {reason}; use a decoder with rotary positions (Llama, Mistral, Qwen, Gemma, Phi-3, ...)"
    )
