"""What tasks share when they read rows: checks that name the row, and training rows that the test set has too."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from polyprefix.errors import DataError, LanguageError, nearest
from polyprefix.records import Example, Split
from polyprefix.tasks.base import ENGLISH


def require_language(task: str, split: Split, language: str, known: Sequence[str], elsewhere: Split = "test") -> None:
    """Check that a task has a split in a language.

    Args:
        elsewhere: the split that all languages have; the others are English only.

    Raises:
        LanguageError: if it has not.
    """
    if language not in known:
        raise LanguageError(f"{task}: no data in '{language}'; {nearest(language, known)}")
    if split not in ("test", elsewhere) and language != ENGLISH:
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

    A piece is compared with the same field of the test set, by its letters and digits alone.

    Args:
        where: task and split, for the note.
        fields: names of inputs.
    """
    known = {field: {letters(example.inputs[field]) for example in test} for field in fields}
    seen: dict[str, str] = {}  # passages repeat, and folding them takes most of the time

    def shares(example: Example) -> bool:
        for field in fields:
            text = example.inputs[field]
            if text not in seen:
                seen[text] = letters(text)
            if seen[text] in known[field]:
                return True
        return False

    kept = [example for example in train if not shares(example)]
    dropped = len(train) - len(kept)
    shared = " or ".join(fields)
    return kept, f"{where}: {dropped:,} of {len(train):,} rows share a {shared} with the test set and are dropped."


def letters(text: str) -> str:
    """The letters and digits of a text alone, in lower case: what is compared to find a row again."""
    return re.sub(r"[\W_]+", "", text.casefold())
