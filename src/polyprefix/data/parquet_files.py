"""Parquet, batch by batch."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from polyprefix.data.table import Table, table_of
from polyprefix.data.validation_errors import ValidationErrors
from polyprefix.errors import first_line
from polyprefix.safe_files import require_regular

MOST_ROWS = 1 << 16
"""Rows that are decoded at a time."""


def read_parquet(path: Path, size: int, errors: ValidationErrors) -> Iterator[Table]:
    """The rows of a Parquet file, `size` at a time."""
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
