"""Rows of a person's own JSONL, CSV or Parquet file, each with its place; all mistakes are reported at once."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

from polyprefix.data.parquet_files import read_parquet
from polyprefix.data.table import Table
from polyprefix.data.text_files import read_csv, read_jsonl
from polyprefix.data.validation_errors import ValidationErrors
from polyprefix.safe_files import require_regular

SUFFIXES = (".jsonl", ".csv", ".parquet")
MOST_BYTES = 4 << 30
"""Of a JSONL or CSV file, which is read whole."""


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
    read = {".parquet": read_parquet, ".csv": read_csv, ".jsonl": read_jsonl}.get(path.suffix.lower())
    if read is None:
        errors.add(str(path), f"a file of another kind ({path.suffix or 'no suffix'})", " or ".join(SUFFIXES))
        return
    yield from read(path, size, errors)
