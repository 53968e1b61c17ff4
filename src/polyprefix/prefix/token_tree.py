"""Token sequences that begin alike, as one tree: what they have in common is computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple


class TokenTree(NamedTuple):
    """Tokens, and what follows them: continuations that are scored, and branches that are trees themselves.

    A prompt with four choices has four continuations. A passage with questions has a branch for each question. Continuations and branches
    do not see each other.
    """

    ids: Sequence[int]
    continuations: Sequence[Sequence[int]] = ()
    branches: Sequence[TokenTree] = ()
    scored: int = 0
    """The last tokens before the continuations that each of them begins with: computed once with their logits, and scored for each."""

    @classmethod
    def joined(cls, trees: Sequence[TokenTree]) -> TokenTree:
        """Trees without branches as one, in which each token that several begin with stands once.

        Args:
            trees: in the lexicographic order of their trunks. The sequences of the result are theirs, in their order.
        """
        if len(trees) == 1:
            return trees[0]
        trunk = trees[0].trunk
        common = common_length(trunk, trees[-1].trunk)  # in that order, all others lie between these two
        rests = [tree._without(common) for tree in trees]
        runs = groupby(enumerate(rests), key=lambda numbered: _next_token(*numbered))
        return cls(trunk[:common], (), [cls.joined([tree for _, tree in run]) for _, run in runs])

    @property
    def trunk(self) -> tuple[int, ...]:
        """What other trees may have in common with this one: `ids`, and all tokens of a single continuation that go through the model."""
        inside = self.continuations[0][:-1] if len(self.continuations) == 1 else ()
        return (*self.ids, *inside)

    def _without(self, count: int) -> TokenTree:
        """What is left after the first tokens of the trunk."""
        inside = max(0, count - len(self.ids))  # of the continuation
        rests = [tokens[inside:] for tokens in self.continuations]
        return TokenTree(self.ids[count:], rests, self.branches, self.scored + inside)

    @property
    def nodes(self) -> list[TokenTree]:
        """What goes through the model after `ids`: of each continuation all tokens but the last, then the branches."""
        return [*(TokenTree(tokens[:-1]) for tokens in self.continuations), *self.branches]

    @property
    def size(self) -> int:
        """Tokens that go through the model in a packed row; a continuation of one token adds none."""
        inner = sum(len(tokens) - 1 for tokens in self.continuations)
        return len(self.ids) + inner + sum(branch.size for branch in self.branches)

    @property
    def logit_positions(self) -> int:
        """Positions at which logits are needed."""
        return sum(self._positions())

    def _positions(self) -> tuple[int, int]:
        """Of these, those inside the tree, and how many of the tokens right before it."""
        inside = sum(len(tokens) - 1 for tokens in self.continuations)
        # how many tokens at the end of the path to here predict one
        reach = self.scored + 1 if self.continuations else 0
        for branch in self.branches:
            own, before = branch._positions()
            inside, reach = inside + own, max(reach, before)
        here = min(reach, len(self.ids))
        return inside + here, reach - here

    def pairs(self, before: int = 0) -> int:
        """Pairs of a token and a token that it sees, itself included.

        Args:
            before: tokens that precede the tree and are seen by all of it.
        """
        tokens = len(self.ids)
        own = tokens * before + tokens * (tokens + 1) // 2
        return own + sum(node.pairs(before + tokens) for node in self.nodes)

    def sequences(self, before: Sequence[int] = ()) -> Iterator[tuple[list[int], Sequence[int]]]:
        """Each continuation with all tokens that precede it."""
        whole = [*before, *self.ids]
        first = len(whole) - self.scored
        for tokens in self.continuations:
            yield whole[:first], [*whole[first:], *tokens]
        for branch in self.branches:
            yield from branch.sequences(whole)

    def paths(self, start: int, before: Sequence[int] = ()) -> Iterator[list[int]]:
        """Of each leaf, the places of its tokens in a packed row; of trees without continuations.

        Args:
            start: the place of the first token.
            before: places of the tokens that precede the tree.
        """
        end = start + len(self.ids)
        path = [*before, *range(start, end)]
        if not self.branches:
            yield path
        for branch in self.branches:
            yield from branch.paths(end, path)
            end += branch.size


def common_length(first: Sequence[int], second: Sequence[int]) -> int:
    """How many tokens both begin with.

    >>> common_length((1, 2, 3), (1, 2, 4, 5)), common_length((1, 2), (1, 2, 4))
    (2, 2)
    """
    limit = min(len(first), len(second))
    return next((n for n in range(limit) if first[n] != second[n]), limit)


def _next_token(number: int, tree: TokenTree) -> int:
    """The token that a tree begins with; each tree that has none has a number of its own."""
    trunk = tree.trunk
    return trunk[0] if trunk else -1 - number
