"""The contract of every method and variant, over many architectures.

In float32 and to 1e-5 of the logits' spread: a batch is its examples, padding on either side is nothing, packing is nothing, caching is nothing,
checkpointing is nothing, the implementation of attention is nothing; training moves every tensor of the adapter and nothing else;
saving and loading keep the function. 1e-4 where sums are taken in another order (eager against sdpa).
"""

from __future__ import annotations

import copy

import pytest
import torch

from polyprefix.errors import ModelError
from polyprefix.methods import registry
from polyprefix.methods.adapted import AdaptedModel, attach
from polyprefix.methods.files import load_adapter, save_adapter
from tests.tiny import CONFIGS, EAGER, tiny_base, tokens

VARIANTS: dict[str, dict] = {
    "none": {},
    "soft-prompt": {"length": 5},
    "soft-prompt vocabulary": {"length": 5, "init": "vocabulary"},
    "soft-prompt random": {"length": 5, "init": "random"},
    "prefix": {"length": 5},
    "prefix top": {"length": 5, "layers": "top:2"},
    "prefix random": {"length": 5, "layers": "0,2", "init": "random"},
    "prefix projected": {"length": 5, "parametrization": "projected"},
    "prefix mlp": {"length": 5, "parametrization": "mlp", "hidden": 8},
    "llama-adapter": {"length": 5},
    "llama-adapter original-inference": {"length": 5, "variant": "original-inference", "layers": "top:2"},
    "llama-adapter peft": {"length": 5, "variant": "peft", "layers": "all"},
    "llama-adapter litgpt": {"length": 5, "variant": "litgpt", "init": "random"},
    "lora": {"rank": 4},
    "lora all-linear": {"rank": 4, "targets": "all-linear", "rslora": True},
    "lora dora": {"rank": 4, "dora": True},
    "full": {},
    "full without embeddings": {"train_embeddings": False},
}
ARCHITECTURES = tuple(CONFIGS)
EVERY = [pytest.param(v, k, id=f"{v}-{k}".replace(" ", "_")) for v in VARIANTS for k in ARCHITECTURES]
SOME = [p for p in EVERY if p.values[1] in ("llama-gqa-tied", "gemma3", "mistral-sliding")]
IDENTICAL_AT_START = {"none", "llama-adapter", "lora", "full"}


def make(variant: str, kind: str, *, moved: bool = True, attention: str | None = None) -> AdaptedModel:
    """An adapted tiny model; `moved` puts its tensors off their initial values, as training would."""
    base = tiny_base(kind, attention)
    model = attach(base, registry.build({"name": variant.split()[0], **VARIANTS[variant]}), seed=1)
    if moved:
        generator = torch.Generator().manual_seed(7)
        with torch.no_grad():
            for _, parameter in model.trainable():
                parameter += 0.1 * torch.randn(parameter.shape, generator=generator)
    return model.eval()


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float = 1e-5) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance * max(1.0, b.abs().max().item()))


def one_by_one(model: AdaptedModel, rows: list[torch.Tensor]) -> list[torch.Tensor]:
    with torch.no_grad():
        return [model(row[None]).logits[0] for row in rows]


@pytest.mark.parametrize(("variant", "kind"), EVERY)
def test_padding_batches_and_packing_change_nothing(variant: str, kind: str) -> None:
    model = make(variant, kind)
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
        for n, row in enumerate(rows):
            close(together[n][mask[n].bool()], alone[n])
    positions = torch.cat([torch.arange(len(row)) for row in rows])[None]
    if kind == "gpt-oss":  # transformers' own model does not look at positions there, so it is refused
        with pytest.raises(ModelError, match="packed"):
            model(torch.cat(rows)[None], position_ids=positions)
        return
    with torch.no_grad():
        packed = model(torch.cat(rows)[None], position_ids=positions).logits[0]
    close(packed, torch.cat(alone))


@pytest.mark.parametrize(("variant", "kind"), EVERY)
def test_one_step_moves_every_tensor_of_the_adapter_and_nothing_else(variant: str, kind: str) -> None:
    model = make(variant, kind, moved=False)
    adapter = dict(model.trainable())
    if not adapter:
        pytest.skip("nothing to train")
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


@pytest.mark.parametrize(("variant", "kind"), [p for p in EVERY if p.values[0].split()[0] in IDENTICAL_AT_START])
def test_the_start_is_the_base_model_where_the_method_promises_it(variant: str, kind: str) -> None:
    ids = tokens(2, 12)
    with torch.no_grad():
        plain = tiny_base(kind).model(ids).logits
        close(make(variant, kind, moved=False)(ids).logits, plain)


@pytest.mark.parametrize(("variant", "kind"), [p for p in EVERY if p.values[0] != "none"])
def test_the_adapter_matters(variant: str, kind: str) -> None:
    ids = tokens(2, 12)
    with torch.no_grad():
        difference = (make(variant, kind)(ids).logits - tiny_base(kind).model(ids).logits).abs().max()
    assert difference > 1e-3


@pytest.mark.parametrize(("variant", "kind"), EVERY)
def test_every_token_sees_the_prefix_beyond_the_window(variant: str, kind: str) -> None:
    """The gradient of the last token of a text three windows long reaches every tensor of a joined prefix."""
    model = make(variant, kind)
    if not variant.startswith(("prefix", "soft", "llama")):
        pytest.skip("no prefix")
    model(tokens(1, 24)).logits[0, -1].sum().backward()
    for name, parameter in model.trainable():
        assert parameter.grad is not None and parameter.grad.abs().max() > 0, f"{name} is out of sight"


