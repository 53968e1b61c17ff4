"""Law: texts in one packed row have the logits and the gradients that each has alone, whatever the architecture, the window and the prefix;
branches of one trunk are blind to each other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from polyprefix.adapters import registry
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.prefix import AttentionHook, Packed, TokenTree
from polyprefix.prefix.packed import rows_of
from polyprefix.testing.tiny import CONFIGS, EAGER, tiny_base, tiny_model, tokens

CPU = torch.device("cpu")


def tree(size: int, branches: Sequence[TokenTree] = ()) -> TokenTree:
    """So many tokens, whichever they are."""
    return TokenTree(range(size), branches=branches)


SIZES = (3, 20, 7, 12, 1)
"""Longer and shorter than the tiny models' windows of 8."""
METHODS: tuple[dict[str, Any], ...] = (
    {"name": "none"},
    {"name": "prefix", "length": 4, "init": "random"},
    {"name": "prefix", "layers": "top:1", "parametrization": "projected"},
    {"name": "soft-prompt", "length": 4},
    {"name": "llama-adapter", "length": 4},
    {"name": "lora"},
)


def adapted(kind: str, settings: dict[str, Any], attention: str | None = None) -> AdaptedModel:
    """With every trained value moved, so that each matters."""
    model = attach(tiny_base(kind, attention), registry.build(settings), seed=1).eval()
    with torch.no_grad():
        for n, (_, parameter) in enumerate(model.trainable()):
            parameter += 0.1 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(n))
    return model


def texts() -> list[torch.Tensor]:
    return [tokens(1, size, seed=size) for size in SIZES]


def close(a: torch.Tensor, b: torch.Tensor, tolerance: float) -> None:
    torch.testing.assert_close(a, b, rtol=0, atol=tolerance * max(1e-3, b.abs().max().item()))


@pytest.mark.parametrize("kind", CONFIGS)
def test_every_architecture_takes_packed_rows(kind: str) -> None:
    assert AttentionHook.of(tiny_model(kind)).supports_packing()


