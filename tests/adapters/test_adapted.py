"""Law: an adapted model is called like the base; positions, shared tokens and refusals are what its arguments say."""

from __future__ import annotations

import pytest
import torch

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.errors import ConfigError, ModelError
from polyprefix.models.load import BaseModel
from polyprefix.testing.tiny import tiny_base, tokens

KIND = "llama-gqa-tied"


def adapted(name: str = "prefix", base: BaseModel | None = None, **settings: object) -> AdaptedModel:
    return attach(base or tiny_base(KIND), registry.build({"name": name, **settings})).eval()


def same(a: torch.Tensor, b: torch.Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=1e-5 * b.abs().max().item())


def test_logits_are_those_of_the_text_alone() -> None:
    model = adapted(length=5)
    out = model(tokens(2, 7), labels=tokens(2, 7))
    assert out.logits.shape == (2, 7, 260) and out.loss.requires_grad and out.past_key_values is None


def test_only_the_last_logits() -> None:
    model, ids = adapted(length=5), tokens(2, 7)
    same(model(ids, logits_to_keep=2).logits, model(ids).logits[:, -2:])


def test_embeddings_instead_of_tokens() -> None:
    model, ids = adapted(length=5), tokens(2, 7)
    same(model(inputs_embeds=model.model.get_input_embeddings()(ids)).logits, model(ids).logits)


def test_positions_are_the_texts_own_from_zero() -> None:
    model, ids = adapted(length=5), tokens(2, 7)
    same(model(ids, position_ids=torch.arange(7)[None]).logits, model(ids).logits)
    assert not torch.allclose(model(ids, position_ids=torch.arange(1, 8)[None]).logits, model(ids).logits, atol=1e-3)


def test_text_in_two_parts_through_the_cache() -> None:
    model, ids = adapted(length=5), tokens(2, 9)
    first = model(ids[:, :4], use_cache=True)
    assert first.past_key_values.get_seq_length() == 4, "the prefix is not in the cache"
    same(model(ids[:, 4:], past_key_values=first.past_key_values).logits, model(ids).logits[:, 4:])


def test_a_context_serves_many_batches() -> None:
    model, shared = adapted(length=5), tokens(1, 4, seed=1)
    with torch.no_grad():
        prefix = model.compute_prefix(shared)
        for seed in (2, 3):
            ids = tokens(3, 6, seed=seed)
            same(model(ids, prefix=prefix).logits, model(ids, common_prefix=shared).logits)


@pytest.mark.parametrize("shared", [None, torch.zeros(0, dtype=torch.long), torch.zeros(1, 0, dtype=torch.long)])
def test_nothing_shared_is_nothing(shared: torch.Tensor | None) -> None:
    model, ids = adapted(length=5), tokens(2, 6)
    same(model(ids, common_prefix=shared).logits, model(ids).logits)


def test_sharing_is_all_or_none_beyond_a_window() -> None:
    windowed = adapted(length=5, base=tiny_base("gemma3"))
    assert (windowed.shareable(4, 8), windowed.shareable(4, 9)) == (4, 0)
    assert adapted(length=5).shareable(4, 9_000) == 4
    with pytest.raises(ValueError, match="sliding window of 8"):
        windowed.generate(tokens(1, 4), common_prefix=tokens(1, 2), max_new_tokens=3)


def test_counts() -> None:
    model = adapted(length=5)
    base = sum(p.numel() for p in model.model.parameters())
    assert model.parameter_counts() == {"trainable": 3 * 5 * 2 * 16, "total": base + 3 * 5 * 2 * 16}
    model = adapted("full")
    assert model.parameter_counts() == {"trainable": base, "total": base}


def test_one_base_serves_many_prefixes() -> None:
    base, ids = tiny_base(KIND), tokens(2, 6)
    models = [adapted(name, base, length=5) for name in ("prefix", "soft-prompt", "llama-adapter")]
    first = [m(ids).logits for m in models]
    for model, logits in zip(models, first, strict=True):
        same(model(ids).logits, logits)


@pytest.mark.parametrize("name", ["lora", "full"])
def test_a_changed_base_serves_no_other(name: str) -> None:
    base = tiny_base(KIND)
    adapted(name, base)
    with pytest.raises(ModelError, match=f"changed by an earlier '{name}'"):
        adapted("prefix", base)


@pytest.mark.parametrize("name", ["prefix", "llama-adapter"])
def test_layers_that_the_model_does_not_have(name: str) -> None:
    with pytest.raises(ConfigError, match="the model has 3 layers"):
        adapted(name, layers="top:4")


def test_lora_targets_that_the_model_does_not_have() -> None:
    base = tiny_base(KIND)
    with pytest.raises(ConfigError, match=r"method\.targets"):
        adapted("lora", base, targets=("c_attn",))
    adapted("prefix", base)  # a refusal leaves the base as it was


def test_the_same_seed_gives_the_same_start() -> None:
    def start(seed: int, name: str, **settings: object) -> torch.Tensor:
        model = attach(tiny_base(KIND), registry.build({"name": name, **settings}), seed=seed)
        return torch.cat([p.detach().flatten() for _, p in model.trainable()])

    for settings in ({"name": "prefix", "init": "random"}, {"name": "soft-prompt", "init": "random"}, {"name": "lora"}):
        assert torch.equal(start(1, **settings), start(1, **settings))
        assert not torch.equal(start(1, **settings), start(2, **settings))


def test_it_begins_as_the_text_that_it_starts_from() -> None:
    """Prefix, projected prefix and soft prompt from a text are that text in front: an ordinary context, not noise."""
    base, ids = tiny_base(KIND), tokens(2, 6)
    text = base.tokenizer("Answer", add_special_tokens=False, return_tensors="pt")["input_ids"]
    wanted = tiny_base(KIND).model(torch.cat([text.expand(2, -1), ids], 1)).logits[:, text.shape[1] :]
    for settings in ({"name": "prefix"}, {"name": "prefix", "parametrization": "projected"}, {"name": "soft-prompt"}):
        model = adapted(**settings, base=base, length=text.shape[1], init_text="Answer")
        same(model(ids).logits, wanted)


def test_the_base_model_is_itself_again_after_a_call() -> None:
    base = tiny_base("gemma3")
    ids = tokens(2, 6)
    with torch.no_grad():
        plain = base.model(ids).logits
    model = attach(base, registry.build({"name": "prefix", "length": 3}))
    model(ids, labels=ids).loss.backward()
    model.generate(ids, max_new_tokens=2, do_sample=False)
    with torch.no_grad():
        assert torch.equal(base.model(ids).logits, plain)
