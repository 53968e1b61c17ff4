"""Keys and values for another tool's KV cache, which counts positions from 0: ours stand at -P..-1, with the text from 0.

Keys carry a rotary phase, so they are moved by P.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
import torch

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.formats.windows import warn_of_window
from polyprefix.errors import AdapterError
from polyprefix.models.load import BaseModel
from polyprefix.prefix import LayerKV
from polyprefix.prefix.rotary import rotate


def prefix_from_zero(model: AdaptedModel, tool: str) -> list[LayerKV]:
    """The prefix of each layer with the rotary phases of positions 0..P-1, [1, G, P, K] in float32 on the CPU.

    Args:
        tool: that the cache is for, for messages.

    Raises:
        AdapterError: if the adapter is no keys and values in one softmax with the text, some layers have none, the keys depend on the
            length of the text, or a sliding window leaves no room for text.
    """
    hook, name = model.hook, model.method.name
    with torch.no_grad():
        prefix = model.adapter.prefix(hook)
    if prefix is None or prefix.gated:
        raise AdapterError(
            f"'{name}' is no keys and values in one softmax with the text; export {'peft' if prefix else 'transformers'}"
        )
    if len(prefix.joined) != hook.layers:
        raise AdapterError(
            f"a prefix in {len(prefix.joined)} of {hook.layers} layers cannot stand in a KV cache, which has one length for all; "
            "train with layers=all"
        )
    if hook.lengths.rope.switches:
        raise AdapterError(
            f"{model.base.name}: keys depend on the length of the text (scaled rotary phases); export peft"
        )
    prefix = prefix.detached()
    P = prefix.joined[0].length
    warn_of_window(hook, P, tool)
    return [
        LayerKV(
            rotate(prefix.joined[layer].keys.float(), P, hook, layer).contiguous().cpu(),
            prefix.joined[layer].values.float().contiguous().cpu(),
        )
        for layer in range(hook.layers)
    ]


def placeholders(base: BaseModel, prefix: Sequence[LayerKV]) -> tuple[int, ...]:
    """P tokens that stand for a prefix in a prompt: drawn by the digest of its keys and values, none of them special.

    A tool that looks for cached keys and values by tokens then never takes those of another adapter.
    """
    digest = hashlib.sha256()
    for kv in prefix:
        digest.update(kv.keys.numpy().tobytes() + kv.values.numpy().tobytes())
    special = set(base.tokenizer.all_special_ids)
    plain = np.array([token for token in range(base.vocabulary) if token not in special])
    generator = np.random.default_rng(int.from_bytes(digest.digest()[:8], "little"))
    return tuple(int(token) for token in generator.choice(plain, prefix[0].length))
