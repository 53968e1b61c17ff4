"""Law: an answer does not depend on the other requests of its pass: prompts of several adapters together equal each alone, to 1e-5."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import pytest
import torch

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.evaluation.generation import generate_until, generate_until_mixed
from polyprefix.evaluation.loglikelihood import loglikelihood, loglikelihood_mixed
from polyprefix.models.share import sharing_weights
from polyprefix.prefix import MixedPrefix
from polyprefix.testing.tiny import CONFIGS, tiny_base
from polyprefix.text.tokens import TokenizedPrompt
from polyprefix.types import Prompt

METHODS: tuple[dict[str, Any], ...] = (
    {"name": "none"},
    {"name": "prefix", "length": 5},
    {"name": "prefix", "length": 2, "layers": "0,2"},
    {"name": "prefix", "length": 3, "parametrization": "projected"},
    {"name": "soft-prompt", "length": 7},
    {"name": "llama-adapter", "length": 4, "layers": "1-"},
    {"name": "llama-adapter", "length": 6, "variant": "peft", "layers": "all"},
    {"name": "llama-adapter", "length": 3, "gate": "none", "layers": "top:1"},
)


@cache
def adapters(kind: str) -> tuple[AdaptedModel, ...]:
    """One adapter of each method on one base model, off its initial values."""
    base = tiny_base(kind)
    generator = torch.Generator().manual_seed(7)
    found = []
    for seed, settings in enumerate(METHODS):
        model = attach(base, registry.build(settings), seed=seed)
        with torch.no_grad():
            for _, parameter in model.trainable():
                parameter += 0.3 * torch.randn(parameter.shape, generator=generator)
        found.append(model.eval())
    return tuple(found)


def prompts(count: int, seed: int) -> list[TokenizedPrompt]:
    """Of 1 to 40 tokens, half of them with a common beginning, with choices of one to three tokens."""
    random = torch.Generator().manual_seed(seed)

    def ids(length: int) -> tuple[int, ...]:
        return tuple(torch.randint(3, 250, (length,), generator=random).tolist())

    common, found = ids(12), []
    for n in range(count):
        own = ids(int(torch.randint(1, 28, (1,), generator=random)))
        choices = tuple(ids(int(torch.randint(1, 4, (1,), generator=random))) for _ in range(3))
        found.append(TokenizedPrompt(Prompt(str(n), "eng_Latn", "", ""), common + own if n % 2 else own, (5,), choices))
    return found


def close(found: Any, wanted: Any) -> None:
    assert [len(row.log_likelihoods) for row in found] == [len(row.log_likelihoods) for row in wanted]
    for one, other in zip(found, wanted, strict=True):
        assert one.log_likelihoods == pytest.approx(other.log_likelihoods, abs=1e-5, rel=1e-5)


@pytest.mark.parametrize("kind", CONFIGS)
def test_mixed_adapters_equal_single_requests(kind: str) -> None:
    models, items = adapters(kind), prompts(24, seed=3)
    owners = [n % len(models) for n in range(len(items))]
    wanted = [loglikelihood(models[owner], [item], None)[0] for item, owner in zip(items, owners, strict=True)]
    close(loglikelihood_mixed(models, items, owners, None), wanted)
    close(loglikelihood_mixed(models, items, owners, 64), wanted)
    begins = [items[1].ids[: n % 5] for n in range(len(models))]
    close(loglikelihood_mixed(models, items, owners, None, begins=begins), wanted)
    spread = {
        tuple(round(value, 3) for value in loglikelihood(model, items[:1], None)[0].log_likelihoods) for model in models
    }
    assert len(spread) == len(models), "adapters that answer alike would hide a mistake"


def test_what_prompts_begin_with_is_part_of_the_prefix() -> None:
    """Below the sliding window, where it may be: the tokens of the instruction are computed once, and positions go on after them."""
    models = adapters("gemma3")
    common = (9, 8, 7)
    items = [replace(item, ids=(common + item.ids)[:7], choices=item.choices[:2]) for item in prompts(16, seed=2)]
    items[3] = replace(items[3], ids=(9, 8, 5, 5))
    items[4] = replace(items[4], ids=common)
    items = [replace(item, choices=tuple(choice[:1] for choice in item.choices)) for item in items]
    owners, asked = [n % len(models) for n in range(16)], []

    def prefix(owner: int, length: int | None, begin: tuple[int, ...]) -> Any:
        asked.append((owner, begin))
        return models[owner].compute_prefix(torch.tensor(begin, dtype=torch.long), length).kv

    wanted = [loglikelihood(models[owner], [item], None)[0] for item, owner in zip(items, owners, strict=True)]
    close(loglikelihood_mixed(models, items, owners, None, prefix, [common] * len(models)), wanted)
    assert {begin for _, begin in asked} == {common, ()} and asked.count((0, common)) == 1


@pytest.mark.parametrize("place", range(len(METHODS)))
def test_requests_to_one_adapter_that_begin_alike_share_its_prefix(place: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """No row has a copy of its own, and answers are those of each request alone."""
    models, common = adapters("gemma3"), (9, 8, 7)
    items = [replace(item, ids=(common + item.ids)[:7]) for item in prompts(12, seed=4)]
    items = [replace(item, choices=tuple(choice[:1] for choice in item.choices[:2])) for item in items]
    wanted = [loglikelihood(models[place], [item], None)[0] for item in items]
    monkeypatch.setattr(MixedPrefix, "rows", lambda *_: pytest.fail("a copy for each row"))
    close(loglikelihood_mixed(models, items, [place] * 12, None, begins=[common] * len(models)), wanted)
    close(loglikelihood_mixed(models, items, [place] * 12, 32, begins=[common] * len(models)), wanted)


@pytest.mark.parametrize("seed", range(4))
def test_any_company(seed: int) -> None:
    """Any subset of adapters in any order, one of them alone too."""
    models, items = adapters("gemma3"), prompts(9, seed)
    random = torch.Generator().manual_seed(seed)
    owners = torch.randint(0, len(models), (9,), generator=random).tolist()
    wanted = [loglikelihood(models[owner], [item], None)[0] for item, owner in zip(items, owners, strict=True)]
    close(loglikelihood_mixed(models, items, owners, None), wanted)
    order = torch.randperm(9, generator=random).tolist()
    turned = loglikelihood_mixed(models, [items[n] for n in order], [owners[n] for n in order], None)
    close(turned, [wanted[n] for n in order])
    close(loglikelihood_mixed(models, items, [4] * 9, None), loglikelihood(models[4], items, None))


@pytest.mark.parametrize("kind", ["llama-gqa-tied", "gemma3", "phi3", "gpt-oss"])
def test_mixed_answers_are_those_written_alone(kind: str) -> None:
    """Also where requests differ in their stop strings and in the length of their answers."""
    models, items = adapters(kind), prompts(14, seed=5)
    given = [
        replace(
            item,
            choices=(),
            prompt=replace(item.prompt, stop=("e",) if n % 3 else ("q", "\n"), max_new_tokens=4 + n % 2),
        )
        for n, item in enumerate(items)
    ]
    owners = [n % len(models) for n in range(len(items))]
    wanted = [generate_until(models[owner], [item], None)[0] for item, owner in zip(given, owners, strict=True)]
    assert generate_until_mixed(models, given, owners, None) == wanted
    assert len(set(wanted)) > 7


def test_a_model_that_shares_weights_is_another_model() -> None:
    """Adapters that change a copy change nothing of the model whose weights it has."""
    base = tiny_base("gemma3")
    twin, before = sharing_weights(base), {name: p.clone() for name, p in base.model.named_parameters()}
    plain, items = attach(base, registry.build({"name": "none"})).eval(), prompts(4, seed=1)
    wanted = loglikelihood(plain, items, None)
    lora = attach(twin, registry.build({"name": "lora", "rank": 4})).eval()
    with torch.no_grad():
        for _, parameter in lora.trainable():
            parameter += 0.2
    beside = loglikelihood_mixed([lora], items, [0] * 4, None)
    lora.adapter.merge()
    close(loglikelihood_mixed([lora], items, [0] * 4, None), beside)
    assert loglikelihood(lora, items, None) and lora.adapter.merged, "an evaluation leaves it as it was"
    close(loglikelihood(plain, items, None), wanted)
    assert beside[0].log_likelihoods != wanted[0].log_likelihoods
    assert all(torch.equal(p, before[name]) for name, p in base.model.named_parameters())
    shared = {p.data_ptr() for p in base.model.parameters()} & {p.data_ptr() for p in twin.model.parameters()}
    assert len(shared) > 10 and base.model.lm_head.weight is base.model.get_input_embeddings().weight
    assert twin.model.lm_head.weight is twin.model.get_input_embeddings().weight
    with pytest.raises(ValueError, match="before an adapter"):
        sharing_weights(base)


def test_no_row_has_a_softmax_over_nothing() -> None:
    """Some kernels give a number for that, others none, and a closed gate times none is none."""
    models = adapters("gemma3")
    mixed = MixedPrefix.of([model.compute_prefix().kv for model in models], models[0].hook.heads)
    for layer, gated in mixed.gated.items():
        assert gated.kv.real is not None and bool(gated.kv.real.any(1).all()), layer
        assert not gated.gate[0].any() and gated.gate.any()
