"""Rows with their places, and how those of an Arrow table come to be."""

from __future__ import annotations

import datetime
import decimal
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from polyprefix.data.cells import Real
from polyprefix.data.validation_errors import ValidationErrors
from polyprefix.errors import DataError


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


def table_of(content: Any, where: str, errors: ValidationErrors, first: int = 1) -> Table:
    """The rows of an Arrow table in memory, with the values that they would have in a Parquet file.

    Args:
        content: a `pyarrow.Table`.
        where: what an error calls it, such as `data frame`.
        first: number of its first row.
    """
    if has_twice(where, content.column_names, errors):
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


def has_twice(where: str, names: Sequence[str], errors: ValidationErrors) -> bool:
    """Whether two columns have one name, which is an error then."""
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        errors.add(where, f"the column '{twice[0]}' twice", "names that differ")
    return bool(twice)


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
