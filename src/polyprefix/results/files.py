"""The files in the folder of a run, and how each is written and read.

| file                  | content                                                                    |
|-----------------------|----------------------------------------------------------------------------|
| `result.json`         | one `RunResult`; it is written last, and a folder without it is no result  |
| `config.yaml`         | the resolved settings                                                      |
| `predictions.parquet` | one row an answer (`PREDICTION_COLUMNS`), zstd                             |
| `calibration.json`    | what calibration needs beside them (polyprefix.calibration.record)         |
| `train.jsonl`         | one line a training record (polyprefix.results.log)                        |
| `adapter/`            | safetensors and JSON, written by the method                                |
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from polyprefix.atomic import write_text, writing
from polyprefix.config import RunConfig
from polyprefix.errors import OutputError, first_line
from polyprefix.results import version_1
from polyprefix.safe_files import read_json, require_regular
from polyprefix.types import Prediction, RunResult, Score
from polyprefix.yaml12 import dump

RESULT = "result.json"
CONFIG = "config.yaml"
PREDICTIONS = "predictions.parquet"
TRAIN_LOG = "train.jsonl"
COMPACT: Mapping[str, Any] = {
    "compression": "zstd",
    "compression_level": 9,
    "use_dictionary": False,
    "column_encoding": {"log_likelihoods.list.element": "BYTE_STREAM_SPLIT"},
}
"""How predictions are written: the bytes of log-likelihoods apart by place in the number, of which the last ones are mostly 0 since they
come from float32. A third smaller than with dictionaries; values are the same."""
ADAPTER = "adapter"

SCHEMA_VERSION = 2
MOST = (1 << 63) - 1
"""Of a whole number: a count, a size or a seed."""
CONFIG_TYPES: Mapping[str, tuple[type, ...]] = {
    "model": (str,), "task": (str,), "method": (dict,), "protocol": (str,), "seed": (int,), "shots": (int,), "shot_language": (str,),
    "adapter": (str, type(None)), "task_digest": (str, type(None)), "model_digest": (str, type(None)), "languages": (str, list),
    "train_size": (int, type(None)), "source_languages": (list,), "target_languages": (list,), "target_size": (int, type(None)),
    "eval_size": (int, type(None)), "eval_ids": (str,), "eval_until": (int, float, type(None)), "train": (dict,), "eval": (dict,),
    "text": (dict,), "runtime": (dict,),
}  # fmt: skip
"""Of the settings in a result that its readers use."""
ADDED = {"fertility", "training", "origins", "answers", "available"}
"""Keys that results of earlier versions lack."""

PREDICTION_COLUMNS = pa.schema(
    [
        ("example_id", pa.string()),
        ("language", pa.string()),
        ("references", pa.list_(pa.string())),
        ("prediction", pa.string()),
        ("log_likelihoods", pa.list_(pa.float64())),
        ("text", pa.string()),
        ("correct", pa.float64()),
    ]
)


def write_result(folder: Path, result: RunResult) -> None:
    """Write `result.json`: whole or not at all.

    Raises:
        OutputError: if the folder cannot be written.
        ValueError: if a figure is not finite; JSON has no word for that.
    """
    text = json.dumps(dataclasses.asdict(result), indent=1, ensure_ascii=False, allow_nan=False)
    write_text(folder / RESULT, text + "\n")


def read_result(folder: Path) -> RunResult:
    """The result in the folder of a finished run.

    Raises:
        OutputError: if `result.json` is missing, damaged, of another schema version, or has missing or unknown keys.
    """
    path = folder / RESULT
    try:
        values = read_json(path)
    except (FileNotFoundError, NotADirectoryError):
        raise OutputError(f"{path}: no such file, so this is not a finished run; give the folder of one") from None
    except (OSError, ValueError) as error:  # bytes that are no UTF-8 and text that is no JSON are ValueErrors
        raise OutputError(f"{path}: damaged or unreadable ({error}); run it again") from None
    if not isinstance(values, dict):
        raise OutputError(f"{path}: holds {type(values).__name__}, expected an object; run it again")
    if values.get("schema_version") == 1:
        values = version_1.upgraded(values)
    if values.get("schema_version") != SCHEMA_VERSION:
        found = values.get("schema_version", "none")
        raise OutputError(
            f"{path}: schema_version is {found}, this version reads 1 and {SCHEMA_VERSION}; "
            "use the version of polyprefix that wrote it, or run it again"
        )
    return _result(path, values)


def write_config(folder: Path, config: RunConfig) -> None:
    """Write the resolved settings; `polyprefix run` accepts the file again.

    Raises:
        OutputError: if the folder cannot be written.
    """
    settings = config.model_dump(mode="json")
    write_text(folder / CONFIG, dump(settings))


def write_predictions(
    path: Path,
    predictions: Sequence[Prediction],
    correctness: Sequence[float],
    metrics: Mapping[str, Sequence[float]] | None = None,
) -> None:
    """Write answers and how right each is, in the given order.

    Args:
        metrics: other metrics -> a value for each answer, for runs whose task cannot compute them from the answers.

    Raises:
        OutputError: if the file cannot be written.
        ValueError: if the two differ in length, or a correctness is not between 0 and 1.
    """
    if not all(0 <= correct <= 1 for correct in correctness):
        raise ValueError("correctness must lie between 0 and 1")
    rows = [
        {**dataclasses.asdict(prediction), "correct": correct}
        for prediction, correct in zip(predictions, correctness, strict=True)
    ]
    table = pa.Table.from_pylist(rows, schema=PREDICTION_COLUMNS)
    for name, values in (metrics or {}).items():
        table = table.append_column(name, pa.array(values, pa.float64()))
    with writing(path) as temporary:
        pq.write_table(table, temporary, **COMPACT)


def read_predictions(path: Path) -> tuple[list[Prediction], list[float]]:
    """What `write_predictions` wrote: the answers, and how right each is.

    Raises:
        OutputError: if the file is missing or damaged, or lacks a column.
    """
    table = _read_columns(path, PREDICTION_COLUMNS.names)
    rows = table.to_pylist()
    correctness = [row.pop("correct") for row in rows]
    lists = ("references", "log_likelihoods")
    return [Prediction(**{**row, **{key: tuple(row[key]) for key in lists}}) for row in rows], correctness


def find_results(folder: Path) -> list[Path]:
    """The finished runs in a folder, in alphabetical order: itself, its folders, and their folders.

    What a run is still writing is hidden (polyprefix.results.folder) and is not found.

    Raises:
        OutputError: if there is no such folder.
    """
    if not folder.is_dir():
        raise OutputError(f"{folder}: no such folder; give one that holds runs")
    found = [path.parent for pattern in ("", "*/", "*/*/") for path in folder.glob(pattern + RESULT)]
    return sorted(path for path in found if not _hidden(path.relative_to(folder)))


def _hidden(path: Path) -> bool:
    return any(part.startswith(".") for part in path.parts)


def _read_columns(path: Path, columns: list[str]) -> pa.Table:
    expected = pa.schema([PREDICTION_COLUMNS.field(name) for name in columns])
    try:
        require_regular(path)
        with pq.ParquetFile(path) as file:
            there = file.schema_arrow.names
            former = {new: old for old, new in version_1.COLUMNS.items()}
            written = [name if name in there else former.get(name, name) for name in columns]
            if missing := [name for name, found in zip(columns, written, strict=True) if found not in there]:
                raise OutputError(f"{path}: lacks the columns {', '.join(missing)}; run it again")
            table = file.read(columns=written).select(written).rename_columns(columns).cast(expected)
            table.validate(full=True)  # text that is no UTF-8, lists that reach beyond their values
    except FileNotFoundError:
        raise OutputError(f"{path}: no such file; run it again to compare or report it") from None
    except (OSError, ValueError, pa.ArrowException) as error:
        reason = first_line(error)
        raise OutputError(f"{path}: damaged or unreadable ({reason}); run it again") from None
    if any(table[name].null_count for name in columns):
        raise OutputError(f"{path}: has empty cells; run it again")
    return table


def _result(path: Path, values: Mapping[str, Any]) -> RunResult:
    fields = {field.name: field for field in dataclasses.fields(RunResult)}
    if unknown := sorted(values.keys() - fields.keys()):
        raise OutputError(f"{path}: unknown keys {', '.join(unknown)}; it was not written by this version")
    if missing := sorted(fields.keys() - values.keys() - ADDED):
        raise OutputError(f"{path}: the keys {', '.join(missing)} are missing; run it again")
    if values["status"] != "finished":
        raise OutputError(f"{path}: status is {values['status']!r}, expected 'finished'; run it again")
    _check_types(path, values)
    try:
        return RunResult(
            **{
                **values,
                "scores": _scores(values["scores"]),
                "baselines": _scores(values["baselines"]),
                "notes": tuple(values["notes"]),
                "fertility": {code: float(value) for code, value in values.get("fertility", {}).items()},
                "answers": {code: _figures(found) for code, found in values.get("answers", {}).items()},
                "origins": {code: _text(value) for code, value in values.get("origins", {}).items()},
            }
        )
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise OutputError(f"{path}: scores, baselines or notes are malformed ({error}); run it again") from None


def _check_types(path: Path, values: Mapping[str, Any]) -> None:
    """What readers of a result rely on, whoever wrote it; a setting may be missing, of an earlier version.

    Raises:
        OutputError: if something is of another type.
    """
    wanted: list[tuple[str, Any, tuple[type, ...]]] = [
        (key, values[key], kinds)
        for key, kinds in {"run_id": (str,), "config": (dict,), "provenance": (dict,), "parameters": (dict,), "cost": (dict,),
                           "scores": (dict,), "baselines": (dict,), "notes": (list,)}.items()
    ]  # fmt: skip
    config = values["config"] if isinstance(values["config"], dict) else {}
    wanted += [(f"config.{key}", config[key], kinds) for key, kinds in CONFIG_TYPES.items() if key in config]
    method = config.get("method")
    if isinstance(method, dict):
        wanted.append(("config.method.name", method.get("name"), (str,)))
    for key in ("parameters", "cost"):
        if isinstance(values[key], dict):
            wanted += [(f"{key}.{name}", number, (int, float, type(None))) for name, number in values[key].items()]
    if isinstance(values["notes"], list):
        wanted += [("notes", note, (str,)) for note in values["notes"]]
    for where, value, kinds in wanted:
        if not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds):
            names = " or ".join("nothing" if kind is type(None) else kind.__name__ for kind in kinds)
            raise OutputError(f"{path}: {where} is {type(value).__name__}, expected {names}: malformed; run it again")
        if isinstance(value, int) and float not in kinds and abs(value) > MOST:
            raise OutputError(f"{path}: {where} is no number of a run; run it again")


def _scores(values: Mapping[str, Any]) -> dict[str, dict[str, Score]]:
    """Two names deep: language and metric, or baseline and language."""
    return {outer: {inner: _score(**score) for inner, score in scores.items()} for outer, scores in values.items()}


def _figures(values: Mapping[str, Any]) -> dict[str, float]:
    return {key: float(value) for key, value in values.items()}


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value


def _score(value: float, n: int, ci95: Sequence[float]) -> Score:
    low, high = ci95
    if any(isinstance(x, bool) or not isinstance(x, int | float) for x in (value, n, low, high)) or not 0 <= n <= MOST:
        raise ValueError("a score is no number")
    return Score(float(value), int(n), (float(low), float(high)))
