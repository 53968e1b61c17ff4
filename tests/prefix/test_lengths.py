"""Law: the answer of a text is the same alone and in any company, below and above every length at which a model changes.

For every decoder that transformers knows and that can be built tiny. What cannot be served exactly is refused by name. Each check fails
where rotary phases are left to the longest text of a batch, or where common tokens are read with another text's phases.
"""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from tests.architectures import CONFIGS, LENGTH_DEPENDENT, tiny_copy
from torch import Tensor
from transformers import AutoModelForCausalLM, GptOssConfig, Llama4TextConfig

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.errors import ModelError
from polyprefix.evaluation.generation import generate_until
from polyprefix.evaluation.loglikelihood import loglikelihood
from polyprefix.models.load import BaseModel
from polyprefix.models.shrink import lengths_of, shrunken
from polyprefix.prefix import AttentionHook
from polyprefix.prefix.lengths import UNLIMITED, Limits
from polyprefix.testing.tiny import tiny_model
from polyprefix.text.tokens import TokenizedPrompt
from polyprefix.types import Prompt

TOLERANCE = 1e-4
COMMON, NEW = 5, 6
BUILT = 100
"""Architectures at least that can be built tiny, so that the law is not about nothing."""


def ids_of(length: int, vocabulary: int) -> tuple[int, ...]:
    """Random tokens of a text; all begin with the same few."""
    draw = torch.Generator().manual_seed(length)
    common = tuple(range(4, 4 + COMMON))
    return common + tuple(torch.randint(4, vocabulary, (length - COMMON,), generator=draw).tolist())


def lengths_around(base: BaseModel) -> list[int]:
    """Below, at and beyond each switch."""
    switches = AttentionHook.of(base.model).lengths.switches
    found = {COMMON + 3, COMMON + 9, *(n + more for n in switches for more in (-3, -1, 0, 1, 2, 7))}
    return sorted(n for n in found if n > COMMON + 1)


def item(ids: tuple[int, ...], choices: tuple[tuple[int, ...], ...] = ()) -> TokenizedPrompt:
    prompt = Prompt("id", "eng_Latn", "", "", choices=tuple(map(str, choices)), max_new_tokens=NEW, verbatim=True)
    return TokenizedPrompt(prompt, ids, choices[0] if choices else (5,), choices)


def alone(model: AdaptedModel, ids: tuple[int, ...]) -> Tensor:
    """Logits [T, V] of one text that nothing came before and nothing stands beside."""
    same = (model.model.config, model.base.tokenizer)  # which no pass changes
    fresh = copy.deepcopy(model, {id(one): one for one in same})
    with torch.no_grad():
        return fresh(torch.tensor([ids])).logits[0]


def by_transformers(model: AdaptedModel, ids: tuple[int, ...]) -> Tensor:
    """The same from the model as transformers runs it."""
    plain = copy.deepcopy(model.model)
    plain.set_attn_implementation(plain.config._attn_implementation.removeprefix("polyprefix_"))
    for module in plain.modules():
        module._forward_pre_hooks.clear()
        module._forward_hooks.clear()
    with torch.no_grad():
        return plain(input_ids=torch.tensor([ids]), use_cache=False).logits[0]


def close(found: Tensor, wanted: Tensor) -> None:
    torch.testing.assert_close(found, wanted, rtol=0, atol=TOLERANCE * max(1.0, wanted.abs().max().item()))


def served(model: AdaptedModel, lengths: list[int]) -> list[int]:
    """Those that are not refused."""
    return [n for n in lengths if n + 1 <= model.hook.lengths.limits.alone]


def test_most_architectures_can_be_built_tiny() -> None:
    built = [kind for kind in CONFIGS if not str(tiny_copy(kind)).startswith("cannot")]
    assert len(built) >= BUILT


@pytest.mark.parametrize("kind", CONFIGS)
def test_each_text_alone_is_each_text_in_any_company(kind: str) -> None:
    base = tiny_copy(kind)
    if isinstance(base, str):
        assert base.startswith(("cannot be built tiny", "refused: "))
        return
    model = attach(base, registry.build({"name": "none"}))
    vocabulary = base.model.get_input_embeddings().weight.shape[0]
    texts = [ids_of(n, vocabulary) for n in served(model, lengths_around(base))]
    for ids in texts:
        close(alone(model, ids), by_transformers(model, ids))
    ranking = [item(ids[:-1], ((ids[-1],), (7,), (8, 9, 10))) for ids in texts]
    beside = loglikelihood(model, ranking, 4096)
    for ids, ranked in zip(texts, beside, strict=True):
        logits = alone(model, (*ids[:-1], 8, 9)).log_softmax(-1)
        longest = sum(logits[len(ids) - 2 + n, token].item() for n, token in enumerate((8, 9, 10)))
        first = alone(model, ids[:-1]).log_softmax(-1)[-1]
        close(torch.tensor(ranked.log_likelihoods), torch.tensor([first[ids[-1]], first[7], longest]))


