"""Up to which length a model is served exactly: measured on both sides of every length at which it changes.

A model changes at a window, a chunk of attention, an original context, a floor of attention temperature, a number of tokens that sparse
attention chooses. Its config names these lengths; what happens there is measured, on a tiny random copy of the architecture whose
lengths are a few tokens each (polyprefix.models.shrink), or on the model itself where there is no copy. A sequence of n tokens is read

    shared      with its first tokens given as keys and values that all sequences of a batch have in common
    together    beside others: left-padded, and packed into one row
    row         packed with other short ones into a row of n tokens
    alone       by itself

and each must give the logits that the model gives without a prefix. What fails from some length on is not done there: long sequences are
then read without a common prefix, then one at a time, and then refused by name.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from functools import lru_cache
from typing import Any, Protocol

import torch
from torch import Tensor

from polyprefix.errors import ModelError
from polyprefix.models.head import embedding_table
from polyprefix.models.shrink import MOST_PARAMETERS, ConfigKey, shrunken
from polyprefix.prefix.kv import KVPrefix
from polyprefix.prefix.lengths import UNLIMITED, LengthRules, Limits
from polyprefix.prefix.packed import Packed, packing
from polyprefix.prefix.probe import normalized_rmse
from polyprefix.prefix.token_tree import TokenTree

FRONT = 4
"""Tokens that are given as keys and values."""
TOLERANCE = 1e-3
"""Normalised RMSE in float32 and up to which logits are the same; 0.2 in less."""
MOST_MEASURED = 2048
"""Tokens of a sequence that is tried on the model itself."""


class Measured(Protocol):
    """What is asked of a hook (polyprefix.prefix.hook)."""

    model: Any
    lengths: LengthRules

    @property
    def dtype(self) -> torch.dtype:
        """Precision of the hidden states."""

    def set(self, prefix: KVPrefix | None, packed: Packed | None = None) -> None:
        """Attend to a prefix from now on."""

    def using(self, prefix: KVPrefix | None) -> AbstractContextManager[None]:
        """Attend to a prefix inside the block."""

    def compute_kv(self, input_ids: Tensor | None = None, *, start: int = 0) -> KVPrefix:
        """The keys and values of tokens."""

    def supports_packing(self) -> bool:
        """Whether sequences may stand in one row."""


def measure_limits(hook: Measured) -> Limits:
    """Compare logits on both sides of each of the model's lengths."""
    config = hook.model.config.get_text_config()
    attention = "eager" if hook.model.config._attn_implementation.endswith("eager") else "sdpa"
    found = _of_copy(ConfigKey(config, attention), type(hook))
    return found if found is not None else _measured(hook, {n: n for n in hook.lengths.switches})


@lru_cache(maxsize=64)
def _of_copy(key: ConfigKey, kind: type[Any]) -> Limits | None:
    """The limits of an architecture, in the real model's tokens; None where there is no copy of it."""
    try:
        model, real = shrunken(key.config, key.attention)
        hook: Measured = kind(model)
    except ModelError:
        return None
    except Exception:  # a config whose parts depend on each other in ways of its own
        return None
    return _measured(hook, {short: real.get(short, short) for short in hook.lengths.switches})


def _measured(hook: Measured, real: Mapping[int, int]) -> Limits:
    """The limits of a model, where `real` gives for each of its lengths the one to report."""
    plain = hook.model
    if (
        sum(parameter.numel() for parameter in plain.parameters()) <= MOST_PARAMETERS
    ):  # else there may be no room for two
        plain = copy.deepcopy(plain)
        plain.set_attn_implementation(hook.model.config._attn_implementation.removeprefix("polyprefix_"))
    checks = {"shared": _shared, "together": _together, "row": _row, "alone": _alone}
    limits = {}
    for way, check in checks.items():
        limits[way] = UNLIMITED
        for switch in sorted(real):
            failed = _first_failure(hook, plain, check, switch)
            if failed is not None:
                limits[way] = min(limits[way], real[switch] - (failed <= switch))
                break
    limits["together"] = min(limits["together"], limits["alone"])
    limits["shared"] = min(limits["shared"], limits["together"])
    return Limits(**limits)


Check = Callable[[Measured, Any, int], bool]


@torch.no_grad()
def _first_failure(hook: Measured, plain: Any, check: Check, switch: int) -> int | None:
    for length in (switch, switch + 1, switch + FRONT + 1, 2 * switch - 2):
        if length > MOST_MEASURED:
            return length
        try:
            if not check(hook, plain, length):
                return length
        except (RuntimeError, TypeError, ValueError, KeyError, IndexError):
            return length
        finally:
            hook.set(None)
    return None


