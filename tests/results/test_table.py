"""Law: the table holds what the files hold, whatever version wrote them, and results in memory give the same table."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq
import pytest
from tests.report.studies import write_cell

from polyprefix.errors import ConfigError, OutputError
from polyprefix.results.files import read_result
from polyprefix.results.table import EXAMPLE_COLUMNS, RUN_COLUMNS, read_table, table_of

CODES = ["eng_Latn", "swh_Latn", "fin_Latn"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for method in ("none", "prefix"):
        write_cell(tmp_path / "runs", CODES, method=method, settings={"length": 8} if method == "prefix" else None)
    return tmp_path / "runs"


def test_one_row_a_run_and_one_row_an_example(folder: Path) -> None:
    table = read_table([folder])
    assert tuple(table.runs.columns) == RUN_COLUMNS and table.notes == ()
    assert tuple(table.examples.columns) == (*EXAMPLE_COLUMNS, "accuracy")
    assert len(table.runs) == 2 and len(table.examples) == 2 * 3 * 30
    for run_id, run in table.runs.iterrows():
        result = read_result(folder / run_id)
        assert run["scores"] == result.scores and run["trainable_parameters"] == result.parameters["trainable"]
        means = table.examples[table.examples["run_id"] == run_id].groupby("language")["accuracy"].mean()
        assert means.to_dict() == pytest.approx({code: result.scores[code]["accuracy"].value for code in CODES})
    assert table.runs.set_index("method").at["prefix", "settings"]["method.length"] == 8
    assert list(table.examples.at[0, "references"]) == ["yes"] and list(table.examples.at[0, "log_likelihoods"]) == []


@pytest.mark.parametrize("version", [1, 2])
def test_results_in_memory_give_the_table_of_their_files(folder: Path, version: int) -> None:
    names = {"answers": "references", "predicted": "prediction", "correct": "accuracy"} if version == 2 else {}
    results = [
        (read_result(path), pq.read_table(path / "predictions.parquet").to_pandas().rename(columns=names))
        for path in sorted(folder.iterdir())
    ]
    ours, theirs = table_of(results), read_table([folder])
    pd.testing.assert_frame_equal(ours.examples, theirs.examples)
    pd.testing.assert_frame_equal(ours.runs.drop(columns="folder"), theirs.runs.drop(columns="folder"))


def test_no_runs_are_an_empty_table(tmp_path: Path) -> None:
    table = read_table([tmp_path])
    assert table.runs.empty and table.examples.empty and tuple(table.runs.columns) == RUN_COLUMNS


def test_a_frame_that_lacks_a_column_or_disagrees_is_refused(folder: Path) -> None:
    path = next(folder.iterdir())
    result, frame = read_result(path), pq.read_table(path / "predictions.parquet").to_pandas()
    for bad, reason in (
        (frame.drop(columns="text"), "lacks the columns text"),
        (frame[frame["language"] != "swh_Latn"], "has swh_Latn"),
        (frame.iloc[1:], "over 29 in the predictions"),
        (pd.concat([frame, frame.iloc[:1]]), "comes twice"),
        (frame.assign(correct=2.0), "not in 0..1"),
    ):
        with pytest.raises(OutputError, match=reason):
            table_of([(result, bad)])


def test_a_metric_that_no_run_has_names_the_nearest(folder: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'accuracy'"):
        read_table([folder], "acuracy")
    assert set(read_table([folder], "accuracy").runs["metric"]) == {"accuracy"}
