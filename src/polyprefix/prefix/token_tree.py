"""Token sequences that begin alike, as one tree: what they have in common is computed once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple


class TokenTree(NamedTuple):
    """Tokens, and what follows them: continuations that are scored, and branches that are trees themselves.

    A prompt with four choices has four continuations. A passage with questions has a branch for each question. Continuations and branches
    do not see each other.
    """

    ids: Sequence[int]
    continuations: Sequence[Sequence[int]] = ()
    branches: Sequence[TokenTree] = ()

    @classmethod
    def joined(cls, trees: Sequence[TokenTree], common: int) -> TokenTree:
        """Trees whose first `common` tokens are the same, as one."""
        if len(trees) == 1:
            return trees[0]
        return cls(trees[0].ids[:common], (), [tree._replace(ids=tree.ids[common:]) for tree in trees])

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
        own = 1 + sum(len(tokens) - 1 for tokens in self.continuations) if self.continuations else 0
        return own + sum(branch.logit_positions for branch in self.branches)

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
        for tokens in self.continuations:
            yield whole, tokens
        for branch in self.branches:
            yield from branch.sequences(whole)