@pytest.mark.parametrize("method", ["soft-prompt", "prefix", "lora"])
@pytest.mark.parametrize("kind", [*LENGTH_DEPENDENT, "llama4_text", "gemma3_text", "gpt_oss", "mistral"])
def test_an_adapted_model_too(kind: str, method: str) -> None:
    """In padded rows given by a caller, in the engine, and in training's passes."""
    base = tiny_copy(kind)
    assert isinstance(base, BaseModel)
    own = {"rank": 2} if method == "lora" else {"length": 3}
    model = attach(base, registry.build({"name": method, **own}), seed=1)
    for _, parameter in model.trainable():
        parameter.data += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(1))
    vocabulary = base.model.get_input_embeddings().weight.shape[0]
    lengths = served(model, lengths_around(base))
    texts = [ids_of(n, vocabulary) for n in lengths]
    for ranked, ids in zip(loglikelihood(model, [item(t[:-1], ((t[-1],),)) for t in texts], 4096), texts, strict=True):
        wanted = alone(model, ids[:-1]).log_softmax(-1)[-1, ids[-1]]
        close(torch.tensor(ranked.log_likelihoods[0]), wanted)
    rows = [ids for ids in texts if len(ids) <= model.hook.lengths.limits.together]
    width = max(map(len, rows))
    padded = torch.tensor([(0,) * (width - len(ids)) + ids for ids in rows])
    mask = torch.tensor([[0] * (width - len(ids)) + [1] * len(ids) for ids in rows])
    with torch.no_grad():
        logits = model(padded, mask).logits
    for n, ids in enumerate(rows):
        close(logits[n, width - len(ids) :], alone(model, ids))


@pytest.mark.parametrize("kind", [*LENGTH_DEPENDENT, "gemma3_text", "jetmoe", "deepseek_v3", "llama4_text"])
def test_written_answers_are_those_without_a_cache_one_by_one(kind: str) -> None:
    """Also where an answer grows across a length at which the model changes."""
    base = tiny_copy(kind)
    assert isinstance(base, BaseModel)
    model = attach(base, registry.build({"name": "soft-prompt", "length": 3}), seed=1)
    base.model.generation_config.eos_token_id = None
    vocabulary = base.model.get_input_embeddings().weight.shape[0]
    prompts = [ids_of(n, vocabulary) for n in lengths_around(base) if n + NEW <= model.hook.lengths.limits.alone]
    found = generate_until(model, [item(ids) for ids in prompts], 4096)
    for ids, answer in zip(prompts, found, strict=True):
        whole = ids
        for _ in range(NEW):
            whole = (*whole, int(alone(model, whole)[-1].argmax()))
        assert answer == base.tokenizer.decode(whole[len(ids) :], skip_special_tokens=True)


@pytest.mark.parametrize("kind", LENGTH_DEPENDENT)
def test_common_tokens_are_read_with_the_phases_of_the_text(kind: str) -> None:
    base = tiny_copy(kind)
    assert isinstance(base, BaseModel)
    model = attach(base, registry.build({"name": "soft-prompt", "length": 3}), seed=1)
    switch = model.hook.lengths.rope.switches[0]
    for length in (switch, switch + 1, switch + 9):
        ids = ids_of(length, 260)
        shared = torch.tensor(ids[:COMMON])
        with torch.no_grad():
            found = model(torch.tensor([ids[COMMON:]]), common_prefix=shared).logits[0]
        close(found, alone(model, ids)[COMMON:])


def test_rows_that_a_caller_packed_are_exact_or_refused() -> None:
    """Sequences of one regime go through in one row; of two, they are refused and not mixed up."""
    base = tiny_copy("llama longrope")
    assert isinstance(base, BaseModel)
    model = attach(base, registry.build({"name": "prefix", "length": 3}), seed=1)
    switch = model.hook.lengths.rope.switches[0]

    def packed(*lengths: int) -> tuple[Tensor, list[tuple[int, ...]]]:
        texts = [ids_of(n, 260) for n in lengths]
        positions = torch.cat([torch.arange(n) for n in lengths])[None]
        with torch.no_grad():
            return model(torch.tensor([sum(texts, ())]), position_ids=positions).logits[0], texts

    for lengths in ((switch - 2, switch), (switch + 1, switch + 9)):
        found, texts = packed(*lengths)
        close(found, torch.cat([alone(model, ids) for ids in texts]))
    with pytest.raises(ValueError, match="need passes of their own"):
        packed(switch - 2, switch + 9)


