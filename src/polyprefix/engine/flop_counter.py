"""How much work a run was, counted and not timed: tokens, padding, forward passes, useful floating-point operations.

Useful are the products that real tokens need in the layers that they really cross; padding, masked attention and recomputation are not.
Sliding windows are not deducted.

    forward    sum over layers (2 W N + 4 H K q) + 2 D V A; what layers below l gave may be kept (training.activation_cache): they count once
    backward   sum over layers from l on (2 W N + 8 H K q) - 2 Q N + 2 D V A + 2 (trained weights) N

N tokens, A positions with a head, q pairs of a token and something it sees (itself and those before it in its text, the common prefix, the
virtual tokens), D width, V vocabulary, H heads, K head size, W weights in the matrices of a layer, l the lowest layer that is adapted, Q its
weights from the input to queries, keys and values: that input needs no gradient, unless what comes before it is trained.
What a prefix computes for itself - P virtual tokens a pass - is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.models.head import embedding_table
from polyprefix.models.shape import ModelShape
from polyprefix.prefix import KVPrefix, TokenTree

ALL = slice(None)


@dataclass(slots=True)
class Work:
    """What was counted so far."""

    passes: int = 0
    """Forward passes."""
    tokens: int = 0
    """Real tokens of trees that went through the layers; what trees share counts once a pass."""
    padding: int = 0
    """Tokens computed beside them."""
    flops: float = 0.0
    """Useful floating-point operations, a multiplication and an addition as two."""

    def __iadd__(self, other: Work) -> Work:
        """Count the other's work too."""
        self.passes += other.passes
        self.tokens += other.tokens
        self.padding += other.padding
        self.flops += other.flops
        return self

    @property
    def padding_share(self) -> float:
        """Of all tokens computed."""
        return self.padding / (self.tokens + self.padding) if self.tokens else 0.0


@dataclass(frozen=True, slots=True)
class WorkSizes:
    """The sizes of an adapted model that its work follows from."""

    layers: int
    weights: int
    """Sum of W over layers; of a mixture of experts, those that one token meets."""
    trained: int
    """Those of them that are trained."""
    lowest: int
    """l; the number of layers where nothing is trained."""
    input_gradient: int
    """Q, or 0 where the input of layer l needs a gradient."""
    attention: int
    """H K."""
    head: int
    """D V."""
    head_trained: bool
    prefix: tuple[int, ...]
    """Virtual tokens that a sequence attends to in each layer."""

    @classmethod
    def of(cls, model: AdaptedModel) -> WorkSizes:
        """Measured on the modules, so that no architecture and no method needs a formula of its own."""
        size = ModelShape.of(model.model)
        layers = size.L
        with torch.no_grad():
            learned = model.adapter.prefix(model.hook) or KVPrefix()
        seen = [_length(learned, layer) for layer in range(layers)]
        stack = decoder_layers(model.model)
        table, output = embedding_table(model.model), model.model.get_output_embeddings()
        embeddings = any(p.requires_grad for p in model.model.get_input_embeddings().parameters())
        moved = [n for n, layer in enumerate(stack) if any(p.requires_grad for p in layer.parameters())]
        adapted = [n for n in range(layers) if seen[n] and model.trainable()]
        lowest = min([*moved, *adapted, *([0] if embeddings else [])], default=layers)
        below = embeddings or any(p.requires_grad and p.ndim < 2 for n in moved[:1] for p in stack[n].parameters())
        share = _experts_share(model.model.config.get_text_config())
        return cls(
            layers=layers,
            weights=sum(_matrices(module, share) for module in stack.modules()),
            trained=sum(_matrices(m, share) for m in stack.modules() if _trained(m)),
            lowest=lowest,
            input_gradient=0 if below else size.D * (size.H + 2 * size.G) * size.K,
            attention=size.H * size.K,
            head=size.D * table.shape[0],
            head_trained=output is not None and any(p.requires_grad for p in output.parameters()),
            prefix=tuple(seen),
        )

    def forward(self, tokens: int, pairs: int, positions: int, layers: slice = ALL) -> float:
        """FLOPs of a forward pass through some of the layers; `pairs` within trees."""
        seen = self.prefix[layers]
        attended = len(seen) * pairs + tokens * sum(seen)
        weights = self.weights * len(seen) / self.layers
        return forward_flops(weights, self.attention, self.head, tokens=tokens, pairs=attended, positions=positions)

    def backward(self, tokens: int, pairs: int, positions: int, without: int = 0) -> float:
        """FLOPs of a backward pass that begins so many layers below the top."""
        crossed = max(0, self.layers - without - self.lowest)
        attended = crossed * pairs + tokens * sum(self.prefix[self.lowest : self.lowest + crossed])
        products = 2.0 * (self.weights * crossed / self.layers - self.input_gradient + self.trained) * tokens
        ends = 2.0 * self.head * positions * (1 + self.head_trained)
        return products + 8.0 * self.attention * attended + ends if crossed else 0.0


