"""Several prefixes before one text: trained apart, such as one for a language and one for a task, and attached as one.

    softmax(q [K_a, K_b, K_text]^T) [V_a, V_b, V_text]

The keys and values that each adapter makes by itself stand side by side in one softmax, at the positions -P..-1 at which each of them
was trained. That is a raw prefix of P_a + P_b tokens: it is trained, saved, evaluated and exported like any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch

from polyprefix.config import ENGLISH
from polyprefix.errors import AdapterError
from polyprefix.methods.prefix_tuning import PrefixTuning
from polyprefix.methods.prefix_tuning.adapter import RawPrefix
from polyprefix.models.load import BaseModel
from polyprefix.prefix import KVPrefix

if TYPE_CHECKING:
    from polyprefix.adapters.adapted import AdaptedModel


@dataclass(frozen=True, slots=True)
class Joined:
    """Several prefixes as one, not attached yet."""

    method: PrefixTuning
    prefix: RawPrefix
    learned: Mapping[str, Any] | None
    """The task of the last part (`AdaptedModel.learned`)."""


@torch.no_grad()
def join(base: BaseModel, parts: Sequence[AdaptedModel]) -> Joined:
    """The prefixes of other adapters of this base model as one; the others stay as they are.

    Args:
        parts: in the order of their tokens. The last one says which task the whole was trained on.

    Raises:
        AdapterError: if the parts are fewer than two or of another base model, or one of them is not keys and values in one softmax
            with the text, of the same number in each of its layers.
        ModelError: if a part was detached.
    """
    if len(parts) < 2:
        raise AdapterError(f"{len(parts)} adapters to join; give two or more")
    prefixes = [_prefix(base, part) for part in parts]
    layers = list(prefixes[0].joined)
    for part, prefix in zip(parts, prefixes, strict=True):
        if list(prefix.joined) != layers:
            raise AdapterError(
                f"'{part.method.name}' acts on layers {_named(list(prefix.joined))}, '{parts[0].method.name}' on {_named(layers)}: "
                "a prefix has the same length in each of its layers; join adapters of the same layers"
            )
    whole = prefixes[0]
    for prefix in prefixes[1:]:
        whole = whole.then(prefix)
    length = sum(next(iter(prefix.joined.values())).length for prefix in prefixes)
    chosen = "all" if layers == list(range(parts[0].hook.layers)) else ",".join(map(str, layers))
    learned = _learned([part.learned for part in parts])
    return Joined(PrefixTuning(length=length, layers=chosen), RawPrefix(dict(whole.joined)), learned)


def _prefix(base: BaseModel, part: AdaptedModel) -> KVPrefix:
    """The keys and values of an adapter in one softmax with the text."""
    name = f"'{part.method.name}'"
    part.require_attached()
    if part.model is not base.model:
        raise AdapterError(f"{name} is attached to another {part.base.name}; load all adapters onto one base model")
    prefix = part.adapter.prefix(part.hook)
    if prefix is None:
        raise AdapterError(f"{name} makes no keys and values; only prefixes and soft prompts can be joined")
    if prefix.gated:
        raise AdapterError(
            f"{name} has a softmax of its own, so that its keys and values are none before the text; only prefixes and soft prompts "
            "can be joined"
        )
    if part.hook.lengths.rope.switches and not isinstance(part.adapter, RawPrefix):
        raise AdapterError(
            f"{name}: in {part.base.name} its keys depend on the length of the text (scaled rotary phases); only raw prefixes can be joined"
        )
    return prefix


def _named(layers: list[int]) -> str:
    return ", ".join(map(str, layers))


def _learned(parts: Sequence[Mapping[str, Any] | None]) -> dict[str, Any] | None:
    """The task of the last part, and the languages that any part has seen with labels: none of them is zero-shot."""
    if (last := parts[-1]) is None:
        return None
    known = [part or {} for part in parts]
    sources = dict.fromkeys(code for part in known for code in part.get("source_languages", [ENGLISH]))
    targets = dict.fromkeys(code for part in known for code in part.get("target_languages", []) if code not in sources)
    sizes = [part["target_size"] for part in known if part.get("target_size") is not None]
    seen = {
        "source_languages": list(sources),
        "target_languages": list(targets),
        "target_size": max(sizes) if targets else None,
    }
    english = seen["source_languages"] == [ENGLISH] and not targets
    return {key: value for key, value in last.items() if key not in seen} | ({} if english else seen)
