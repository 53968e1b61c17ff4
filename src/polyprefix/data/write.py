"""Rows as a CSV, JSONL or Parquet file, written chunk by chunk: no more than a chunk is in memory."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from polyprefix.data.cells import Real, Whole
from polyprefix.data.files import SUFFIXES
from polyprefix.errors import ConfigError, DataError, first_line
from polyprefix.serialize import to_json

Kinds = Mapping[str, set[type]]
"""Column -> the types of its values, as JSON has them."""


def check_output(path: Path) -> str:
    """The suffix of a file to write, in lower case.

    Raises:
        ConfigError: if it is none that can be written.
    """
    if (suffix := path.suffix.lower()) not in SUFFIXES:
        raise ConfigError(
            f"{path}: found the suffix '{path.suffix}', expected {', '.join(SUFFIXES)}; it says what is written"
        )
    return suffix


def kind_of(value: object) -> type:
    """The type of a value that decides how a column is written."""
    return next((kind for kind in (bool, int, float, str) if isinstance(value, kind)), object)


def write_jsonl(path: Path, chunks: Iterable[Sequence[Mapping[str, Any]]]) -> None:
    """One JSON object a line; numbers stay as they were written."""
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for rows in chunks:
            file.writelines(to_json(row) + "\n" for row in rows)


def write_csv(path: Path, columns: Sequence[str], chunks: Iterable[Sequence[Mapping[str, Any]]]) -> None:
    """A header and the rows. Absent values are empty cells; lists and objects are JSON."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        for rows in chunks:
            writer.writerows([_cell(row.get(name)) for name in columns] for row in rows)


def write_parquet(path: Path, schema: Any, chunks: Iterable[Any]) -> None:
    """Tables of `pyarrow` with this schema, compressed with zstd.

    Raises:
        DataError: if a value has another type than its column.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetWriter(path, schema, compression="zstd") as writer:
            for table in chunks:
                writer.write_table(table)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError) as error:
        raise DataError(
            f"{path}: found a value of another type than its column ({first_line(error)}); write CSV or JSONL"
        ) from None


def arrow_field(name: str, kinds: set[type]) -> Any:
    """The field of a column of values of these types: mixed ones and lists are JSON as text."""
    import pyarrow as pa

    types = {bool: pa.bool_(), int: pa.int64(), float: pa.float64(), str: pa.string()}
    if kinds == {int, float}:
        return pa.field(name, pa.float64())
    return pa.field(name, types.get(next(iter(kinds)), pa.string()) if len(kinds) == 1 else pa.string())


def arrow_column(values: Sequence[Any], field: Any) -> Any:
    """Values as an array of a field of `arrow_field`."""
    import pyarrow as pa

    if pa.types.is_string(field.type):
        values = [value if value is None or isinstance(value, str) else to_json(value) for value in values]
    return pa.array(values, field.type)


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Whole | Real):
        return value.written
    return value if isinstance(value, str) else to_json(value)
