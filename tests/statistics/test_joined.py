"""Law: a run counts once, however many folders it lies in, and `report` and `compare` take the same runs."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.report.studies import FAST, write_cell

from polyprefix.errors import OutputError
from polyprefix.report.grid import read_grid
from polyprefix.results.table import read_table
from polyprefix.statistics.compare import compare

CODES = ["eng_Latn", "swh_Latn"]


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    for method in ("none", "prefix"):
        write_cell(tmp_path / "runs", CODES, method=method)
    return tmp_path / "runs"


def test_a_copied_run_counts_once_and_is_named(runs: Path) -> None:
    first = compare(runs, "none", resamples=FAST)
    for path in list(runs.iterdir()):
        shutil.copytree(path, path.with_name(path.name + "-copy"))
    table = read_table([runs])
    assert len(table.runs) == 2 and len(table.notes) == 2
    assert all("a copy of" in note and "left out" in note for note in table.notes)
    again = compare(runs, "none", resamples=FAST)
    assert again.settings[0].averages == first.settings[0].averages
    assert any("a copy of" in note for note in again.settings[0].notes)
    grid = read_grid([runs])
    assert [len(cell.runs) for cell in grid.cells] == [1, 1]
    assert any("a copy of" in line for line in grid.missing)


def test_an_evaluated_adapter_is_more_languages_of_its_run(runs: Path) -> None:
    trained = next(runs.glob("*prefix*"))
    more = {"adapter": f"elsewhere/{trained.name}/adapter", "train": {"epochs": 0}}
    write_cell(runs, ["eng_Latn", "fin_Latn"], method="prefix", **more)
    table = read_table([runs])
    assert len(table.runs) == 2 and any("counts as that run" in note for note in table.notes)
    grid = read_grid([runs])
    assert grid.methods == ("none", "prefix")
    cell = next(cell for cell in grid.cells if cell.method == "prefix")
    assert set(cell.scores) == {*CODES, "fin_Latn"}
    alone = read_table([trained]).examples
    merged = table.examples[table.examples["run_id"] == trained.name]
    assert merged["accuracy"].tolist()[: len(alone)] == alone["accuracy"].tolist()
    assert merged.groupby("language").size().to_dict() == dict.fromkeys((*CODES, "fin_Latn"), 30)
    assert len(compare(runs, "none", resamples=FAST).settings[0].systems) == 2


def test_an_evaluation_of_an_adapter_on_another_task_has_the_name_of_its_method(runs: Path) -> None:
    trained = next(runs.glob("*prefix*"))
    write_cell(runs, CODES, task="beta", method="prefix", adapter=f"{trained}/adapter")
    write_cell(runs, CODES, task="beta", method="none")
    assert read_grid([runs]).methods == ("none", "prefix")


@pytest.mark.parametrize("lost", ["config.yaml", "train.jsonl"])
def test_what_no_figure_needs_may_be_missing(runs: Path, lost: str) -> None:
    for path in runs.glob(f"*/{lost}"):
        path.unlink()
    assert len(read_table([runs]).runs) == 2 and read_grid([runs]) and compare(runs, "none", resamples=FAST)


@pytest.mark.parametrize("damage", ["missing", "empty", "pipe"])
def test_a_run_without_answers_is_left_out_by_all_and_named(runs: Path, damage: str) -> None:
    import os

    write_cell(runs, CODES, method="lora")
    path = next(runs.glob("*lora*")) / "predictions.parquet"
    path.unlink()
    if damage == "empty":
        path.write_bytes(b"")
    elif damage == "pipe":
        os.mkfifo(path)
    grid = read_grid([runs])
    assert grid.methods == ("none", "prefix") and any("predictions.parquet" in line for line in grid.missing)
    found = compare(runs, "none", resamples=FAST)
    assert len(found.settings[0].systems) == 2 and any(
        "predictions.parquet" in note for note in found.settings[0].notes
    )
    shutil.rmtree(next(runs.glob("*prefix*")))
    with pytest.raises(OutputError, match=r"predictions\.parquet"):
        compare(runs, "none", resamples=FAST)
