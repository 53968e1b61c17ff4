"""Which sequences may share a forward pass, and in which way: the rules that the engine keeps to.

A model may change beyond a window, a chunk of attention, an original context or the like (polyprefix.prefix.limits measures what is exact
there). Up to its limits, sequences stand side by side; beyond them they go through the model one at a time, and then not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property

from polyprefix.errors import ModelError
from polyprefix.prefix.rope_scaling import RotaryRegimes

UNLIMITED = 1 << 30
END_OF_POSITIONS = ("max_position", "n_positions", "max_seq", "context_length")
"""A model reads no more tokens than these: they are no switch unless its rotary phases change there."""


@dataclass(frozen=True, slots=True)
class Limits:
    """The most tokens of a sequence that is read in each way."""

    shared: int = UNLIMITED
    together: int = UNLIMITED
    row: int = UNLIMITED
    """Of all sequences of a packed row together."""
    alone: int = UNLIMITED


NO_LIMITS = Limits()


def switch_lengths(named: Mapping[str, int], switches: tuple[int, ...], window: int | None) -> tuple[int, ...]:
    """The lengths at which a model may change, ascending.

    Args:
        named: by its config, by their dotted place there.
        switches: of its rotary phases.
        window: as its attention layers say.
    """
    kept = {n for key, n in named.items() if not any(end in key for end in END_OF_POSITIONS) or "original" in key}
    return tuple(sorted(kept | set(switches) | ({window} if window else set())))


class LengthRules:
    """What may be done with sequences of some length; of one model."""

    def __init__(
        self,
        name: str,
        rope: RotaryRegimes,
        switches: tuple[int, ...],
        window: int | None,
        measure: Callable[[], Limits],
    ) -> None:
        """Keep what is known of a model.

        Args:
            name: of its class, for messages.
            rope: its rotary modules.
            switches: lengths at which it may change.
            window: the smallest sliding window of its layers.
            measure: gives the limits; asked when the first sequence is as long as the first switch.
        """
        self._name, self._measure = name, measure
        self.rope, self.switches, self.window = rope, switches, window

    @cached_property
    def limits(self) -> Limits:
        """Up to which length sequences are served exactly; measured at first use, since few sequences are that long."""
        return self._measure() if self.switches else NO_LIMITS

    @property
    def first_switch(self) -> int | None:
        """The shortest length at which the model changes; nothing needs care where all sequences are shorter."""
        return min(self.switches, default=None)

    def shares(self, length: int) -> bool:
        """Whether sequences of so many tokens may have their first tokens given as keys and values."""
        if self.window is not None and length > self.window:
            return False
        return self.first_switch is None or length < self.first_switch or length <= self.limits.shared

    def check(self, lengths: Sequence[int], *, shared: int, together: bool, row: int = 0) -> None:
        """Refuse sequences that would not be served exactly.

        Args:
            lengths: of the sequences of a pass, shared tokens included.
            shared: how many first tokens are given as keys and values.
            together: whether other sequences, or padding, are in the pass.
            row: tokens of a packed row that holds them.

        Raises:
            ModelError: if no such sequence can be served.
            ValueError: if it can be, in another way.
        """
        longest = max(lengths)
        if self.first_switch is None or max(longest, row) < self.first_switch:
            return
        name = self._name
        if longest > self.limits.alone:
            raise ModelError(
                f"{name}: sequences of {longest} tokens are not served exactly, those of up to {self.limits.alone} are; "
                "shorten them (--set text.max_length=...)"
            )
        if shared and not self.shares(longest):
            most = min(self.limits.shared, self.window or self.limits.shared)
            raise ValueError(
                f"{longest} tokens exceed the {'sliding window' if self.window else 'chunk'} of {most}: shared tokens would stay "
                "visible too long; put them in front of each sequence instead (see shareable())"
            )
        if together and row > self.limits.row:
            raise ModelError(
                f"{name}: packed rows hold {self.limits.row} tokens at most, not {row}; give a lower token_budget"
            )
        if together and longest > self.limits.together:
            raise ModelError(
                f"{name}: sequences of more than {self.limits.together} tokens depend on what is read beside them; "
                f"give one of {longest} tokens by itself, without padding"
            )

    def regime(self, length: int) -> int:
        """Equal for sequences of this many tokens whose rotary phases are the same: one forward pass serves one regime."""
        return self.rope.regime(length)

    def branches(self, shortest: int, longest: int, size: int = 0) -> bool:
        """Whether a text may have several continuations in one pass.

        Args:
            shortest, longest: tokens of the text with one of them.
            size: tokens of the text with all of them.
        """
        if self.first_switch is None or max(longest, size) < self.first_switch:
            return True
        fits = longest <= self.limits.together and size <= self.limits.row
        return fits and self.regime(shortest) == self.regime(longest)

    def row(self, tokens: int) -> int:
        """How many of so many tokens may stand in one packed row."""
        return tokens if self.first_switch is None or tokens < self.first_switch else min(tokens, self.limits.row)

    def passes(self, lengths: Sequence[tuple[int, int]]) -> list[list[int]]:
        """Which sequences may share forward passes and first tokens, as their indices; all of them in most models.

        Args:
            lengths: tokens of the shortest and of the longest sequence of each text: a prompt with its shortest and longest choice.

        Raises:
            ModelError: if one is longer than the model is served exactly.
        """
        longest = max((longest for _, longest in lengths), default=0)
        if self.first_switch is None or longest < self.first_switch:
            return [list(range(len(lengths)))] if lengths else []
        self.check([longest], shared=0, together=False)
        groups: dict[tuple[int, int], list[int]] = {}
        for n, (shortest, longest) in enumerate(lengths):
            together = self.branches(shortest, longest)
            groups.setdefault((self.regime(longest), -1 if together else n), []).append(n)
        return list(groups.values())

    def for_length(self, length: int | None) -> AbstractContextManager[None]:
        """Inside the block, phases are those of sequences of `length` tokens, also of their prefix."""
        return self.rope.at(length)
