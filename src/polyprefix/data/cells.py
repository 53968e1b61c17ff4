"""Values of cells as they were written: numbers keep their text, and a text may be a list."""

from __future__ import annotations

import ast
import json
import math
from typing import Any

MOST_LIST = 100_000
"""Characters of a cell that is read as a list."""


class Whole(int):
    """A whole number that remembers how it was written."""

    written: str


class Real(float):
    """A number with a point or an exponent that remembers how it was written."""

    written: str


def as_written(kind: type[Whole] | type[Real], text: str) -> Any:
    """A number, and its text."""
    number = kind(text)
    number.written = text
    return number


def cell_text(value: object) -> str | None:
    """The text of a cell without white space around it; None where there is none, or where the value is no text.

    Numbers are text as the file has them. Numbers that no file wrote and truth values are text as JSON writes them; there, a whole
    number is the same with and without `.0`.

    >>> cell_text(" a "), cell_text(3.0), cell_text(True), cell_text(""), cell_text(["a"]), cell_text(as_written(Real, "1.50"))
    ('a', '3', 'true', None, None, '1.50')
    """
    if isinstance(value, Whole | Real):
        return value.written
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        if not math.isfinite(value):
            return None
        return str(int(value)) if value.is_integer() else repr(value)
    if isinstance(value, int):
        return str(value)
    if not isinstance(value, str) or any("\ud800" <= c <= "\udfff" for c in value):  # JSON may hold half a character
        return None
    return value.strip() or None


def shown(value: object) -> str:
    """A value as an error message shows it: short, on one line, with its type where that is not text."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return "nothing"
    if isinstance(value, Whole | Real):
        value_text = value.written
    else:
        value_text = repr(value)
    text = ascii(value) if isinstance(value, str) and cell_text(value) is None else value_text
    text = text if len(text) <= 60 else text[:59] + "…"
    kind = "int" if isinstance(value, Whole) else "float" if isinstance(value, Real) else type(value).__name__
    return text if isinstance(value, str) else f"{text} ({kind})"


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object whose names differ; of two with one name JSON keeps the last in silence."""
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the column '{next(name for name in names if names.count(name) > 1)}' twice")
    return found


def _whole(text: str) -> Any:
    try:
        return as_written(Whole, text)
    except ValueError:  # more digits than Python reads as a number
        return text


JSON = json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole, parse_float=lambda text: as_written(Real, text))


def written_list(text: str) -> list[Any] | None:
    """The items of a list that was written as text, as JSON or Python writes it; None where the text is no such list.

    >>> written_list('["a", 1.50]'), written_list("['a', 'b']"), written_list("[citation needed]"), written_list("a")
    (['a', 1.5], ['a', 'b'], None, None)
    """
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")) or len(text) > MOST_LIST:
        return None
    for read in (JSON.decode, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list):
            return found
    return None