@pytest.mark.parametrize("shared", [0, COMMON])
def test_generation_across_a_switch_behind_shared_tokens(shared: int) -> None:
    base = tiny_copy("llama longrope")
    assert isinstance(base, BaseModel)
    model = attach(base, registry.build({"name": "soft-prompt", "length": 3}), seed=1)
    base.model.generation_config.eos_token_id = None
    ids = ids_of(model.hook.lengths.rope.switches[0] - 2, 260)
    given = {"common_prefix": torch.tensor(ids[:shared])} if shared else {}
    out = model.generate(torch.tensor([ids[shared:]]), max_new_tokens=NEW, do_sample=False, **given)
    whole = ids
    for _ in range(NEW):
        whole = (*whole, int(alone(model, whole)[-1].argmax()))
    assert out[0].tolist() == list(whole[shared:])
    with pytest.raises(ValueError, match="rotary phases change"):
        model.generate(
            torch.tensor([ids[COMMON:]]), prefix=model.compute_prefix(torch.tensor(ids[:COMMON])), max_new_tokens=NEW
        )


def test_a_context_of_another_length_is_refused() -> None:
    base = tiny_copy("llama longrope")
    assert isinstance(base, BaseModel)
    model = attach(base, registry.build({"name": "soft-prompt", "length": 3}))
    prefix = model.compute_prefix(length=5)
    with pytest.raises(ValueError, match="not computed for sequences of 30 tokens"):
        model(torch.tensor([ids_of(30, 260)]), prefix=prefix)


# --- limits ------------------------------------------------------------------------------------------------------


def limits_of(config: Any) -> tuple[Limits, dict[str, int]]:
    """Measured on a model with one small layer more than needed, whose lengths are real."""
    config.num_hidden_layers = 1
    torch.manual_seed(0)
    return AttentionHook.of(AutoModelForCausalLM.from_config(config).eval()).limits, lengths_of(config)


def test_limits_are_in_the_real_models_tokens() -> None:
    small = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 4, "head_dim": 8, "vocab_size": 97}
    llama4 = Llama4TextConfig(
        **small, num_key_value_heads=2, num_local_experts=2, intermediate_size_mlp=32, num_hidden_layers=4,
        attention_chunk_size=8192, floor_scale=4096, layer_types=["chunked_attention"] * 3 + ["full_attention"],
        no_rope_layers=[1, 1, 1, 0], pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    model, _ = shrunken(llama4, "sdpa")
    assert AttentionHook.of(model).lengths.limits.together < UNLIMITED, (
        "temperature by the place in a row is not noticed"
    )
    torch.manual_seed(0)
    hook = AttentionHook.of(AutoModelForCausalLM.from_config(llama4).eval())
    assert hook.lengths.limits == Limits(shared=4095, together=4095, row=4095)


def test_a_window_limits_what_is_shared_and_nothing_else() -> None:
    config = GptOssConfig(
        hidden_size=32, intermediate_size=32, num_attention_heads=4, num_key_value_heads=2, head_dim=8, vocab_size=97,
        num_local_experts=2, num_experts_per_tok=2, num_hidden_layers=2, sliding_window=100, pad_token_id=0, bos_token_id=1, eos_token_id=2,
    )  # fmt: skip
    hook = AttentionHook.of(AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval())
    assert hook.lengths.limits == Limits(shared=100)


def test_longer_texts_than_are_served_are_refused_by_name() -> None:
    base = tiny_copy("llama longrope")
    assert isinstance(base, BaseModel)
    model = attach(base, registry.build({"name": "none"}))
    model.hook.lengths.__dict__["limits"] = Limits(shared=20, together=30, alone=40)
    with pytest.raises(ModelError, match="LlamaForCausalLM: sequences of 41 tokens are not served exactly"):
        model(torch.tensor([ids_of(41, 260)]))
    with pytest.raises(ModelError, match="not served exactly"):
        loglikelihood(model, [item(ids_of(45, 260), ((5,),))], 4096)
    with pytest.raises(ModelError, match="by itself, without padding"):
        model(torch.tensor([ids_of(35, 260)] * 2))
    close(rank_of(model, [35, 36, 9])[0], rank_of(model, [35])[0])


def rank_of(model: AdaptedModel, lengths: list[int]) -> Tensor:
    ranked = loglikelihood(model, [item(ids_of(n, 260), ((5,), (6, 7))) for n in lengths], 4096)
    return torch.tensor([r.log_likelihoods for r in ranked])


@pytest.mark.parametrize("room", [True, False])
def test_where_there_is_no_tiny_copy_the_model_itself_is_measured(room: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a second one beside it, or where memory has no room for two."""
    monkeypatch.setattr("polyprefix.prefix.limits._of_copy", lambda key, kind: None)
    if not room:
        monkeypatch.setattr("polyprefix.prefix.limits.MOST_PARAMETERS", 0)
    for kind, wanted in (("gemma3", Limits(shared=8)), ("gpt-oss", Limits(shared=8)), ("qwen2", Limits())):
        assert AttentionHook.of(tiny_model(kind)).lengths.limits == wanted
    base = tiny_copy("llama4_text")
    assert isinstance(base, BaseModel)
    AttentionHook.of(base.model).remove()
    assert AttentionHook.of(base.model).lengths.limits == Limits(shared=11, together=11, row=11)
