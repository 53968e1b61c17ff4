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
from itertools import chain
from pathlib import Path
from typing import Any

from polyprefix.errors import DataError, UserError, first_line
from polyprefix.safe_files import open_regular, require_regular

SUFFIXES = (".jsonl", ".csv", ".parquet")
SEPARATORS = (",", "\t", ";")
"""Of the cells of a CSV file: the first of these that its first line has."""
MOST_BYTES = 4 << 30
"""Of a JSONL or CSV file, which is read whole."""
MOST_ROWS = 1 << 16
"""Of a Parquet file that are decoded at a time."""
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


def read_table(path: Path, errors: ValidationErrors) -> Table:
    """All rows of a file; rows that cannot be read are errors and left out.

    Args:
        path: as of `read_chunks`.
    """
    try:
        if path.suffix.lower() != ".parquet" and require_regular(path).st_size > MOST_BYTES:
            errors.add(str(path), f"no file that can be read (more than {MOST_BYTES:,} bytes)", "a file")
            return Table(str(path), (), ())
    except (OSError, ValueError):
        pass  # said where it is read
    before = errors.count
    chunks = list(read_chunks(path, sys.maxsize, errors))
    if not any(chunk.rows for chunk in chunks):
        if errors.count == before:
            errors.add(str(path), "no rows", "at least one")
        return Table(str(path), (), ())
    columns = dict.fromkeys(name for chunk in chunks for name in chunk.columns)
    return Table(chunks[0].where, tuple(columns), tuple(row for chunk in chunks for row in chunk.rows))


def read_chunks(path: Path, size: int, errors: ValidationErrors) -> Iterator[Table]:
    """The rows of a file in their order, `size` or fewer at a time; no more than that is in memory.

    Rows that cannot be read are errors and left out. The same file gives the same chunks again.

    Args:
        path: ends in one of `SUFFIXES`. Text is UTF-8, a byte order mark allowed. A CSV file has its names in the first line.
        size: rows of a chunk.
    """
    read = {".parquet": _parquet, ".csv": _csv, ".jsonl": _jsonl}.get(path.suffix.lower())
    if read is None:
        errors.add(str(path), f"a file of another kind ({path.suffix or 'no suffix'})", " or ".join(SUFFIXES))
        return
    yield from read(path, size, errors)


def table_of(content: Any, where: str, errors: ValidationErrors, first: int = 1) -> Table:
    """The rows of an Arrow table in memory, with the values that they would have in a Parquet file.

    Args:
        content: a `pyarrow.Table`.
        where: what an error calls it, such as `data frame`.
        first: number of its first row.
    """
    if _has_twice(where, content.column_names, errors):
        return Table(where, (), ())
    names, columns = tuple(content.column_names), [_cells(column) for column in content.columns]
    rows = tuple(
        Row(f"{where}, row {number}", dict(zip(names, cells, strict=True)))
        for number, cells in enumerate(zip(*columns, strict=True), first)
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


class _UnreadableError(Exception):
    """The rest of a file cannot be read, and its error has been told."""


def _lines(path: Path, errors: ValidationErrors) -> Iterator[str]:
    """The lines of a text file with their ends, split at line feeds alone: JSON may hold U+2028, and a CSV cell a carriage return.

    Raises:
        _UnreadableError: where the file, or the rest of it, cannot be read.
    """
    try:
        with open_regular(path) as file:
            for number, raw in enumerate(file, 1):
                try:
                    line = raw.decode("utf-8")
                except UnicodeDecodeError as error:
                    found, wanted = f"the byte 0x{raw[error.start]:02x}", "text in UTF-8; save the file as UTF-8"
                    errors.add(f"{path}:{number}", found, wanted)
                    raise _UnreadableError from None
                yield line.removeprefix("\ufeff") if number == 1 else line
    except (OSError, ValueError) as error:
        errors.add(str(path), f"no file that can be read ({getattr(error, 'strerror', None) or error})", "a file")
        raise _UnreadableError from None


def _jsonl(path: Path, size: int, errors: ValidationErrors) -> Iterator[Table]:
    for rows in _in_chunks(_json_rows(path, errors), size):
        yield Table(rows[0].where, tuple(dict.fromkeys(name for row in rows for name in row.cells)), rows)


def _json_rows(path: Path, errors: ValidationErrors) -> Iterator[Row]:
    for number, line in enumerate(_lines(path, errors), 1):
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
            yield Row(where, cells)
        else:
            errors.add(where, shown(cells), "an object with the names of the columns")


def _csv(path: Path, size: int, errors: ValidationErrors) -> Iterator[Table]:
    records = _records(path, errors)
    try:
        header = next(records, None)
    except _UnreadableError:
        return
    if header is None or _has_twice(header[0], header[1], errors):
        return
    where, names = header
    for rows in _in_chunks(_csv_rows(records, names, errors), size):
        yield Table(where, tuple(names), rows)


def _csv_rows(
    records: Iterator[tuple[str, list[str]]], names: Sequence[str], errors: ValidationErrors
) -> Iterator[Row]:
    for where, cells in records:
        if len(cells) == len(names):
            yield Row(where, dict(zip(names, cells, strict=True)))
        else:
            errors.add(where, f"{len(cells)} cells", f"{len(names)}, as the first line has; quote commas and quotes")


def _in_chunks(rows: Iterator[Row], size: int) -> Iterator[tuple[Row, ...]]:
    """Rows so many at a time; of a file that cannot be read to its end, those before."""
    chunk: list[Row] = []
    try:
        for row in rows:
            chunk.append(row)
            if len(chunk) == size:
                yield tuple(chunk)
                chunk = []
    except _UnreadableError:
        pass
    if chunk:
        yield tuple(chunk)


def _records(path: Path, errors: ValidationErrors) -> Iterator[tuple[str, list[str]]]:
    """Records with the place where each begins; empty lines are skipped."""
    csv.field_size_limit(
        min(sys.maxsize, (1 << 31) - 1)
    )  # a context may be longer than 131,072 characters; the file bounds it
    lines = (part for line in _lines(path, errors) for part in io.StringIO(line, newline=""))
    begin = list(_until_text(lines))
    separator = next((mark for mark in SEPARATORS if begin and mark in begin[-1]), ",")
    reader = csv.reader(chain(begin, lines), strict=True, delimiter=separator)
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


def _until_text(lines: Iterator[str]) -> Iterator[str]:
    """Blank lines, and the first line that is not."""
    for line in lines:
        yield line
        if line.strip():
            return


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


def _parquet(path: Path, size: int, errors: ValidationErrors) -> Iterator[Table]:
    first = 1
    for batch in arrow_chunks(path, size, errors):
        table = table_of(batch, str(path), errors, first)
        first += len(batch)
        if table.rows:
            yield table


def arrow_chunks(path: Path, size: int, errors: ValidationErrors) -> Iterator[Any]:
    """The chunks of a Parquet file as `read_chunks` gives them, with the types of the file: tables of `pyarrow`."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        require_regular(path)
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(min(size, MOST_ROWS)):
                yield pa.Table.from_batches([batch])
    except FileNotFoundError:
        errors.add(str(path), "no file that can be read (No such file or directory)", "a file")
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        errors.add(str(path), f"no Parquet ({first_line(error)})", "a whole Parquet file; write it again")


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
