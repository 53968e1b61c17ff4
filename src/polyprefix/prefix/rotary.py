"""Moving keys to other positions, for whatever rotary embedding a model has. RoPE: arXiv 2104.09864.

A rotary embedding turns pairs of a key's K dimensions, pair i by the angle p w_i at position p. Which dimensions pair
up (halves, neighbours, only some of them) and how fast they turn (llama3, yarn and linear scaling, one base per layer
type) differs by model and by layer, so both are measured on keys and queries that the layer itself makes of the same
hidden states at different positions:

    pairs       two dimensions pair up when one gains exactly the energy that the other loses
    speed       the angle at positions 1, 2, 4, ..., each of which says how often the next one has gone round

A factor on all keys (yarn's attention scaling) is the same at every position and stays as it is.
"""

from __future__ import annotations

from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from polyprefix.errors import ModelError
from polyprefix.prefix.hook import AttentionHook

SAMPLES = 8
"""Hidden states that are measured, times G heads."""
STEPS = tuple(2**n for n in range(9))
"""1 to 256: an angle that is measured to 8 bits (bfloat16) at 256 gives the speed to 16."""
FAR = 1 << 20
"""A position where slow pairs have turned too. Speeds are not read there: some scalings change for long texts."""

TOLERANCE = {True: 1e-4, False: 5e-2}
"""In float32 and in less, of the keys' size: what measured keys may differ by from turned ones."""


@dataclass(frozen=True, slots=True)
class Rotary:
    """How one layer's keys turn; a dimension that does not turn is its own partner."""

    partner: Tensor
    """[K], the other dimension of each one's pair."""
    speed: Tensor
    """[K], radians a position, of opposite sign within a pair; float64."""

    def rotate(self, keys: Tensor, by: int) -> Tensor:
        """Keys [..., K] moved by `by` positions."""
        angle = by * self.speed
        exact = keys.double()
        return (exact * angle.cos() - exact[..., self.partner] * angle.sin()).to(keys.dtype)


_MEASURED: WeakKeyDictionary[AttentionHook, tuple[Rotary, ...]] = WeakKeyDictionary()


def rotate(keys: Tensor, by: int, hook: AttentionHook, layer: int) -> Tensor:
    """Keys as they would be `by` positions later (earlier, if negative).

    Args:
        keys: [1, G, P, K] of one layer, with the rotary phase of any positions.
        by: added to all of their positions.
        hook: of the model that the keys belong to.
        layer: its index.

    Returns:
        [1, G, P, K], in the precision of `keys`.

    Raises:
        ModelError: if the layer's keys do not turn in pairs as positions grow.
    """
    if hook not in _MEASURED:
        _MEASURED[hook] = measure(hook)
    return _MEASURED[hook][layer].rotate(keys, by)


@torch.no_grad()
def measure(hook: AttentionHook) -> tuple[Rotary, ...]:
    """The rotary embedding of each layer, by measurement.

    Raises:
        ModelError: see `rotate`.
    """
    generator = torch.Generator().manual_seed(0)
    states = torch.randn(1, SAMPLES, hook.width, generator=generator).to(hook.device)
    far = _made(hook, states, (0, FAR))  # first: a scaling that follows the text's length is short again afterwards
    near = _made(hook, states, (0, *STEPS))
    return tuple(_fit(hook, layer, near[layer], far[layer]) for layer in range(hook.layers))


def _made(hook: AttentionHook, states: Tensor, positions: tuple[int, ...]) -> list[Tensor]:
    """Keys and queries of the same hidden states [1, S, D] at each position: [N, S (G + H), K] a layer, float64, of unit size.

    Queries turn as keys do, and show dimensions that a key norm has switched off: trained keys may use them. Where queries
    are off as well, as in some dimensions of Gemma 3, nothing is seen to turn and nothing depends on it.
    """
    where = [position for position in positions for _ in range(SAMPLES)]
    hidden = dict.fromkeys(range(hook.layers), states.repeat(1, len(positions), 1))
    made = []
    for queries, kv in hook.project_all(hidden, where).values():
        both = [x[0].double() / x.double().square().mean().sqrt() for x in (queries, kv.keys)]  # [H or G, N S, K]
        made.append(torch.cat(both).unflatten(1, (len(positions), SAMPLES)).transpose(0, 1).flatten(1, 2))
    return made


def _fit(hook: AttentionHook, layer: int, near: Tensor, far: Tensor) -> Rotary:
    partner = _partner(torch.cat([(keys[1:].square() - keys[:1].square()).flatten(0, 1) for keys in (near, far)]))
    rotary = Rotary(partner, _speed(near, partner))
    moved = torch.stack([rotary.rotate(near[0], step) for step in STEPS])
    wrong = ((moved - near[1:]).square().mean() / near[0].square().mean()).sqrt()
    if not wrong <= TOLERANCE[hook.dtype == torch.float32]:
        raise ModelError(
            f"{type(hook.model).__name__}: the keys of layer {layer} do not turn in pairs as positions grow, so a "
            "prefix cannot be moved to others; use a soft prompt or LoRA"
        )
    return rotary


def _partner(gained: Tensor) -> Tensor:
    """Each dimension's other one, [K], from the energies [measurements, K] that each gains by being elsewhere."""
    apart = torch.cdist(gained.T, -gained.T)
    apart.diagonal().copy_(gained.norm(dim=0))  # to stand still is to gain nothing
    nearest = apart.argmin(1)
    own = torch.arange(len(nearest), device=nearest.device)
    return torch.where(nearest[nearest] == own, nearest, own)


def _speed(near: Tensor, partner: Tensor) -> Tensor:
    """Radians a position, [K], from keys and queries [N, S (G + H), K] at positions 0, 1, 2, 4, ..."""
    start, later = near[:1], near[1:]
    cos = (start * later + start[..., partner] * later[..., partner]).sum(1)
    sin = (start * later[..., partner] - start[..., partner] * later).sum(1)
    measured = torch.atan2(sin, cos)  # [N - 1, K], each up to whole turns
    angle = measured[0]
    for wrapped in measured[1:]:
        expected = 2 * angle
        angle = expected + torch.remainder(wrapped - expected + torch.pi, 2 * torch.pi) - torch.pi
    return angle / STEPS[-1]
