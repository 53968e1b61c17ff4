"""All that is wrong with a file, told at once."""

from __future__ import annotations

from polyprefix.errors import DataError, UserError

MOST = 20
"""So many errors are listed; of more, the number."""


class ValidationErrors:
    """The errors of a file, each with its place, what was found there and what was expected."""

    def __init__(self) -> None:
        self._told: list[str] = []

    @property
    def count(self) -> int:
        """How many there are."""
        return len(self._told)

    def add(self, where: str, found: str, expected: str) -> None:
        """Record an error at a place, such as `test/sw.csv:3, column 'label'`."""
        self._told.append(f"{where}: found {found}, expected {expected}")

    def check(self, kind: type[UserError] = DataError) -> None:
        """Go on where there is none.

        Raises:
            UserError: of this kind, with all errors, or the first `MOST` and the number of the others.
        """
        if not self._told:
            return
        more = len(self._told) - MOST
        raise kind("; ".join(self._told[:MOST]) + (f"; ... and {more} more" if more > 0 else ""))
