"""Rows of a person's own JSONL, CSV or Parquet file, each with its place; all mistakes are reported at once."""

from __future__ import annotations

import ast
import csv
import datetime
import decimal
import io
import json
import math
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyprefix.errors import DataError, UserError, first_line
from polyprefix.safe_files import read_bytes, require_regular

SUFFIXES = (".jsonl", ".csv", ".parquet")
SEPARATORS = (",", "\t", ";")
"""Of the cells of a CSV file: the first of these that its first line has."""
MOST_BYTES = 4 << 30
"""Of a JSONL or CSV file, which is read whole."""
MOST_LIST = 100_000
"""Characters of a cell that is read as a list."""
MOST = 20
"""So many errors are listed; of more, the number."""


@dataclass(frozen=True, slots=True)
class Row:
    """One row, and where it is, such as `test/sw.csv:3`."""

    where: str
    cells: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Table:
    """The rows of a file."""

    where: str
    """The place that has the names of the columns: the header of a CSV file, the first row of others."""
    columns: tuple[str, ...]
    """Every name that a row has, in the order of the file."""
    rows: tuple[Row, ...]


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


def is_data_file(path: Path) -> bool:
    """Whether a name is that of data, and not of what editors, notebooks, archives and systems leave beside it.

    >>> [is_data_file(Path(name)) for name in ("sw.csv", "._sw.csv", ".ipynb_checkpoints/sw.csv", "sw.csv~", "a/Thumbs.db")]
    [True, False, False, False, False]
    """
    return not any(
        (part.startswith((".", "~$", "#")) and part not in (".", ".."))
        or part.endswith(("~", ".swp", ".swo", ".bak", ".orig", ".tmp", ".part", ".crdownload"))
        or part.lower()
        in ("thumbs.db", "desktop.ini", "icon\r", "__macosx", "__pycache__", "$recycle.bin", "lost+found")
        for part in path.parts
    )


class ValidationErrors:
    """The errors of a file, each with its place, what was found there and what was expected."""

    def __init__(self) -> None:
        self._told: list[str] = []

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


