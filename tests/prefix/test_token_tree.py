"""Law: a tree counts what its sequences, written out one by one, would count, each shared token once."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from polyprefix.engine.batch import _packed
from polyprefix.prefix import TokenTree

IDS = st.lists(st.integers(3, 99), min_size=1, max_size=5).map(tuple)
CONTINUATIONS = st.lists(IDS, max_size=3)
LEAVES = st.builds(TokenTree, IDS, CONTINUATIONS, st.just(()))  # left out, Hypothesis makes branches up from the type
TREES = st.recursive(
    LEAVES, lambda inner: st.builds(TokenTree, IDS, CONTINUATIONS, st.lists(inner, max_size=3)), max_leaves=6
)


def written_out(tree: TokenTree, before: tuple[int, ...] = ()) -> list[tuple[int, ...]]:
    """Every token of the row as the path of places that leads to it."""
    path, found = before, []
    for _ in tree.ids:
        path = (*path, len(path))
        found.append(path)
    for number, tokens in enumerate(tree.continuations):
        inner = (*path, -1 - number)
        for _ in tokens[:-1]:
            inner = (*inner, len(inner))
            found.append(inner)
    for number, branch in enumerate(tree.branches):
        found += written_out(branch, (*path, -100 - number))
    return found


@given(TREES, st.integers(0, 7))
def test_sizes_and_pairs_are_those_of_the_row(tree: TokenTree, before: int) -> None:
    tokens = written_out(tree)
    assert tree.size == len(tokens)
    places = [sum(step >= 0 for step in path) for path in tokens]
    assert tree.pairs(before) == sum(place + before for place in places)


@given(st.lists(TREES, min_size=1, max_size=3), st.lists(st.integers(3, 99), max_size=3))
def test_a_batch_has_the_tokens_and_the_logits_of_its_trees(trees: list[TokenTree], common: list[int]) -> None:
    batch = _packed(trees, torch.device("cpu"), common, (), ())
    assert batch.input_ids.numel() == len(common) + sum(tree.size for tree in trees)
    assert batch.logit_positions.numel() == sum(tree.logit_positions for tree in trees)
    sequences = [row for tree in trees for row in tree.sequences()]
    assert batch.continuations == len(sequences)
    row = batch.input_ids[0].tolist()
    for number, (before, tokens) in enumerate(sequences):
        own = batch.continuation_id == number
        assert batch.labels[own].tolist() == list(tokens)
        predicted_by = [row[place] for place in batch.logit_positions[batch.position_index[own]].tolist()]
        assert predicted_by == [*before, *tokens][len(before) - 1 : -1]


@given(st.lists(IDS, min_size=2, max_size=4), IDS)
def test_trees_that_begin_alike_are_joined(ends: list[tuple[int, ...]], common: tuple[int, ...]) -> None:
    trees = [TokenTree((*common, *end), [(7,)]) for end in ends]
    joined = TokenTree.joined(trees, len(common))
    assert list(joined.sequences()) == [row for tree in trees for row in tree.sequences()]
    assert joined.size == len(common) + sum(map(len, ends))
