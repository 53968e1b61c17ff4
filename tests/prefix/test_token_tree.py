"""Law: a tree counts what its sequences, written out one by one, would count, each shared token once."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from polyprefix.engine.batch import _packed
from polyprefix.prefix import TokenTree

IDS = st.lists(st.integers(3, 99), min_size=1, max_size=5).map(tuple)
CONTINUATIONS = st.lists(IDS, max_size=3)
NOTHING = st.just(()), st.just(0)  # left out, Hypothesis makes branches up from the type
LEAVES = st.builds(TokenTree, IDS, CONTINUATIONS, *NOTHING)
BRANCHED = st.recursive(
    LEAVES,
    lambda inner: st.builds(TokenTree, IDS, CONTINUATIONS, st.lists(inner, max_size=3), st.just(0)),
    max_leaves=6,
)
FEW = st.lists(st.integers(3, 5), min_size=1, max_size=5).map(tuple)
ALIKE = st.lists(
    st.builds(TokenTree, FEW, st.lists(FEW, min_size=1, max_size=2), *NOTHING), min_size=1, max_size=9
).map(lambda trees: sorted(trees, key=lambda tree: tuple(tree.trunk)))
TREES = BRANCHED | ALIKE.map(TokenTree.joined).filter(lambda tree: bool(tree.ids))


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
    assert batch.logit_positions.unique().numel() == batch.logit_positions.numel()


@given(ALIKE)
def test_what_trees_begin_with_stands_once(trees: list[TokenTree]) -> None:
    joined = TokenTree.joined(trees)
    told = [[(tuple(before), tuple(tokens)) for before, tokens in one.sequences()] for one in (joined, *trees)]
    assert told[0] == [row for one in told[1:] for row in one]
    trunks = {tuple(tree.trunk[:n]) for tree in trees for n in range(1, len(tree.trunk) + 1)}
    behind = sum(len(tokens) - 1 for tree in trees if len(tree.continuations) > 1 for tokens in tree.continuations)
    assert joined.size == len(trunks) + behind


@given(st.lists(FEW, min_size=1, max_size=9).map(sorted), st.integers(0, 5))
def test_paths_are_the_places_of_each_text(texts: list[tuple[int, ...]], start: int) -> None:
    joined = TokenTree.joined([TokenTree(text) for text in texts])
    row = _packed([joined], torch.device("cpu"), [1] * start, (), ()).input_ids[0].tolist()
    assert [tuple(row[place] for place in path) for path in joined.paths(start)] == texts