def read_table(path: Path, errors: ValidationErrors) -> Table:
    """All rows of a file; rows that cannot be read are errors and left out.

    Args:
        path: ends in one of `SUFFIXES`. Text is UTF-8, a byte order mark allowed. A CSV file has its names in the first line.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        errors.add(str(path), f"a file of another kind ({path.suffix or 'no suffix'})", " or ".join(SUFFIXES))
        return Table(str(path), (), ())
    if suffix == ".parquet":
        table = _parquet(path, errors)
    else:
        text = _text(path, errors)
        if text is None:
            return Table(str(path), (), ())
        table = _csv(path, text, errors) if suffix == ".csv" else _jsonl(path, text, errors)
    if table is not None and not table.rows:
        errors.add(str(path), "no rows", "at least one")
    return table or Table(str(path), (), ())


def table_of(content: Any, where: str, errors: ValidationErrors) -> Table:
    """The rows of an Arrow table in memory, with the values that they would have in a Parquet file.

    Args:
        content: a `pyarrow.Table`.
        where: what an error calls it, such as `data frame`.
    """
    if _has_twice(where, content.column_names, errors):
        return Table(where, (), ())
    names, columns = tuple(content.column_names), [_cells(column) for column in content.columns]
    rows = tuple(
        Row(f"{where}, row {number}", dict(zip(names, cells, strict=True)))
        for number, cells in enumerate(zip(*columns, strict=True), 1)
    )
    return Table(rows[0].where if rows else where, names, rows)


def arrow_table(frame: Any, where: str) -> Any:
    """A pandas data frame as a `pyarrow.Table`.

    Raises:
        DataError: if a column mixes values that no Parquet file could hold.
    """
    import pyarrow as pa

    try:
        return pa.Table.from_pandas(frame, preserve_index=False)
    except (pa.ArrowException, TypeError, ValueError) as error:
        reason = " ".join(str(part) for part in error.args)
        raise DataError(
            f"{where}: found a column of mixed values ({reason}), expected one type a column; convert it"
        ) from None


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


def _text(path: Path, errors: ValidationErrors) -> str | None:
    try:
        raw = read_bytes(path, MOST_BYTES)
    except (OSError, ValueError) as error:
        errors.add(str(path), f"no file that can be read ({getattr(error, 'strerror', None) or error})", "a file")
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        errors.add(f"{path}:{line}", f"the byte 0x{raw[error.start]:02x}", "text in UTF-8; save the file as UTF-8")
        return None


def _jsonl(path: Path, text: str, errors: ValidationErrors) -> Table:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: JSON may hold U+2028
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            cells = _JSON.decode(line)
        except ValueError as error:
            column = f", character {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            errors.add(where + column, f"no JSON ({getattr(error, 'msg', error)})", "one JSON object a line")
            continue
        except RecursionError:
            errors.add(where, "JSON that is nested too deeply", "one JSON object a line")
            continue
        if isinstance(cells, dict):
            rows.append(Row(where, cells))
        else:
            errors.add(where, shown(cells), "an object with the names of the columns")
    columns = dict.fromkeys(name for row in rows for name in row.cells)
    return Table(rows[0].where if rows else str(path), tuple(columns), tuple(rows))


def _csv(path: Path, text: str, errors: ValidationErrors) -> Table | None:
    lines = _records(path, text, errors)
    header = next(lines, None)
    if header is None:
        return Table(str(path), (), ())
    where, names = header
    if _has_twice(where, names, errors):
        return None
    rows = []
    for where_row, cells in lines:
        if len(cells) != len(names):
            errors.add(
                where_row, f"{len(cells)} cells", f"{len(names)}, as the first line has; quote commas and quotes"
            )
        else:
            rows.append(Row(where_row, dict(zip(names, cells, strict=True))))
    return Table(where, tuple(names), tuple(rows))


def _records(path: Path, text: str, errors: ValidationErrors) -> Iterator[tuple[str, list[str]]]:
    """Records with the place where each begins; empty lines are skipped."""
    csv.field_size_limit(
        min(sys.maxsize, (1 << 31) - 1)
    )  # a context may be longer than 131,072 characters; the file bounds it
    first = next((line for line in text[: 1 << 20].splitlines() if line.strip()), "")
    separator = next((mark for mark in SEPARATORS if mark in first), ",")
    reader = csv.reader(io.StringIO(text, newline=""), strict=True, delimiter=separator)
    while True:
        where = f"{path}:{reader.line_num + 1}"
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # a quote that never ends swallows the rest of the file
            errors.add(where, f"a record that cannot be read ({error})", "quotes in pairs, doubled inside a cell")
            return
        if record:
            yield where, record


def _has_twice(where: str, names: Sequence[str], errors: ValidationErrors) -> bool:
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        errors.add(where, f"the column '{twice[0]}' twice", "names that differ")
    return bool(twice)


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


_JSON = json.JSONDecoder(object_pairs_hook=_object, parse_int=_whole, parse_float=lambda text: as_written(Real, text))


def written_list(text: str) -> list[Any] | None:
    """The items of a list that was written as text, as JSON or Python writes it; None where the text is no such list.

    >>> written_list('["a", 1.50]'), written_list("['a', 'b']"), written_list("[citation needed]"), written_list("a")
    (['a', 1.5], ['a', 'b'], None, None)
    """
    text = text.strip()
    if not (text.startswith("[") and text.endswith("]")) or len(text) > MOST_LIST:
        return None
    for read in (_JSON.decode, ast.literal_eval):
        try:
            found = read(text)
        except (ValueError, SyntaxError, RecursionError, MemoryError):
            continue
        if isinstance(found, list):
            return found
    return None


def _parquet(path: Path, errors: ValidationErrors) -> Table | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        require_regular(path)
        return table_of(pq.ParquetFile(path).read(), str(path), errors)
    except FileNotFoundError:
        errors.add(str(path), "no file that can be read (No such file or directory)", "a file")
        return None
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        reason = first_line(error)
        errors.add(str(path), f"no Parquet ({reason})", "a whole Parquet file; write it again")
        return None
    return None


def _cells(column: Any) -> list[Any]:
    """The values of a column as JSON has them: dates and times as ISO 8601 writes them, decimals with all their digits."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_time64(kind):  # Python knows no nanoseconds
        column = column.cast(
            pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else pa.time64("us"), safe=False
        )
    return [_plain(value, kind) for value in column.to_pylist()]


def _plain(value: Any, kind: Any) -> Any:
    import numpy as np
    import pyarrow as pa

    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if isinstance(value, list) and hasattr(kind, "value_type"):
        return [_plain(item, kind.value_type) for item in value]
    if isinstance(value, dict) and pa.types.is_struct(kind):
        return {field.name: _plain(value[field.name], field.type) for field in kind}
    if isinstance(value, datetime.date | datetime.time):  # a moment is a date too
        return value.isoformat()
    if isinstance(value, decimal.Decimal):
        return format(value, "f")
    narrow = np.float32 if pa.types.is_float32(kind) else np.float16 if pa.types.is_float16(kind) else None
    if narrow and value is not None and math.isfinite(value) and not float(value).is_integer():
        number = Real(value)
        number.written = str(narrow(value))  # the shortest text that gives the same number of this width again
        return number
    return value
