"""Which parameters of a model ever get a gradient when it reads and predicts text: what training can move, and what is counted.

A vision tower beside the decoder does not, nor do parameters inside it that only choose: a router's correction, the indexer of sparse
attention. The first kind stands outside the decoder; the second is found by one backward pass through a tiny copy of the architecture.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from polyprefix.models.shrink import ConfigKey, shrunken

OTHER_INPUTS = re.compile(r"(^|[._])(vision|visual|image|audio|speech|embed_tokens_extend)([._]|$)")
"""Part of the name of a module inside a text decoder that reads something else."""
TOKENS = 40
"""Enough that every expert of a tiny mixture gets some."""


def text_part(model: Any) -> Callable[[str], bool]:
    """Whether a parameter of a model, by its name, gets gradients from text. The model may be on the meta device."""
    decoder, head = text_decoder(model), model.get_output_embeddings()
    names = {id(module): name for name, module in model.named_modules()}
    start, end = names[id(decoder)], names.get(id(head))
    unreached = unreached_by_text(ConfigKey(model.config.get_text_config(), "eager"))

    def inside(name: str) -> bool:
        if end is not None and name.startswith(f"{end}."):
            return True
        own = name.removeprefix(f"{start}.") if start else name
        below = not start or own != name
        return below and not OTHER_INPUTS.search(name) and _pattern(own) not in unreached

    return inside


def text_decoder(model: Any) -> Any:
    """The module between embeddings and head that reads text, embeddings included."""
    decoder, embeddings = model.get_decoder(), model.get_input_embeddings()
    return decoder if any(module is embeddings for module in decoder.modules()) else model.base_model


def beside_text(model: Any) -> list[str]:
    """The outermost modules none of whose parameters gets a gradient from text."""
    inside = text_part(model)
    names = [name for name, _ in model.named_parameters()]
    within = {name[:n] for name in names if inside(name) for n, letter in enumerate(name) if letter == "."}
    outside: list[str] = []
    for name in names:
        if not inside(name):
            parents = [name[:n] for n, letter in enumerate(name) if letter == "."]
            outermost = next((parent for parent in parents if parent not in within), None)
            if outermost is not None and outermost not in outside:
                outside.append(outermost)
    return outside


@lru_cache(maxsize=64)
def unreached_by_text(key: ConfigKey) -> frozenset[str]:
    """Patterns of the parameters of a decoder, from its own first module on, that get no gradient; none where there is no tiny copy."""
    import torch

    try:
        model, _ = shrunken(key.config, key.attention)
        model.requires_grad_(True)
        ids = torch.arange(3, 3 + TOKENS)[None]
        with torch.enable_grad():
            model(input_ids=ids, use_cache=False).logits.square().sum().backward()
    except Exception:  # a config whose parts depend on each other in ways of its own
        return frozenset()
    decoder = text_decoder(model)
    start = next(name for name, module in model.named_modules() if module is decoder)
    found: dict[bool, set[str]] = {True: set(), False: set()}
    for name, parameter in model.named_parameters():
        found[parameter.grad is not None].add(_pattern(name.removeprefix(f"{start}.")))
    return frozenset(found[False] - found[True])


def _pattern(name: str) -> str:
    """The name with every number of a layer or an expert left out."""
    return re.sub(r"(^|\.)\d+(?=\.)", r"\1*", name)
