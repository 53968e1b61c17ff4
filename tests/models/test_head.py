"""Law: however the head is called and its output normalised, logits, log-likelihoods and gradients are those of the plain formula."""

from __future__ import annotations

import copy

import pytest
import torch

from polyprefix.models import head
from polyprefix.models.head import keep_contiguous, log_normaliser, only_at
from polyprefix.testing.tiny import tiny_model, tokens


@pytest.mark.parametrize("kind", ["llama-gqa-tied", "gemma2", "gemma3"])
def test_vocabulary_first_is_the_same_product(kind: str) -> None:
    plain = tiny_model(kind).requires_grad_(True)
    ours = copy.deepcopy(plain)
    keep_contiguous(ours)
    ids = tokens(2, 5)
    weight = torch.randn(plain(ids).logits.shape, generator=torch.Generator().manual_seed(0))
    found = []
    for model in (plain, ours):
        logits = model(ids).logits
        table = model.get_input_embeddings().weight
        found.append((logits, torch.autograd.grad((logits * weight).sum(), table)[0]))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=0, atol=1e-5 * float(a.abs().max()))
    with only_at(ours, torch.tensor([7, 0])):
        torch.testing.assert_close(ours(ids).logits[0], found[0][0].flatten(0, 1)[[7, 0]], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("vocabulary", [5, head.COLUMNS, 3 * head.COLUMNS + 7])
def test_the_normaliser_is_that_of_all_words_at_once(vocabulary: int) -> None:
    logits = (30 * torch.randn(3, vocabulary, generator=torch.Generator().manual_seed(0))).requires_grad_()
    for layout in (logits, logits.T.contiguous().T):
        exact = layout.double().logsumexp(-1)
        found = log_normaliser(layout)
        torch.testing.assert_close(found, exact.float(), rtol=1e-6, atol=1e-5)
        wanted = torch.autograd.grad(exact.sum(), logits, retain_graph=True)[0]
        torch.testing.assert_close(torch.autograd.grad(found.sum(), logits)[0], wanted, rtol=1e-4, atol=1e-6)
