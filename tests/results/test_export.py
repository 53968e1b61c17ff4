"""Law: every cell of the long table is in the file, by whatever program it is read."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from tests.report.studies import write_cell

from polyprefix.results.export import TABLE_FORMATS, export_table, long_frame
from polyprefix.results.table import ResultsTable, read_table

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for method in ("none", "prefix"):
        write_cell(tmp_path / "runs", ["eng_Latn", "swh_Latn"], method=method, n=12)
    return tmp_path / "runs"


def read(form: str, path: Path) -> pd.DataFrame:
    if form == "parquet":
        return pd.read_parquet(path)
    if form == "csv":
        return pd.read_csv(path, keep_default_na=False, na_values={"accuracy": [""]})
    with sqlite3.connect(path) as database:
        return pd.read_sql(
            "SELECT e.*, r.task, r.model, r.method, r.settings, r.shots, r.seed, r.metric FROM examples e JOIN runs r ON r.run_id = e.run_id",
            database,
        )  # fmt: skip


@pytest.mark.parametrize("form", TABLE_FORMATS)
def test_every_cell_is_there(form: str, runs: Path, tmp_path: Path, polyprefix: Command) -> None:
    status, out, err = polyprefix("export", runs, "--format", form, "--out", tmp_path / f"all.{form}")
    assert status == 0 and "wrote" in out, err
    found, expected = read(form, tmp_path / f"all.{form}"), long_frame(read_table([runs]))
    assert len(found) == len(expected) == 48 and set(found) == set(expected)
    order = ["run_id", "language", "example_id"]
    found, expected = (frame.sort_values(order).reset_index(drop=True) for frame in (found, expected))
    for name in expected.columns:
        a, b = list(found[name]), list(expected[name])
        if name in ("references", "log_likelihoods") and form != "parquet":
            a = [json.loads(cell) for cell in a]
        if name in ("references", "log_likelihoods"):
            a, b = ([list(cell) for cell in cells] for cells in (a, b))
        assert a == b, name
    assert isinstance(json.loads(found["settings"][0]), dict)


def test_sqlite_has_scores_and_their_runs(runs: Path, tmp_path: Path) -> None:
    table = read_table([runs])
    export_table(table, "sqlite", tmp_path / "all.sqlite")
    with sqlite3.connect(tmp_path / "all.sqlite") as database:
        rows = dict(database.execute("SELECT run_id, scores FROM runs").fetchall())
    for run_id, run in table.runs.iterrows():
        for code, found in json.loads(rows[run_id]).items():
            assert found["accuracy"]["value"] == run["scores"][code]["accuracy"].value


def test_nothing_to_export(tmp_path: Path, polyprefix: Command) -> None:
    (tmp_path / "empty").mkdir()
    status, _, err = polyprefix("export", tmp_path / "empty", "--format", "csv", "--out", tmp_path / "x.csv")
    assert status == 2 and "no finished runs" in err and not (tmp_path / "x.csv").exists()
    assert isinstance(read_table([tmp_path / "empty"]), ResultsTable)
