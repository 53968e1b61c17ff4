"""The long table as one file for other programs: CSV, Parquet or SQLite.

CSV and Parquet hold one row per run, language and example, with what tells runs apart in front (`RUN_KEYS`). SQLite has two tables, `runs`
and `examples`, as the frames of `ResultsTable`. Lists and objects are JSON where a format has none; what is absent is empty, never zero.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from polyprefix.atomic import writing
from polyprefix.errors import ConfigError
from polyprefix.results.table import ResultsTable
from polyprefix.serialize import to_json

if TYPE_CHECKING:
    import pandas as pd

RUN_KEYS = ("task", "model", "method", "settings", "shots", "seed", "metric")
"""Columns of the table of runs that stand in each row of CSV and Parquet."""
TABLE_FORMATS = ("csv", "parquet", "sqlite")


def export_table(table: ResultsTable, form: str, path: Path) -> Path:
    """Write a table of results, whole or not at all.

    Args:
        form: one of `TABLE_FORMATS`.
        path: the file; one that is there is replaced.

    Raises:
        ConfigError: if there is no run to write.
        OutputError: if the file cannot be written.
    """
    if table.runs.empty:
        raise ConfigError(f"{path}: no finished runs to export; give folders that hold some")
    with writing(path) as temporary:
        if form == "sqlite":
            temporary.unlink(missing_ok=True)
            _write_sqlite(table, temporary)
        elif form == "parquet":
            rows = pa.Table.from_pandas(long_frame(table), preserve_index=False)
            pq.write_table(
                rows.replace_schema_metadata(None), temporary, compression="zstd"
            )  # pandas cannot read its notes on lists
        else:
            _plain(long_frame(table)).to_csv(temporary, index=False)
    return path


def long_frame(table: ResultsTable) -> pd.DataFrame:
    """One row per run, language and example: its id, `RUN_KEYS`, then the columns of examples."""
    keys = table.runs[list(RUN_KEYS)].assign(settings=table.runs["settings"].map(to_json))
    examples = table.examples.drop(columns=[name for name in RUN_KEYS if name in table.examples])
    found = examples.join(keys, on="run_id")
    return found[["run_id", *RUN_KEYS, *(name for name in examples.columns if name != "run_id")]]


def _write_sqlite(table: ResultsTable, path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        _plain(table.runs.reset_index()).to_sql("runs", database, index=False)
        _plain(table.examples).to_sql("examples", database, index=False)
        database.execute("CREATE UNIQUE INDEX run ON runs (run_id)")
        database.execute("CREATE INDEX example ON examples (run_id, language)")
        database.commit()


def _plain(frame: pd.DataFrame) -> pd.DataFrame:
    """Numbers and text as they are, everything else as JSON."""
    numbers = frame.select_dtypes(["number", "bool"]).columns
    return frame.assign(
        **{name: frame[name].astype(object).map(_cell) for name in frame.columns if name not in numbers}
    )


def _cell(value: Any) -> Any:
    if value is None or isinstance(value, str | int | float):
        return value
    return str(value) if isinstance(value, Path) else to_json(value)
