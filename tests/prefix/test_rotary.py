"""Keys that a layer makes at some positions, moved by n, are those that it makes n later, for any rotary embedding.

In float32 to 1e-5 of the largest; in bfloat16 to the 8 bits that the model itself computes positions in.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, Phi3Config, SmolLM3Config, StableLmConfig

from polyprefix.errors import ModelError
from polyprefix.prefix import AttentionHook
from polyprefix.prefix.rotary import measure, rotate
from polyprefix.testing.tiny import CONFIGS, SHAPE, tiny_model

P = 7


def scaled(**rope: Any) -> LlamaConfig:
    return LlamaConfig(**SHAPE, rope_parameters={"rope_theta": 10000.0, **rope})


MORE: dict[str, Any] = {
    "llama3 scaling": lambda: scaled(
        rope_type="llama3", factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=64
    ),
    "yarn, with its factor on keys": lambda: scaled(rope_type="yarn", factor=4.0, original_max_position_embeddings=64),
    "linear scaling": lambda: scaled(rope_type="linear", factor=4.0),
    "slow, as for long texts": lambda: scaled(rope_type="default", rope_theta=1e8),
    "half of the dimensions": lambda: StableLmConfig(**SHAPE, partial_rotary_factor=0.5),
    "none in every second layer": lambda: SmolLM3Config(**SHAPE, no_rope_layer_interval=2),
    "other speeds for long texts": lambda: Phi3Config(
        **{**SHAPE, "max_position_embeddings": 1024}, original_max_position_embeddings=512,
        rope_parameters={
            "rope_type": "longrope", "rope_theta": 10000.0,
            "long_factor": [8.0] * 4, "short_factor": [1, 1.1, 1.2, 1.3],
        },
    ),
}  # fmt: skip


def seam_of(kind: str) -> AttentionHook:
    if kind in CONFIGS:
        return AttentionHook.of(tiny_model(kind))
    torch.manual_seed(0)
    return AttentionHook.of(AutoModelForCausalLM.from_config(MORE[kind](), attn_implementation="sdpa").eval())


@torch.no_grad()
def before_and_after(hook: AttentionHook, by: int = P) -> list[tuple[torch.Tensor, torch.Tensor]]:
    """Keys [1, G, P, K] of each layer at -P..-1 and `by` positions later."""
    generator = torch.Generator().manual_seed(5)
    hidden = {i: torch.randn(1, P, hook.width, generator=generator) for i in range(hook.layers)}
    before, after = hook.project(hidden, range(-P, 0)), hook.project(hidden, range(-P + by, by))
    return [(before[i].keys, after[i].keys) for i in hidden]


@pytest.mark.parametrize("kind", [*CONFIGS, *MORE])
def test_moved_keys_are_the_keys_of_the_other_positions(kind: str) -> None:
    hook = seam_of(kind)
    for layer, (before, after) in enumerate(before_and_after(hook)):
        torch.testing.assert_close(rotate(before, P, hook, layer), after, rtol=0, atol=1e-5 * after.abs().max().item())
        back = rotate(rotate(before, P, hook, layer), -P, hook, layer)
        torch.testing.assert_close(back, before, rtol=0, atol=1e-6 * before.abs().max().item())


def test_moving_far_keeps_the_precision() -> None:
    hook = seam_of("llama-gqa-tied")
    for layer, (before, after) in enumerate(before_and_after(hook, 500)):
        torch.testing.assert_close(rotate(before, 500, hook, layer), after, rtol=0, atol=1e-4)


@pytest.mark.parametrize("kind", ["llama-gqa-tied", "gemma3", "cohere", "gpt-neox"])
def test_in_bfloat16_it_errs_no_more_than_the_model(kind: str) -> None:
    model = tiny_model(kind).to(torch.bfloat16)
    hook = AttentionHook.of(model)
    for layer, (before, after) in enumerate(before_and_after(hook)):
        wrong = (rotate(before.float(), P, hook, layer) - after.float()).pow(2).mean().sqrt()
        assert wrong < 0.01 * after.float().std()


def test_speeds_and_pairs_are_those_of_the_configuration() -> None:
    """Llama pairs dimension i with i + K/2, which turns by theta^(-2 i / K) a position."""
    rotary = measure(seam_of("llama-gqa-tied"))[0]
    assert rotary.partner.tolist() == [4, 5, 6, 7, 0, 1, 2, 3]
    expected = 10000.0 ** -(torch.arange(4, dtype=torch.float64) / 4)
    torch.testing.assert_close(rotary.speed, torch.cat([expected, -expected]), rtol=1e-6, atol=1e-9)
    unrotated = measure(seam_of("none in every second layer"))
    assert [bool((layer.speed != 0).any()) for layer in unrotated] == [True, False, True]


def test_dimensions_that_the_key_norm_switches_off_turn_too() -> None:
    """A trained key can be other than zero there, and queries are."""
    model = tiny_model("qwen3")
    whole = measure(AttentionHook.of(tiny_model("qwen3")))
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.k_norm.weight[[2, 5, 10]] = 0
    for found, expected in zip(measure(AttentionHook.of(model)), whole, strict=True):
        assert torch.equal(found.partner, expected.partner)
        torch.testing.assert_close(found.speed, expected.speed, rtol=0, atol=1e-7)


def test_keys_that_do_not_turn_in_pairs_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    hook = seam_of("llama-mha")
    project = hook.project_all

    def stretched(hidden: Any, positions: Any) -> Any:
        made = project(hidden, positions)
        for _, kv in made.values():
            kv.keys.mul_(1 + 0.01 * torch.as_tensor(list(positions)).clamp(max=100)[:, None])
        return made

    monkeypatch.setattr(hook, "project_all", stretched)
    with pytest.raises(ModelError, match="do not turn in pairs"):
        measure(hook)