@pytest.mark.parametrize("settings", METHODS, ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize(
    ("kind", "attention"),
    [
        (kind, attention)
        for kind in ("llama-gqa-tied", "gemma3", "mistral-sliding", "qwen3", "gpt-oss", "gemma2")
        for attention in ("eager", *(() if kind in EAGER else ("sdpa",)))
    ],
)
def test_packed_texts_are_the_texts_alone(kind: str, settings: dict[str, Any], attention: str) -> None:
    model = adapted(kind, settings, attention)
    packed = Packed.of([tree(size) for size in SIZES], CPU)
    row = model(torch.cat(texts(), 1), packed=packed).logits
    alone = torch.cat([model(ids).logits for ids in texts()], 1)
    close(row, alone, 1e-5)
    trained = [p for _, p in model.trainable()]
    if trained:
        weight = torch.randn(alone.shape, generator=torch.Generator().manual_seed(9))
        ours, wanted = (torch.autograd.grad((logits * weight).sum(), trained) for logits in (row, alone))
        for a, b in zip(ours, wanted, strict=True):
            close(a, b, 1e-4)


@pytest.mark.parametrize("settings", METHODS[1:4], ids=lambda s: "-".join(map(str, s.values())))
def test_gradients_survive_checkpointing(settings: dict[str, Any]) -> None:
    model = adapted("gemma3", settings)
    packed = Packed.of([tree(size) for size in SIZES], CPU)

    def gradients() -> Any:
        logits = model(torch.cat(texts(), 1), packed=packed).logits
        return torch.autograd.grad(logits.square().sum(), [p for _, p in model.trainable()])

    plain = gradients()
    model.model.gradient_checkpointing_enable({"use_reentrant": False})
    model.train()
    for a, b in zip(gradients(), plain, strict=True):
        close(a, b, 1e-5)


@pytest.mark.parametrize(
    ("kind", "shared"),  # nothing is shared where texts are longer than a window
    [("llama-gqa-tied", 0), ("llama-gqa-tied", 3), ("gemma3", 0), ("gpt-oss", 0)],
)
@pytest.mark.parametrize("name", ["none", "prefix", "llama-adapter"])
def test_branches_are_their_continuations_alone(kind: str, name: str, shared: int) -> None:
    model = adapted(kind, {"name": name})
    front = tokens(1, shared, seed=99)
    trunks, branches = (10, 2), ((4, 1), (2, 3, 1))
    trunk_ids = [tokens(1, size, seed=size) for size in trunks]
    branch_ids = [[tokens(1, size, seed=50 + size) for size in sizes] for sizes in branches]
    packed = Packed.of([tree(trunk, list(map(tree, ends))) for trunk, ends in zip(trunks, branches, strict=True)], CPU)
    row = torch.cat([part for trunk, parts in zip(trunk_ids, branch_ids, strict=True) for part in (trunk, *parts)], 1)
    with torch.no_grad():
        logits = model(row, packed=packed, common_prefix=front[0]).logits
        start = 0
        for trunk, parts in zip(trunk_ids, branch_ids, strict=True):
            size, at = trunk.shape[1], start + trunk.shape[1]
            for part in parts:
                alone = model(torch.cat([front, trunk, part], 1)).logits[:, shared:]
                close(logits[:, start : start + size], alone[:, :size], 1e-5)
                close(logits[:, at : at + part.shape[1]], alone[:, size:], 1e-5)
                at += part.shape[1]
            start = at


@pytest.mark.parametrize("kind", ["llama-gqa-tied", "gemma3", "gpt-oss"])
def test_branches_of_branches_are_their_paths_alone(kind: str) -> None:
    """A passage, its questions, their answers, beside another text."""
    model = adapted(kind, {"name": "prefix"})
    node = tree(9, [tree(4, [tree(2), tree(1)]), tree(3), tree(1, [tree(0), tree(2)])])
    row = tokens(1, node.size + 5, seed=7)
    with torch.no_grad():
        logits = model(row, packed=Packed.of([tree(5), node], CPU)).logits
    end = 5

    def check(branch: TokenTree, before: list[int]) -> None:
        nonlocal end
        own = list(range(end, end := end + len(branch.ids)))
        if own:
            with torch.no_grad():
                alone = model(row[:, before + own]).logits
            close(logits[:, own], alone[:, -len(own) :], 1e-5)
        for longer in branch.branches:
            check(longer, before + own)

    check(node, [])
    assert end == row.shape[1]


@pytest.mark.parametrize("settings", METHODS, ids=lambda s: "-".join(map(str, s.values())))
@pytest.mark.parametrize("kind", ["llama-gqa-tied", "gemma3", "mistral-sliding", "gpt-oss"])
def test_the_common_prefix_is_stored_once_at_the_start_of_the_row(kind: str, settings: dict[str, Any]) -> None:
    model = adapted(kind, settings)
    front = tokens(1, 3, seed=99)
    packed = Packed.of([tree(size) for size in SIZES], CPU, common_prefix=3)
    row = model(torch.cat([front, *texts()], 1), packed=packed).logits
    alone = [model(torch.cat([front, ids], 1)).logits for ids in texts()]
    close(row[:, :3], alone[0][:, :3], 1e-5)
    rest = torch.cat([logits[:, 3:] for logits in alone], 1)
    close(row[:, 3:], rest, 1e-5)
    if trained := [p for _, p in model.trainable()]:
        weight = torch.randn(rest.shape, generator=torch.Generator().manual_seed(9))
        ours, wanted = (torch.autograd.grad((logits * weight).sum(), trained) for logits in (row[:, 3:], rest))
        for a, b in zip(ours, wanted, strict=True):
            close(a, b, 1e-4)


def test_the_head_computes_only_what_is_asked_for() -> None:
    model = adapted("gemma3", {"name": "prefix"})
    ids, seen = tokens(3, 7), []
    model.model.get_output_embeddings().register_forward_hook(lambda module, args, out: seen.append(tuple(out.shape)))
    positions = torch.tensor([20, 0, 13])
    with torch.no_grad():
        logits = model(ids, logit_positions=positions).logits
        close(logits[0], model(ids).logits.flatten(0, 1)[positions], 1e-5)
    assert seen[0] == (1, 3, 260)


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40))
def test_rows_hold_every_text_once_and_are_as_long_as_the_longest(sizes: list[int]) -> None:
    rows = rows_of(sizes)
    assert sorted(n for row in rows for n in row) == list(range(len(sizes)))
    assert max(sum(sizes[n] for n in row) for row in rows) == max(sizes)
    assert all(sum(sizes[n] for n in a) + sizes[b[0]] > max(sizes) for i, b in enumerate(rows) for a in rows[:i])


def test_gather_from_rows_is_the_inverse_of_scatter_to_rows() -> None:
    packed = Packed.of([tree(2, [tree(1), tree(3)]), tree(5), tree(1)], CPU)
    states = torch.randn(1, 2, 12, 3, dtype=torch.float64, requires_grad=True)
    assert torch.equal(packed.gather_from_rows(packed.scatter_to_rows(states).transpose(1, 2)), states.transpose(1, 2))
    assert torch.autograd.gradcheck(
        lambda s: packed.gather_from_rows(packed.scatter_to_rows(s).transpose(1, 2)), states
    )
