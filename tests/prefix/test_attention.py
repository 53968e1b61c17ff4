"""Law: attention to a prefix is the softmax written out, whatever mask arrives and whatever runs underneath.

A prefix is visible to each query under every mask; the text's own mask stays as it was.
"""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from polyprefix.prefix import GatedKV, LayerKV
from polyprefix.prefix.attention import STATE, AttentionState, attend
from polyprefix.testing.tiny import tiny_model

B, H, G, T, K, P = 2, 4, 2, 5, 8, 3


def tensors(past: int = 0) -> tuple[Tensor, Tensor, Tensor, LayerKV]:
    generator = torch.Generator().manual_seed(0)
    q = torch.randn(B, H, T, K, generator=generator)
    k, v = (torch.randn(B, G, past + T, K, generator=generator) for _ in range(2))
    return q, k, v, LayerKV(*(torch.randn(1, G, P, K, generator=generator) for _ in range(2)))


def module(**state: object) -> torch.nn.Module:
    """An attention module of the Llama file, where eager attention is looked up."""
    attention = tiny_model("llama-gqa-tied").model.layers[0].self_attn
    attention.__dict__[STATE] = AttentionState(0, **state)
    return attention


def written_out(q: Tensor, k: Tensor, v: Tensor, seen: Tensor, prefix: LayerKV | None) -> Tensor:
    """seen: [B, T, S], whether a query sees a key of the text. Returns [B, T, H, K]."""
    out = torch.zeros(B, T, H, K)
    for b in range(B):
        for h in range(H):
            for t in range(T):
                keys, values = k[b, h // 2][seen[b, t]], v[b, h // 2][seen[b, t]]
                if prefix is not None:
                    keys = torch.cat([prefix.keys[0, h // 2], keys])
                    values = torch.cat([prefix.values[0, h // 2], values])
                exponents = torch.exp(keys @ q[b, h, t] / math.sqrt(K))
                out[b, t, h] = exponents / exponents.sum() @ values
    return out


def causal(past: int = 0, window: int | None = None) -> Tensor:
    t, s = torch.arange(T)[:, None] + past, torch.arange(past + T)[None]
    seen = (s <= t) & (t - s < window) if window else s <= t
    return seen.expand(B, -1, -1).clone()


def run(
    implementation: str, attention: torch.nn.Module, q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None
) -> Tensor:
    return attend(implementation, attention, q, k, v, mask, scaling=K**-0.5, dropout=0.0)[0]


def as_mask(seen: Tensor, implementation: str) -> Tensor:
    """[B, 1, T, S]: bool for sdpa, added to the scores for eager."""
    if implementation == "sdpa":
        return seen[:, None]
    return torch.zeros(seen[:, None].shape).masked_fill(~seen[:, None], torch.finfo(torch.float32).min)


def padded_left() -> Tensor:
    """The second row begins with two pads; pads see themselves, so that no softmax is empty."""
    seen = causal()
    seen[1, :, :2] = False
    seen[1, 0, 0] = seen[1, 1, 1] = True
    return seen


SEEN = {"causal": causal, "window": lambda: causal(window=2), "padding": padded_left, "cache": lambda: causal(past=4)}


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("name", SEEN)
def test_joined_under_every_mask(implementation: str, name: str) -> None:
    seen = SEEN[name]()
    q, k, v, prefix = tensors(past=seen.shape[2] - T)
    found = run(implementation, module(joined=prefix), q, k, v, as_mask(seen, implementation))
    torch.testing.assert_close(found, written_out(q, k, v, seen, prefix))


@pytest.mark.parametrize("past", [0, 4])
def test_joined_where_the_mask_was_left_to_the_kernel(past: int) -> None:
    q, k, v, prefix = tensors(past)
    found = run("sdpa", module(joined=prefix), q, k, v, None)
    torch.testing.assert_close(found, written_out(q, k, v, causal(past), prefix))


def test_one_new_token_needs_no_mask() -> None:
    q, k, v, prefix = tensors()
    found = run("sdpa", module(joined=prefix), q[:, :, -1:], k, v, None)
    torch.testing.assert_close(found, written_out(q, k, v, causal(), prefix)[:, -1:])


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("name", ["causal", "window", "padding", "cache"])
@pytest.mark.parametrize("heads", [1, H])
def test_gated_is_a_softmax_of_its_own(implementation: str, name: str, heads: int) -> None:
    seen = SEEN[name]()
    q, k, v, prefix = tensors(past=seen.shape[2] - T)
    gate = torch.linspace(-1, 2, heads)
    attention = module(gated=GatedKV(prefix, gate))
    found = run(implementation, attention, q, k, v, as_mask(seen, implementation))
    beside = written_out(q, k, v, torch.zeros_like(seen), prefix)
    torch.testing.assert_close(found, written_out(q, k, v, seen, None) + gate[:, None] * beside)


def test_a_static_caches_longer_mask_is_cut() -> None:
    q, k, v, prefix = tensors()
    longer = torch.cat([causal(), torch.ones(B, T, 6, dtype=torch.bool)], -1)[:, None]
    found = run("sdpa", module(joined=prefix), q, k, v, longer)
    torch.testing.assert_close(found, written_out(q, k, v, causal(), prefix))


def test_a_prefix_takes_the_precision_of_the_text() -> None:
    q, k, v, prefix = tensors()
    found = run("sdpa", module(joined=prefix), q.bfloat16(), k.bfloat16(), v.bfloat16(), None)
    assert found.dtype == torch.bfloat16
    torch.testing.assert_close(found.float(), written_out(q, k, v, causal(), prefix), rtol=0, atol=0.05)


def test_without_a_slot_it_is_the_plain_implementation() -> None:
    q, k, v, _ = tensors()
    attention = module()
    del attention.__dict__[STATE]
    found = run("eager", attention, q, k, v, as_mask(causal(), "eager"))
    torch.testing.assert_close(found, written_out(q, k, v, causal(), None))
