"""JSONL and CSV, row by row in constant memory."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from polyprefix.data.cells import JSON, shown
from polyprefix.data.table import Row, Table, has_twice
from polyprefix.data.validation_errors import ValidationErrors
from polyprefix.safe_files import open_regular

SEPARATORS = (",", "\t", ";")
"""Of the cells of a CSV file: the first of these that its first line has."""


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


def read_jsonl(path: Path, size: int, errors: ValidationErrors) -> Iterator[Table]:
    """The rows of a file with one JSON object a line, `size` at a time."""
    for rows in _in_chunks(_json_rows(path, errors), size):
        yield Table(rows[0].where, tuple(dict.fromkeys(name for row in rows for name in row.cells)), rows)


def _json_rows(path: Path, errors: ValidationErrors) -> Iterator[Row]:
    for number, line in enumerate(_lines(path, errors), 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            cells = JSON.decode(line)
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


def read_csv(path: Path, size: int, errors: ValidationErrors) -> Iterator[Table]:
    """The rows of a file with names in its first line, `size` at a time."""
    records = _records(path, errors)
    try:
        header = next(records, None)
    except _UnreadableError:
        return
    if header is None or has_twice(header[0], header[1], errors):
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
