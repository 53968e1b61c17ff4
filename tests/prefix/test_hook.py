"""Law: a prefix is served exactly, or the model is refused by name before anything is trained; never wrong in silence.

Exactly means: tokens read once into keys and values at negative positions equal the same tokens in front of each text.
The comparison is shown to notice one token or one position more or less.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import (
    AutoModelForCausalLM,
    BambaConfig,
    BloomConfig,
    FalconH1Config,
    GPT2Config,
    GPTNeoConfig,
    JambaConfig,
    Lfm2Config,
    LlamaConfig,
    MptConfig,
    OPTConfig,
    PreTrainedConfig,
    RwkvConfig,
)

from polyprefix.adapters import registry
from polyprefix.adapters.attach import attach
from polyprefix.errors import ModelError
from polyprefix.prefix import AttentionHook, KVPrefix, LayerKV
from polyprefix.testing.tiny import CONFIGS, SHAPE, tiny_base, tiny_model, tokens

P, T, WINDOW = 3, 5, 8
SMALL: dict[str, Any] = {"vocab_size": 260, "hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2}
HYBRID = {**SHAPE, "num_hidden_layers": 2}
REFUSED: dict[str, tuple[Callable[[], PreTrainedConfig], str]] = {
    "learned absolute positions": (
        lambda: GPT2Config(vocab_size=260, n_embd=32, n_head=4, n_layer=2, n_positions=64),
        "cannot read tokens at negative positions",
    ),
    "learned absolute positions with an offset": (
        lambda: OPTConfig(**SMALL, ffn_dim=48, word_embed_proj_dim=32, max_position_embeddings=64),
        "cannot read tokens at negative positions",
    ),
    "linear biases": (lambda: BloomConfig(vocab_size=260, hidden_size=32, n_head=4, n_layer=2), "bypass"),
    "linear biases in another form": (
        lambda: MptConfig(vocab_size=260, d_model=32, n_heads=4, n_layers=2, max_seq_len=64),
        "bypass",
    ),
    "attention of its own": (
        lambda: GPTNeoConfig(
            vocab_size=260, hidden_size=32, num_heads=4, num_layers=2, max_position_embeddings=64,
            attention_types=[[["global", "local"], 1]],
        ),
        "bypass",
    ),
    "state space and attention layers": (
        lambda: JambaConfig(**HYBRID, num_experts=2, attn_layer_period=2, attn_layer_offset=1, use_mamba_kernels=False),
        "recurrent layers",
    ),
    "state space and attention layers, Mamba 2": (
        lambda: BambaConfig(**HYBRID, attn_layer_indices=[1], mamba_n_heads=4, mamba_d_head=16, mamba_d_state=8),
        "recurrent layers",
    ),
    "state space and attention within each layer": (
        lambda: FalconH1Config(**HYBRID, mamba_d_ssm=64, mamba_n_heads=4, mamba_d_head=16, mamba_n_groups=1),
        "recurrent layers",
    ),
    "no attention": (lambda: RwkvConfig(**{**SMALL, "attention_hidden_size": 32}), "recurrent layers"),
    "convolution and attention layers": (
        lambda: Lfm2Config(**HYBRID, layer_types=["conv", "full_attention"]),
        "only 1 of its 2 layers",
    ),
}  # fmt: skip


def front_and_text(length: int = T) -> tuple[Tensor, Tensor]:
    return tokens(1, P, seed=3), tokens(2, length, seed=4)


def with_shots(model: Any, front: Tensor, text: Tensor) -> Tensor:
    """Logits of the text with the tokens in front of each example."""
    with torch.no_grad():
        return model(torch.cat([front.expand(len(text), -1), text], 1), use_cache=False).logits[:, front.shape[1] :]


def as_prefix(model: Any, front: Tensor, text: Tensor, start: int | None = None) -> Tensor:
    hook = AttentionHook.of(model)
    with (
        torch.no_grad(),
        hook.using(hook.compute_kv(input_ids=front, start=-front.shape[1] if start is None else start)),
    ):
        return model(text, use_cache=False).logits


def apart(a: Tensor, b: Tensor) -> float:
    return ((a - b).abs().max() / b.abs().max()).item()


# --- exact -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_prefix_is_the_same_tokens_in_front(kind: str) -> None:
    model, (front, text) = tiny_model(kind), front_and_text()
    assert apart(as_prefix(model, front, text), with_shots(tiny_model(kind), front, text)) < 1e-5


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("change", ["no prefix", "one token less", "one position earlier", "one position later"])
def test_the_comparison_has_the_power_to_tell(kind: str, change: str) -> None:
    model, (front, text) = tiny_model(kind), front_and_text()
    wanted = with_shots(tiny_model(kind), front, text)
    if change == "no prefix":
        found = model(text, use_cache=False).logits
    elif change == "one token less":
        found = as_prefix(model, front[:, 1:], text)
    else:
        found = as_prefix(model, front, text, start=-P + (1 if change.endswith("later") else -1))
    assert apart(found, wanted) > 1e-3


ROPE: dict[str, dict[str, Any]] = {
    "linear": {"rope_type": "linear", "factor": 4.0},
    "llama3": {
        "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
        "original_max_position_embeddings": 32,
    },
    "yarn": {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32},
}  # fmt: skip


@pytest.mark.parametrize("scaling", ROPE)
def test_scaled_rotary_embedding(scaling: str) -> None:
    """Beyond the original length too: angles still depend on differences of positions alone."""
    rope = {"rope_theta": 10_000.0, **ROPE[scaling]}
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(LlamaConfig(**{**SHAPE, "rope_parameters": rope})).eval()
    front, text = front_and_text(40)
    wanted = with_shots(model, front, text)
    plain = AutoModelForCausalLM.from_config(LlamaConfig(**SHAPE)).eval()
    plain.load_state_dict(model.state_dict())
    assert apart(with_shots(plain, front, text), wanted) > 1e-3, "the scaling plays no part"
    assert apart(as_prefix(model, front, text), wanted) < 1e-5


@pytest.mark.parametrize("kind", CONFIGS)
def test_left_padded_rows_see_the_prefix(kind: str) -> None:
    front, text = front_and_text()
    model = tiny_model(kind)
    alone = as_prefix(model, front, text)
    pads = torch.zeros(2, 4, dtype=torch.long)
    ids, mask = torch.cat([pads, text], 1), torch.cat([pads, torch.ones_like(text)], 1)
    hook = AttentionHook.of(model)
    with torch.no_grad(), hook.using(hook.compute_kv(input_ids=front, start=-P)):
        padded = model(ids, attention_mask=mask, position_ids=(mask.cumsum(1) - 1).clamp(min=0), use_cache=False).logits
    assert apart(padded[:, 4:], alone) < 1e-5


@pytest.mark.parametrize("kind", ["mistral-sliding", "gemma2", "gemma3", "gpt-oss"])
def test_each_layer_sees_its_prefix_beyond_the_window(kind: str) -> None:
    """The last layer's prefix can reach a token only through that token's own attention."""
    model = tiny_model(kind)
    hook = AttentionHook.of(model)
    assert hook.lengths.window == WINDOW
    last = hook.layers - 1
    groups, k, v = hook.kv_shape(last)
    values = torch.zeros(1, groups, P, v, requires_grad=True)
    with hook.using(KVPrefix({last: LayerKV(torch.zeros(1, groups, P, k), values)})):
        logits = model(tokens(1, 3 * WINDOW), use_cache=False).logits
    for position in (0, WINDOW - 1, WINDOW, 3 * WINDOW - 1):
        gradient = torch.autograd.grad(logits[0, position].square().sum(), values, retain_graph=True)[0]
        assert gradient.abs().amax((0, 3)).min() > 0, f"token {position} does not see all of it"


@pytest.mark.parametrize("kind", ["llama-gqa-tied", "gemma3"])
@pytest.mark.parametrize("name", ["prefix", "soft-prompt", "llama-adapter"])
def test_flex_attention_equals_sdpa(kind: str, name: str) -> None:
    """With left padding; uncompiled, which takes a second where compiling for a processor takes minutes."""
    pads, text = torch.zeros(1, 4, dtype=torch.long), tokens(1, 12)
    ids = torch.cat([torch.cat([pads, text], 1), tokens(1, 16, seed=1)])
    logits = []
    with torch.compiler.set_stance("force_eager"), torch.no_grad():
        for attention in ("sdpa", "flex_attention"):
            model = attach(tiny_base(kind, attention), registry.build({"name": name, "length": 5}), seed=1)
            for _, parameter in model.trainable():
                parameter += 0.1
            logits.append(model(ids, (ids != 0).long()).logits[ids != 0])
    assert apart(logits[1], logits[0]) < 1e-4


# --- what it tells -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", CONFIGS)
def test_hidden_states_projected_are_the_keys_that_the_model_made(kind: str) -> None:
    hook = AttentionHook.of(tiny_model(kind))
    ids = tokens(1, P)
    read = hook.compute_kv(input_ids=ids, start=-P).joined
    for layer, kv in hook.project(hook.hidden(ids, start=-P), range(-P, 0)).items():
        torch.testing.assert_close(kv.keys, read[layer].keys, rtol=0, atol=1e-5)
        torch.testing.assert_close(kv.values, read[layer].values, rtol=0, atol=1e-5)
        assert hook.kv_shape(layer) == (kv.keys.shape[1], kv.keys.shape[3], kv.values.shape[3])


def test_a_prefix_ends_with_its_block() -> None:
    model, (front, text) = tiny_model("gemma3"), front_and_text()
    before = model(text).logits
    as_prefix(model, front, text)
    torch.testing.assert_close(model(text).logits, before)


def test_projections_follow_a_change_of_precision() -> None:
    hook = AttentionHook.of(tiny_model("llama-gqa-tied"))
    states = hook.hidden(tokens(1, P), start=-P)
    exact = hook.project(states, range(-P, 0))
    hook.model.to(torch.bfloat16)
    for layer, kv in hook.project(states, range(-P, 0)).items():
        assert kv.keys.dtype == torch.bfloat16
        torch.testing.assert_close(kv.keys.float(), exact[layer].keys, rtol=0.05, atol=0.05)


@pytest.mark.parametrize("ids", [torch.zeros(2, 3, dtype=torch.long), torch.zeros(1, 0, dtype=torch.long)])
def test_reading_takes_one_row_of_tokens(ids: Tensor) -> None:
    with pytest.raises(ValueError, match="P >= 1"):
        AttentionHook.of(tiny_model("llama-gqa-tied")).compute_kv(input_ids=ids)


def test_one_model_has_one_seam() -> None:
    model = tiny_model("llama-gqa-tied")
    assert AttentionHook.of(model) is AttentionHook.of(model)


# --- refused -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_served_is_refused_by_name(case: str) -> None:
    config, reason = REFUSED[case]
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config()).eval()
    with pytest.raises(
        ModelError, match=f"^{type(model).__name__} cannot be served with a prefix: .*{reason}"
    ) as error:
        AttentionHook.of(model)
    assert "\n" not in str(error.value)


def test_recurrence_is_noticed_without_a_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no flag tells, the comparison of logits does."""
    torch.manual_seed(0)
    config = REFUSED["state space and attention within each layer"][0]()
    model = AutoModelForCausalLM.from_config(config).eval()
    monkeypatch.setattr(type(model), "_is_stateful", False)
    with pytest.raises(ModelError, match="logits differ by"):
        AttentionHook.of(model)


def test_attention_that_is_not_ours_to_wrap_is_refused() -> None:
    model = tiny_model("llama-gqa-tied")
    model.config._attn_implementation = "paged|sdpa"
    with pytest.raises(ModelError, match="load it with one of sdpa, eager, flex_attention"):
        AttentionHook.of(model)


def test_refusal_comes_from_attach_too() -> None:
    base = tiny_base("llama-gqa-tied")
    base.__dict__["model"] = AutoModelForCausalLM.from_config(REFUSED["learned absolute positions"][0]()).eval()
    with pytest.raises(ModelError, match="GPT2LMHeadModel"):
        attach(base, registry.build({"name": "prefix"}))
