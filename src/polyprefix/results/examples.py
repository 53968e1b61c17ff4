"""The predictions of one run as columns, whichever version of polyprefix wrote them, checked against the scores of its result."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from polyprefix.errors import OutputError, first_line
from polyprefix.results import version_1
from polyprefix.results.trained_in import TrainedIn
from polyprefix.safe_files import require_regular
from polyprefix.types import RunResult

if TYPE_CHECKING:
    import pandas as pd

EXAMPLE_COLUMNS = (
    "run_id", "language", "training", "example_id", "references", "prediction", "log_likelihoods", "text",
)  # fmt: skip
"""Of the table of examples, before those of the metrics. Log-likelihoods are in nats, one per choice, and empty where the answer was
generated; `text` is empty where a published run leaves it out. `training` says what the run learned in the language: `source`, `few-shot`,
`zero-shot`, or `untrained` where it trains nothing."""
TYPES = {
    "language": pa.string(), "example_id": pa.string(), "references": pa.list_(pa.string()), "prediction": pa.string(),
    "log_likelihoods": pa.list_(pa.float64()), "text": pa.string(),
}  # fmt: skip


def read_examples(path: Path, result: RunResult, metric: str) -> pa.Table:
    """The predictions in a file: the columns of `TYPES`, then one per metric.

    Args:
        path: `predictions.parquet`.
        result: of the same run.
        metric: its main metric.

    Raises:
        OutputError: if the file is missing or damaged, lacks a column, or does not give the scores of the result.
    """
    try:
        require_regular(path)
        with pq.ParquetFile(path) as file:
            table = file.read()
        return _checked(table, result, metric, str(path))
    except FileNotFoundError:
        raise OutputError(f"{path}: no such file; run it again to compare or report it") from None
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = first_line(error)
        raise OutputError(f"{path}: damaged or unreadable ({reason}); run it again") from None


def examples_of(frame: pd.DataFrame, result: RunResult, metric: str) -> pa.Table:
    """The same of a frame in memory with the columns of `predictions.parquet`.

    Raises:
        OutputError: as `read_examples`.
    """
    return _checked(
        pa.Table.from_pandas(frame, preserve_index=False), result, metric, f"predictions of {result.run_id}"
    )


def as_frame(tables: Sequence[tuple[RunResult, pa.Table]]) -> pd.DataFrame:
    """The tables of several runs as one frame; lists stay in Arrow, where they cost nothing until they are read."""
    import pandas as pd

    named = [_named(result, table) for result, table in tables]
    empty = pa.table({name: pa.array([], TYPES.get(name, pa.string())) for name in EXAMPLE_COLUMNS})
    whole = pa.concat_tables([empty, *named], promote_options="default")
    return whole.to_pandas(types_mapper=lambda kind: pd.ArrowDtype(kind) if pa.types.is_list(kind) else None)


def _named(result: RunResult, table: pa.Table) -> pa.Table:
    """With the run's id, and what it learned in each language."""
    trained = TrainedIn.of(result.config)
    training = pa.array([trained.status(code) for code in table["language"].to_pylist()], pa.string())
    run_id = pa.array([result.run_id] * len(table), pa.string())
    return table.add_column(1, "training", training).add_column(0, "run_id", run_id)


def _checked(table: pa.Table, result: RunResult, metric: str, where: str) -> pa.Table:
    names = {**version_1.COLUMNS, "correct": metric}
    table = table.rename_columns([names.get(name, name) for name in table.column_names])
    if missing := [name for name in (*TYPES, metric) if name not in table.column_names]:
        raise OutputError(f"{where}: lacks the columns {', '.join(missing)}; run it again")
    metrics = [
        metric,
        *(name for name in next(iter(result.scores.values())) if name != metric and name in table.column_names),
    ]
    schema = pa.schema([*TYPES.items(), *((name, pa.float64()) for name in metrics)])
    table = table.select(schema.names).cast(schema)
    table.validate(full=True)  # text that is no UTF-8, lists that reach beyond their values
    if any(table[name].null_count for name in (*TYPES, metric)):
        raise OutputError(f"{where}: has empty cells; run it again")
    counts = table.group_by(["language", "example_id"]).aggregate([([], "count_all")])
    values = pc.min_max(table[metric]).as_py()
    if len(counts) < len(table) or (len(table) and not (values["min"] >= 0 and values["max"] <= 1)):
        raise OutputError(f"{where}: an example comes twice, or its {metric} is not in 0..1; run it again")
    _require_agreement(table, result, metric, where)
    return table


def _require_agreement(table: pa.Table, result: RunResult, metric: str, where: str) -> None:
    """The mean over examples is the score of `result.json`, in the same languages and over as many examples."""
    scores = {code: found[metric] for code, found in result.scores.items() if metric in found}
    rows = table.group_by("language").aggregate([(metric, "mean"), (metric, "count")]).to_pylist()
    if odd := sorted(scores.keys() ^ {row["language"] for row in rows}):
        raise OutputError(f"{where}: only one of result.json and the predictions has {', '.join(odd)}; run it again")
    for row in rows:
        code, mean, count = row["language"], row[f"{metric}_mean"], row[f"{metric}_count"]
        if abs(mean - scores[code].value) > 1e-6 or count != scores[code].n:
            raise OutputError(
                f"{where}: {metric} of {code} is {scores[code].value:.4f} over {scores[code].n} in result.json, but {mean:.4f} "
                f"over {count} in the predictions; run it again"
            )
