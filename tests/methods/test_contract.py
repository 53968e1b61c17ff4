"""The contract of every method and variant, over many architectures.

In float32 and to 1e-5 of the logits' spread: a batch is its examples; padding on either side, packing, caching,
checkpointing and the implementation of attention are nothing; training moves every tensor of the adapter and nothing
else; saving and loading keep the function. 1e-4 where sums are taken in another order (eager against sdpa).
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import torch

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.adapters.files import load_adapter, save_adapter
from polyprefix.errors import ModelError
from polyprefix.models.load import BaseModel
from polyprefix.prefix import AttentionHook
from polyprefix.testing.tiny import CONFIGS, EAGER, tiny_base, tokens

VARIANTS: dict[str, dict] = {
    "none": {},
    "soft-prompt": {"length": 5},
    "soft-prompt vocabulary": {"length": 5, "init": "vocabulary"},
    "soft-prompt random": {"length": 5, "init": "random"},
    "soft-prompt encoder": {"length": 5, "encoded": 1, "encoder_hidden": 8},
    "soft-prompt dual": {"length": 5, "encoded": 0.4, "encoder_hidden": 8},
    "prefix": {"length": 5},
    "prefix top": {"length": 5, "layers": "top:2"},
    "prefix random": {"length": 5, "layers": "0,2", "init": "random"},
    "prefix projected": {"length": 5, "parametrization": "projected"},
    "prefix mlp": {"length": 5, "parametrization": "mlp", "hidden": 8},
    "llama-adapter": {"length": 5},
    "llama-adapter original-inference": {"length": 5, "variant": "original-inference", "layers": "top:2"},
    "llama-adapter peft": {"length": 5, "variant": "peft", "layers": "all"},
    "llama-adapter litgpt": {"length": 5, "variant": "litgpt", "init": "random"},
    "llama-adapter ungated": {"length": 5, "gate": "none"},
    "lora": {"rank": 4},
    "lora all-linear": {"rank": 4, "targets": "all-linear", "rslora": True},
    "lora dora": {"rank": 4, "dora": True},
    "full": {},
    "full without embeddings": {"train_embeddings": False},
}
ARCHITECTURES = tuple(CONFIGS)
FEW = ("llama-gqa-tied", "mistral-sliding", "gemma3", "phi3", "gpt-oss")
"""Grouped keys, a sliding window, a hybrid, fused projections, and attention sinks."""
TRAINED = tuple(v for v in VARIANTS if v != "none")
IDENTICAL_AT_START = tuple(
    v for v in VARIANTS if v.split()[0] in ("none", "llama-adapter", "lora", "full") and not v.endswith("ungated")
)
FUNCTIONS = ("none", "soft-prompt", "prefix", "prefix top", "prefix projected", "llama-adapter", "lora")
"""One variant of each function of the text; others differ in initial values, or in how the same tensors are trained."""
WITH_PREFIX = tuple(v for v in VARIANTS if v.startswith(("prefix", "soft", "llama")))


def every(variants: Iterable[str] = VARIANTS, kinds: Iterable[str] = ARCHITECTURES) -> pytest.MarkDecorator:
    """Each variant on each architecture."""
    pairs = [pytest.param(v, k, id=f"{v}-{k}".replace(" ", "_")) for v, k in product(variants, kinds)]
    return pytest.mark.parametrize(("variant", "kind"), pairs)


def make(variant: str, kind: str, *, moved: bool = True, attention: str | None = None) -> AdaptedModel:
    """A new adapted tiny model; `moved` puts its tensors off their initial values, as training would."""
    base = fresh_base(kind, attention)
    model = attach(base, registry.build({"name": variant.split()[0], **VARIANTS[variant]}), seed=1)
    if moved:
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for _, parameter in model.trainable():
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


@cache
def shared(variant: str, kind: str) -> AdaptedModel:
    """The same model for all tests that leave it as it is."""
    return make(variant, kind)


@cache
def plain(kind: str) -> BaseModel:
    """A base as transformers has it."""
    return tiny_base(kind)


@cache
def probed(kind: str, attention: str | None = None) -> BaseModel:
    """A base whose hook has been verified, which takes longer than copying both."""
    base = tiny_base(kind, attention)
    AttentionHook.of(base.model)
    return base


def fresh_base(kind: str, attention: str | None = None) -> BaseModel:
    """A copy for a test to change."""
    base = probed(kind, attention)
    return replace(base, model=copy.deepcopy(base.model))


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance * max(1.0, b.abs().max().item()))


def close_all(found: Any, wanted: Any, tolerance: float = 1e-5) -> None:
    """Gradients; None where a tensor plays no part, in both."""
    for a, b in zip(found, wanted, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            close(a, b, tolerance)


def one_by_one(model: AdaptedModel, rows: list[torch.Tensor]) -> list[torch.Tensor]:
    with torch.no_grad():
        return [model(row[None]).logits[0] for row in rows]


@every()
def test_padding_batches_and_packing_change_nothing(variant: str, kind: str) -> None:
    model = shared(variant, kind)
    rows = [tokens(1, n, seed=n)[0] for n in (3, 20, 7, 12)]  # longer and shorter than the window of 8
    alone = one_by_one(model, rows)
    width = max(map(len, rows))
    for left in (True, False):
        ids, mask = torch.zeros(len(rows), width, dtype=torch.long), torch.zeros(len(rows), width, dtype=torch.long)
        for n, row in enumerate(rows):
            where = slice(width - len(row), width) if left else slice(0, len(row))
            ids[n, where], mask[n, where] = row, 1
        with torch.no_grad():
            together = model(ids, mask).logits
        for n in range(len(rows)):
            close(together[n][mask[n].bool()], alone[n])
    positions = torch.cat([torch.arange(len(row)) for row in rows])[None]
    if kind == "gpt-oss":  # transformers' own model does not look at positions there, so it is refused
        with pytest.raises(ModelError, match="packed"):
            model(torch.cat(rows)[None], position_ids=positions)
        return
    with torch.no_grad():
        packed = model(torch.cat(rows)[None], position_ids=positions).logits[0]
    close(packed, torch.cat(alone))


@every(TRAINED)
def test_one_step_moves_every_tensor_of_the_adapter_and_nothing_else(variant: str, kind: str) -> None:
    model = make(variant, kind, moved=False)
    adapter = dict(model.trainable())
    own = {id(p) for p in adapter.values()}
    frozen = {n: p.clone() for n, p in model.model.named_parameters() if id(p) not in own}
    before = {n: p.detach().clone() for n, p in adapter.items()}
    optimizer = torch.optim.SGD(adapter.values(), lr=0.5)
    for _ in range(2):  # what stands behind a closed gate or B = 0 moves from the second step on
        ids = tokens(4, 12)
        model(ids, labels=ids).loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    unused = _unused(model) if kind == "gpt-oss" else set()
    for name, parameter in adapter.items():
        assert not torch.equal(parameter, before[name]) or name in unused, f"{name} did not move"
    for name, parameter in model.model.named_parameters():
        if name in frozen:
            assert torch.equal(parameter, frozen[name]), f"{name} of the base moved"


def _unused(model: AdaptedModel) -> set[str]:
    """Experts that no token was routed to need not move."""
    return {name for name, _ in model.trainable() if "expert" in name}


@every(IDENTICAL_AT_START, FEW)
def test_the_start_is_the_base_model_where_the_method_promises_it(variant: str, kind: str) -> None:
    ids = tokens(2, 12)
    with torch.no_grad():
        close(make(variant, kind, moved=False)(ids).logits, plain(kind).model(ids).logits)


@every(TRAINED)
def test_the_adapter_matters(variant: str, kind: str) -> None:
    ids = tokens(2, 12)
    with torch.no_grad():
        difference = (shared(variant, kind)(ids).logits - plain(kind).model(ids).logits).abs().max()
    assert difference > 1e-3


@every(WITH_PREFIX)
def test_every_token_sees_the_prefix_beyond_the_window(variant: str, kind: str) -> None:
    """The gradient of the last token of a text three windows long reaches every tensor of a joined prefix."""
    model = shared(variant, kind)
    names, parameters = zip(*model.trainable(), strict=True)
    gradients = torch.autograd.grad(model(tokens(1, 24)).logits[0, -1].sum(), parameters)
    for name, gradient in zip(names, gradients, strict=True):
        assert gradient.abs().max() > 0, f"{name} is out of sight"


@every()
def test_shared_tokens_equal_the_same_tokens_in_every_example(variant: str, kind: str) -> None:
    """Within a sliding window of 8; beyond it sharing is refused: later tokens must lose sight of what they share."""
    model = shared(variant, kind)
    front, rest = tokens(1, 4, seed=3), tokens(3, 4, seed=4)
    if model.hook.lengths.window:
        with pytest.raises(ValueError, match="window"):
            model(tokens(3, 5), common_prefix=front)
    whole = model(torch.cat([front.expand(3, -1), rest], 1)).logits[:, 4:]
    split = model(rest, common_prefix=front).logits
    close(split, whole)
    if parameters := [p for _, p in model.trainable()]:
        wanted = torch.autograd.grad(whole.square().sum(), parameters, allow_unused=True)
        found = torch.autograd.grad(split.square().sum(), parameters, allow_unused=True)
        close_all(found, wanted, 1e-4)


@every(FUNCTIONS, FEW)
def test_generation_with_and_without_cache(variant: str, kind: str) -> None:
    """Greedy, beams and sampling, with shared tokens; greedy is the best token of one forward pass after another."""
    model = shared(variant, kind)
    ids = torch.cat([torch.zeros(1, 4, dtype=torch.long), tokens(1, 5)], 1)
    ids = torch.cat([ids, tokens(1, 9, seed=1)])
    mask = (ids != 0).long()
    greedy = {"max_new_tokens": 6, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    front = {} if model.hook.lengths.window else {"common_prefix": tokens(1, 6, seed=2)}
    for settings in (greedy, greedy | {"num_beams": 3}, greedy | {"do_sample": True}):
        torch.manual_seed(0)
        cached = model.generate(ids, mask, **settings, **front)
        torch.manual_seed(0)
        assert torch.equal(cached, model.generate(ids, mask, use_cache=False, **settings, **front))
    text, seen = ids, mask
    with torch.no_grad():
        for _ in range(6):
            best = model(text, seen, **front).logits[:, -1].argmax(-1, keepdim=True)
            text, seen = torch.cat([text, best], 1), torch.cat([seen, torch.ones_like(best)], 1)
    assert torch.equal(model.generate(ids, mask, **greedy, **front), text)


@every([*FUNCTIONS[1:], "prefix mlp", "full"], FEW)
def test_gradient_checkpointing_changes_nothing(variant: str, kind: str) -> None:
    model = make(variant, kind).train()
    ids, front = tokens(3, 4), tokens(1, 4, seed=5)
    parameters = [p for _, p in model.trainable()]
    loss = model(ids, labels=ids, common_prefix=front).loss
    wanted = torch.autograd.grad(loss, parameters, allow_unused=True)
    # transformers renamed it after 5.17
    enable = getattr(model.model, "activation_checkpointing_enable", None) or model.model.gradient_checkpointing_enable
    enable({"use_reentrant": False})
    again = model(ids, labels=ids, common_prefix=front).loss
    close(again, loss)
    close_all(torch.autograd.grad(again, parameters, allow_unused=True), wanted)


@every(FUNCTIONS, [k for k in FEW if k not in EAGER])
def test_eager_equals_sdpa(variant: str, kind: str) -> None:
    sdpa, eager = shared(variant, kind), make(variant, kind, attention="eager")
    ids = torch.cat([torch.zeros(1, 4, dtype=torch.long), tokens(1, 12)], 1)
    mask = (ids != 0).long()
    with torch.no_grad():
        close(eager(ids, mask).logits[mask.bool()], sdpa(ids, mask).logits[mask.bool()], 1e-4)


@every()
def test_count_equals_the_closed_formula(variant: str, kind: str) -> None:
    model = shared(variant, kind)
    assert sum(p.numel() for _, p in model.trainable()) == model.method.parameters(plain(kind).model)


@every()
def test_save_and_load_keep_the_logits(variant: str, kind: str, tmp_path: Path) -> None:
    model = shared(variant, kind)
    ids = tokens(2, 12)
    with torch.no_grad():
        before = model(ids).logits
        save_adapter(model, tmp_path)
        close(load_adapter(fresh_base(kind), tmp_path)(ids).logits, before)


@every([v for v in VARIANTS if not v.startswith("full")], FEW[:3])
def test_bf16_base_is_close_to_float32(variant: str, kind: str) -> None:
    """To a tenth of the logits' spread on average; bfloat16 keeps 8 bits. Full fine-tuning is always in float32."""
    model = shared(variant, kind)
    half = copy.deepcopy(model)
    half.model.to(torch.bfloat16)
    ids = tokens(2, 12)
    with torch.no_grad():
        exact, rounded = model(ids).logits, half(ids).logits.float()
    assert (exact - rounded).pow(2).mean().sqrt() < 0.1 * exact.std()
