"""Rows of a person's own JSONL, CSV or Parquet file, each with its place; what is wrong is told all at once."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyprefix.errors import DataError, UserError

SUFFIXES = (".jsonl", ".csv", ".parquet")
MOST = 20
"""So many faults are told; of more, the number."""


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


class Faults:
    """What is wrong with a file: each fault with its place, what was found there and what was expected."""

    def __init__(self) -> None:
        self._told: list[str] = []

    def add(self, where: str, found: str, expected: str) -> None:
        """Take note of a fault at a place, such as `test/sw.csv:3, column 'label'`."""
        self._told.append(f"{where}: found {found}, expected {expected}")

    def check(self, kind: type[UserError] = DataError) -> None:
        """Go on where there is none.

        Raises:
            UserError: of this kind, with all faults, or the first `MOST` and the number of the others.
        """
        if not self._told:
            return
        more = len(self._told) - MOST
        raise kind("; ".join(self._told[:MOST]) + (f"; ... and {more} more" if more > 0 else ""))


def read_table(path: Path, faults: Faults) -> Table:
    """All rows of a file; rows that cannot be read are faults and left out.

    Args:
        path: ends in one of `SUFFIXES`. Text is UTF-8, a byte order mark allowed. A CSV file has its names in the first line.
    """
    if path.suffix not in SUFFIXES:
        faults.add(str(path), f"a file of another kind ({path.suffix or 'no suffix'})", " or ".join(SUFFIXES))
        return Table(str(path), (), ())
    if path.suffix == ".parquet":
        table = _parquet(path, faults)
    else:
        text = _text(path, faults)
        if text is None:
            return Table(str(path), (), ())
        table = _csv(path, text, faults) if path.suffix == ".csv" else _jsonl(path, text, faults)
    if table is not None and not table.rows:
        faults.add(str(path), "no rows", "at least one")
    return table or Table(str(path), (), ())


def cell_text(value: object) -> str | None:
    """The text of a cell without white space around it; None where there is none, or where the value is no text.

    Numbers and truth values are text as JSON writes them; a whole number is the same with and without `.0`.

    >>> cell_text(" a "), cell_text(3.0), cell_text(True), cell_text(""), cell_text(["a"])
    ('a', '3', 'true', None, None)
    """
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
    """A value as a fault tells it: short, on one line, with its type where that is not text."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return "nothing"
    text = ascii(value) if isinstance(value, str) and cell_text(value) is None else repr(value)
    text = text if len(text) <= 60 else text[:59] + "…"
    return text if isinstance(value, str) else f"{text} ({type(value).__name__})"


def _text(path: Path, faults: Faults) -> str | None:
    try:
        raw = path.read_bytes()
    except OSError as error:
        faults.add(str(path), f"no file that can be read ({error.strerror})", "a file")
        return None
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw[: error.start].count(b"\n") + 1
        faults.add(f"{path}:{line}", f"the byte 0x{raw[error.start]:02x}", "text in UTF-8; save the file as UTF-8")
        return None


def _jsonl(path: Path, text: str, faults: Faults) -> Table:
    rows = []
    for number, line in enumerate(text.split("\n"), 1):  # not splitlines: JSON may hold U+2028
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            cells = json.loads(line)
        except ValueError as error:
            column = f", character {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
            faults.add(where + column, f"no JSON ({getattr(error, 'msg', error)})", "one JSON object a line")
            continue
        except RecursionError:
            faults.add(where, "JSON that is nested too deeply", "one JSON object a line")
            continue
        if isinstance(cells, dict):
            rows.append(Row(where, cells))
        else:
            faults.add(where, shown(cells), "an object with the names of the columns")
    columns = dict.fromkeys(name for row in rows for name in row.cells)
    return Table(rows[0].where if rows else str(path), tuple(columns), tuple(rows))


def _csv(path: Path, text: str, faults: Faults) -> Table | None:
    lines = _records(path, text, faults)
    header = next(lines, None)
    if header is None:
        return Table(str(path), (), ())
    where, names = header
    if twice := sorted({name for name in names if names.count(name) > 1}):
        faults.add(where, f"the column '{twice[0]}' twice", "names that differ")
        return None
    rows = []
    for where_row, cells in lines:
        if len(cells) != len(names):
            faults.add(
                where_row, f"{len(cells)} cells", f"{len(names)}, as the first line has; quote commas and quotes"
            )
        else:
            rows.append(Row(where_row, dict(zip(names, cells, strict=True))))
    return Table(where, tuple(names), tuple(rows))


def _records(path: Path, text: str, faults: Faults) -> Iterator[tuple[str, list[str]]]:
    """Records with the place where each begins; empty lines are skipped."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    while True:
        where = f"{path}:{reader.line_num + 1}"
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:  # a quote that never ends swallows the rest of the file
            faults.add(where, f"a record that cannot be read ({error})", "quotes in pairs, doubled inside a cell")
            return
        if record:
            yield where, record


def _parquet(path: Path, faults: Faults) -> Table | None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        content = pq.ParquetFile(path).read()
    except FileNotFoundError:
        faults.add(str(path), "no file that can be read (No such file or directory)", "a file")
        return None
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        faults.add(str(path), f"no Parquet ({reason})", "a whole Parquet file; write it again")
        return None
    rows = tuple(Row(f"{path}, row {number}", cells) for number, cells in enumerate(content.to_pylist(), 1))
    return Table(rows[0].where if rows else str(path), tuple(content.column_names), rows)