def forward_flops(
    weights: float = 0.0,
    attention: float = 0.0,
    head: float = 0.0,
    *,
    tokens: float = 0.0,
    pairs: float = 0.0,
    positions: float = 0.0,
) -> float:
    """2 W N + 4 H K q + 2 D V A.

    Args:
        weights: W of all layers that are crossed.
        attention: H K.
        head: D V.
        tokens: N.
        pairs: q, over all layers.
        positions: A.
    """
    return 2.0 * weights * tokens + 4.0 * attention * pairs + 2.0 * head * positions


def decoder_layers(model: Any) -> nn.ModuleList:
    """The layers of a model, from the first to the last."""
    count = model.config.get_text_config().num_hidden_layers
    return next(m for m in model.modules() if isinstance(m, nn.ModuleList) and len(m) == count)


def _length(prefix: KVPrefix, layer: int) -> int:
    joined, gated = prefix.joined.get(layer), prefix.gated.get(layer)
    return (joined.length if joined else 0) + (gated.kv.length if gated else 0)


def _experts_share(config: Any) -> float:
    experts = getattr(config, "num_local_experts", None) or getattr(config, "num_experts", None) or 1
    return (getattr(config, "num_experts_per_tok", None) or 1) / experts


def _matrices(module: nn.Module, experts_share: float) -> int:
    if isinstance(module, nn.Linear):  # its sizes and not its weight, which may be stored in 4 bits
        return module.in_features * module.out_features
    own = [p for p in module.parameters(recurse=False) if p.ndim >= 2]
    return round(sum(p.numel() * (experts_share if p.ndim == 3 else 1) for p in own))


def _trained(module: nn.Module) -> bool:
    return any(p.requires_grad and p.ndim >= 2 for p in module.parameters(recurse=False))


class Meter:
    """Counts the passes of one adapted model.

    Args:
        training: whether each pass is followed by a backward pass.
        common_length: S, the tokens that all trees begin with.
    """

    def __init__(self, model: AdaptedModel, common_length: int, *, training: bool = False) -> None:
        self.work = Work()
        self.shape = WorkSizes.of(model)
        self.training = training
        self.common_length = common_length
        self.start = 0
        """The layer at which passes begin; what those below it gave is kept."""

    def count_below(self, trees: Sequence[TokenTree]) -> None:
        """Sequences that cross the layers below `start`, as the first part of the next pass."""
        self.work.flops += self.shape.forward(*self._tokens_and_pairs(trees), 0, slice(self.start))

    def count(self, trees: Sequence[TokenTree], computed: int) -> None:
        """One pass over trees.

        Args:
            computed: tokens of the pass with padding, without what trees share.
        """
        tokens, pairs = self._tokens_and_pairs(trees)
        self.add(tokens, pairs, sum(tree.logit_positions for tree in trees), computed - tokens)
        if (
            self.training
        ):  # what trees share is read again in each pass; of its last layer only keys and values are used
            within = self.common_length * (self.common_length + 1) // 2
            self.work.tokens += self.common_length
            self.work.flops += self.shape.forward(self.common_length, within, 0, slice(self.start, None))
            self.work.flops += self.shape.backward(self.common_length, within, 0, without=1)

    def add(self, tokens: int, pairs: int, positions: int, padding: int) -> None:
        """One pass over trees, by its figures."""
        self.work.passes += 1
        self.work.tokens += tokens
        self.work.padding += padding
        self.work.flops += self.shape.forward(tokens, pairs, positions, slice(self.start, None))
        if self.training:
            self.work.flops += self.shape.backward(tokens, pairs, positions)

    def _tokens_and_pairs(self, trees: Sequence[TokenTree]) -> tuple[int, int]:
        return sum(tree.size for tree in trees), sum(tree.pairs(self.common_length) for tree in trees)
