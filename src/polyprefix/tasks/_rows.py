"""What tasks share when they read rows: checks that name the row, and training rows that the test set has too."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from polyprefix.data.same_text import same_text
from polyprefix.errors import DataError, LanguageError, nearest
from polyprefix.tasks.base import ENGLISH
from polyprefix.types import Example, Split

SHOWN = 60
"""Characters of a dropped row in a note."""


def require_language(
    task: str, split: Split, language: str, known: Sequence[str], elsewhere: Sequence[Split] = ()
) -> None:
    """Check that a task has a split in a language.

    Args:
        elsewhere: the splits beside test that all languages have; the others are English only.

    Raises:
        LanguageError: if it has not.
    """
    if language not in known:
        raise LanguageError(f"{task}: no data in '{language}'; {nearest(language, known)}")
    if split not in ("test", *elsewhere) and language != ENGLISH:
        raise LanguageError(f"{task}: {split} is English only here; ask for {ENGLISH}")


def read_columns(rows: Mapping[str, Any], names: Sequence[str], where: str) -> Iterator[tuple[Any, ...]]:
    """The cells of these columns, row by row.

    Raises:
        DataError: if a column is missing.
    """
    try:
        columns = [rows[name][:] for name in names]  # a slice, for `datasets` is slow row by row
    except KeyError as error:
        raise DataError(f"{where}: no column {error}; expected {', '.join(names)}") from None
    return zip(*columns, strict=True)


def require_text(value: object, where: str, name: str) -> str:
    """The text of a cell.

    Raises:
        DataError: if it is none, or white space only.
    """
    if not isinstance(value, str) or not value.strip():
        raise DataError(f"{where}: the {name} is empty; fetch the data again")
    return value


def stripped(inputs: Mapping[str, str]) -> dict[str, str]:
    """Inputs without the white space around them, which some sources have and no prompt should."""
    return {name: text.strip() for name, text in inputs.items()}


def without_shared(
    where: str, train: Sequence[Example], test: Sequence[Example], fields: Sequence[str]
) -> tuple[list[Example], str]:
    """The training examples that share none of these pieces of text with the test set, and a note of how many do.

    A piece is compared with the same field of the test set, by `same_text`.

    Args:
        where: task and split, for the note.
        fields: names of inputs.
    """
    known = {field: {same_text(example.inputs[field]) for example in test} for field in fields}
    seen: dict[str, str] = {}  # passages repeat, and folding them takes most of the time

    def shares(example: Example) -> bool:
        for field in fields:
            text = example.inputs[field]
            if text not in seen:
                seen[text] = same_text(text)
            if seen[text] in known[field]:
                return True
        return False

    kept, dropped = divided(train, shares)
    shared = f"share a {' or '.join(fields)} with the test set"
    return kept, dropped_note(where, dropped, len(train), shared, fields)


def divided(examples: Iterable[Example], drop: Callable[[Example], bool]) -> tuple[list[Example], list[Example]]:
    """The examples that stay, and those that are dropped."""
    kept: list[Example] = []
    dropped: list[Example] = []
    for example in examples:
        (dropped if drop(example) else kept).append(example)
    return kept, dropped


def dropped_note(
    where: str, dropped: Sequence[Example], rows: int, reason: str, fields: Sequence[str] | None = None
) -> str:
    """How many rows were dropped and why, with one of them.

    Args:
        rows: of which they are.
        reason: what they have in common, as a verb.
        fields: names of the inputs to show; None means all.
    """
    note = f"{where}: {len(dropped):,} of {rows:,} rows {reason} and are dropped"
    if not dropped:
        return f"{note}."
    text = " ".join(" · ".join(dropped[0].inputs[name] for name in fields or dropped[0].inputs).split())
    return f"{note}, such as '{text if len(text) <= SHOWN else text[:SHOWN] + '…'}'."