def _ids(model: Any, length: int) -> Tensor:
    """Random tokens without the first few of the vocabulary, [1, T], the same for the same length."""
    table = embedding_table(model)
    generator = torch.Generator().manual_seed(length)
    return torch.randint(3, table.shape[0], (1, length), generator=generator).to(table.device)


def _by_itself(hook: Measured, plain: Any, ids: Tensor) -> Tensor:
    """Logits [1, T, V] of the model as it was loaded, which no earlier sequence has left anything in."""
    if plain is hook.model:
        hook.set(None)
        with hook.lengths.for_length(ids.shape[1] if hook.lengths.rope.switches else None):
            return plain(input_ids=ids, use_cache=False).logits
    return copy.deepcopy(plain)(input_ids=ids, use_cache=False).logits


def _same(hook: Measured, found: Tensor, wanted: Tensor) -> bool:
    return normalized_rmse(found, wanted) <= (TOLERANCE if hook.dtype == torch.float32 else 0.2)


def _alone(hook: Measured, plain: Any, length: int) -> bool:
    ids = _ids(hook.model, length)
    hook.set(KVPrefix())
    with hook.lengths.for_length(length):
        return _same(hook, hook.model(input_ids=ids, use_cache=False).logits, _by_itself(hook, plain, ids))


def _shared(hook: Measured, plain: Any, length: int) -> bool:
    """The first tokens as keys and values, and, where all of it is in sight, keys and values at negative positions."""
    ids = _ids(hook.model, length)
    wanted = _by_itself(hook, plain, ids)[:, FRONT:]
    positions = torch.arange(FRONT, length, device=ids.device)[None]
    with hook.lengths.for_length(length):
        context = hook.compute_kv(input_ids=ids[:, :FRONT], start=0)
        with hook.using(context):
            found = hook.model(input_ids=ids[:, FRONT:], position_ids=positions, use_cache=False).logits
    if hook.lengths.rope.continuous_from is None:
        with hook.lengths.for_length(length), hook.using(hook.compute_kv(input_ids=ids[:, :FRONT], start=-FRONT)):
            moved = hook.model(input_ids=ids[:, FRONT:], use_cache=False).logits
        if not _same(hook, moved, wanted):
            return False
    return _same(hook, found, wanted)


def _together(hook: Measured, plain: Any, length: int) -> bool:
    """Left-padded beside a shorter sequence of the same regime, and, where the model allows it, packed in one row with it."""
    partner = next(
        (n for n in (FRONT + 2, length - 1) if hook.lengths.regime(n) == hook.lengths.regime(length)), length
    )
    rows = [_ids(hook.model, n) for n in (partner, length)]
    wanted = torch.cat([_by_itself(hook, plain, row) for row in rows], 1)
    pad = length - partner
    ids = torch.cat([torch.nn.functional.pad(rows[0], (pad, 0)), rows[1]])
    mask = torch.ones_like(ids)
    mask[0, :pad] = 0
    positions = (mask.cumsum(-1) - 1).clamp(min=0)
    hook.set(None)
    with hook.lengths.for_length(length):
        out = hook.model(input_ids=ids, attention_mask=mask, position_ids=positions, use_cache=False).logits
        if not _same(hook, torch.cat([out[:1, pad:], out[1:]], 1), wanted):
            return False
        if not hook.supports_packing():
            return True
        return _same(hook, _packed(hook, rows), wanted)


def _row(hook: Measured, plain: Any, length: int) -> bool:
    """Short sequences whose row is as long."""
    if not hook.supports_packing():
        return True
    sizes = [FRONT + 1] * (length // (FRONT + 1))
    sizes[-1] += length - sum(sizes)
    rows = [_ids(hook.model, n) for n in sizes]
    with hook.lengths.for_length(max(sizes)):
        return _same(hook, _packed(hook, rows), torch.cat([_by_itself(hook, plain, row) for row in rows], 1))


def _packed(hook: Measured, rows: Sequence[Tensor]) -> Tensor:
    """Logits [1, N, V] of sequences in one row, each but its last token the trunk of its last token."""
    packed = Packed.of(
        [TokenTree(range(row.shape[1] - 1), branches=[TokenTree(range(1))]) for row in rows], rows[0].device
    )
    row = torch.cat(list(rows), 1)
    hook.set(None, packed)
    with packing(packed):
        return hook.model(
            input_ids=row, attention_mask=torch.ones_like(row), position_ids=packed.position[None], use_cache=False
        ).logits