@pytest.mark.parametrize(("variant", "kind"), EVERY)
def test_shared_tokens_equal_the_same_tokens_in_every_example(variant: str, kind: str) -> None:
    """Within a sliding window of 8; beyond it, sharing is refused, since later tokens must lose sight of what they share."""
    model = make(variant, kind)
    shared, rest = tokens(1, 4, seed=3), tokens(3, 4, seed=4)
    whole = model(torch.cat([shared.expand(3, -1), rest], 1)).logits[:, 4:]
    if model.seam.window:
        with pytest.raises(ValueError, match="window"):
            model(tokens(3, 5), shared_ids=shared)
    close(model(rest, shared_ids=shared).logits, whole)
    grads = [torch.autograd.grad(x.square().sum(), [p for _, p in model.trainable()], allow_unused=True) if model.trainable() else ()
             for x in (whole, model(rest, shared_ids=shared).logits)]  # fmt: skip
    for a, b in zip(*grads, strict=True):
        if a is not None:
            close(a, b, 1e-4)


@pytest.mark.parametrize(("variant", "kind"), EVERY)
def test_generation_with_and_without_cache(variant: str, kind: str) -> None:
    model = make(variant, kind)
    ids = torch.cat([torch.zeros(1, 4, dtype=torch.long), tokens(1, 5)], 1)
    ids = torch.cat([ids, tokens(1, 9, seed=1)])
    mask = (ids != 0).long()
    shared = {} if model.seam.window else {"shared_ids": tokens(1, 6, seed=2)}
    settings = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0, "eos_token_id": None}
    for more in ({}, shared):
        cached = model.generate(ids, mask, **settings, **more)
        assert torch.equal(cached, model.generate(ids, mask, use_cache=False, **settings, **more))
        text, seen = ids, mask
        for _ in range(8):
            best = model(text, seen, **more).logits[:, -1].argmax(-1, keepdim=True)
            text, seen = torch.cat([text, best], 1), torch.cat([seen, torch.ones_like(best)], 1)
        assert torch.equal(cached, text)
    beams = model.generate(ids, mask, num_beams=3, **settings)
    assert torch.equal(beams, model.generate(ids, mask, num_beams=3, use_cache=False, **settings))
    torch.manual_seed(0)
    sampled = model.generate(ids, mask, **{**settings, "do_sample": True})
    torch.manual_seed(0)
    assert torch.equal(sampled, model.generate(ids, mask, use_cache=False, **{**settings, "do_sample": True}))


@pytest.mark.parametrize(("variant", "kind"), EVERY)
def test_gradient_checkpointing_changes_nothing(variant: str, kind: str) -> None:
    model = make(variant, kind)
    if not model.trainable():
        pytest.skip("nothing to train")
    model.train()
    ids, shared = tokens(3, 4), tokens(1, 4, seed=5)
    parameters = [p for _, p in model.trainable()]
    loss = model(ids, labels=ids, shared_ids=shared).loss
    plain = torch.autograd.grad(loss, parameters, allow_unused=True)
    model.model.gradient_checkpointing_enable({"use_reentrant": False})
    again = model(ids, labels=ids, shared_ids=shared).loss
    recomputed = torch.autograd.grad(again, parameters, allow_unused=True)
    close(again, loss)
    for a, b in zip(plain, recomputed, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            close(b, a)


@pytest.mark.parametrize(("variant", "kind"), [p for p in EVERY if p.values[1] not in EAGER])
def test_eager_equals_sdpa(variant: str, kind: str) -> None:
    sdpa, eager = make(variant, kind), make(variant, kind, attention="eager")
    ids = torch.cat([torch.zeros(1, 4, dtype=torch.long), tokens(1, 12)], 1)
    mask = (ids != 0).long()
    with torch.no_grad():
        close(eager(ids, mask).logits[mask.bool()], sdpa(ids, mask).logits[mask.bool()], 1e-4)


@pytest.mark.parametrize(("variant", "kind"), EVERY)
def test_count_equals_the_closed_formula(variant: str, kind: str) -> None:
    model = make(variant, kind, moved=False)
    assert sum(p.numel() for _, p in model.trainable()) == model.method.parameters(tiny_base(kind).model)


@pytest.mark.parametrize(("variant", "kind"), EVERY)
def test_save_and_load_keep_the_logits(variant: str, kind: str, tmp_path) -> None:
    model = make(variant, kind)
    ids = tokens(2, 12)
    with torch.no_grad():
        before = model(ids).logits
        save_adapter(model, tmp_path)
        close(load_adapter(tiny_base(kind), tmp_path)(ids).logits, before)


@pytest.mark.parametrize(("variant", "kind"), SOME)
def test_bf16_base_is_close_to_float32(variant: str, kind: str) -> None:
    """Tolerance: a tenth of the logits' spread on average; bfloat16 keeps 8 bits over 3 layers."""
    if variant.startswith("full"):
        pytest.skip("full fine-tuning computes in float32")
    model = make(variant, kind)
    half = copy.deepcopy(model)
    half.model.to(torch.bfloat16)
    ids = tokens(2, 12)
    with torch.no_grad():
        exact, rounded = model(ids).logits, half(ids).logits.float()
    assert (exact - rounded).pow(2).mean().sqrt() < 0.1 * exact.std()
