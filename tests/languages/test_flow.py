"""Law: a run, its report, comparison, verdicts and predictions take languages that no benchmark has, and guess nothing of them."""

from __future__ import annotations

import csv
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import polyprefix as pp
from polyprefix.languages import find, get
from polyprefix.settings import validate
from polyprefix.statistics.groups import UNKNOWN

WRITTEN = ("en", "quc", "bzd", "gsw", "haw", "la", "pt-BR", "pt-PT", "x-mine", "Nahuatl", "zzy", "sw")
CODES = {text: find(text, unregistered=True).code for text in WRITTEN}
UNPLACED = {"x-mine", "nah", "zzy"}
TASK = """
task_type: classification
template: "Is it good or bad?\\n{text}\\nAnswer:"
labels: [good, bad]
columns: {answer: label, id: id, language: language}
files: {test: test.csv, train: train.csv}
origin: {en: original, pt-BR: translated by people, Nahuatl: written by people}
"""


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("task")
    for split, languages, count in (("test", WRITTEN, 6), ("train", ("en", "pt-BR"), 12)):
        with (folder / f"{split}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["id", "language", "text", "label"])
            writer.writerows(
                [f"{split}{i}", one, f"{one} {split} {i}", ["good", "bad"][i % 2]]
                for one in languages
                for i in range(count)
            )
    (folder / "task.yaml").write_text(TASK, encoding="utf-8")
    return folder / "task.yaml"


@pytest.fixture(scope="module")
def results(task: Path, tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    settings = {
        "model": str(tiny_folder), "task": str(task), "method": {"name": "prefix", "length": 2}, "source_languages": "en,pt-BR",
        "train": {"steps": 2, "batch_size": 4},
    }  # fmt: skip
    return pp.run(validate(pp.RunConfig, settings, "run"), out=tmp_path_factory.mktemp("runs"), beside_base=True)


def test_every_language_has_a_score_and_unknown_ones_a_note(results: Any) -> None:
    run = results[0].record
    assert set(run.scores) == set(CODES.values())
    assert set(run.fertility) == set(CODES.values())
    noted = [note for note in run.notes if "no list of languages" in note]
    assert len(noted) == 1 and "'zzy'" in noted[0]
    assert run.origins["nah"] == "written by people" and run.origins["por_Latn-BR"] == "translated by people"


def test_statistics_take_them_and_call_unknown_what_is(results: Any) -> None:
    compared = pp.compare(results, baseline="none").to_pandas()
    assert set(CODES.values()) <= set(compared["languages"].astype(str)) | set(compared.to_numpy().astype(str).ravel())
    groups = results[0].record.scores.keys()
    from polyprefix.statistics.groups import group

    found = group(groups)
    for grouping in ("family", "script", "writing", "resources", "distance"):
        assert set(found[grouping, UNKNOWN]) >= UNPLACED, grouping
    assert set(found["family", "Mayan"]) == {"quc_Latn"}
    judged = pp.verdicts(results)
    assert {one.language for system in judged.systems for one in system.languages} >= set(CODES.values())


def test_the_page_names_them_and_the_map_leaves_out_what_has_no_place(results: Any, tmp_path: Path) -> None:
    from polyprefix.report.charts.geography import world
    from polyprefix.report.grid import read_grid
    from polyprefix.report.page import write_page

    grid = read_grid([one.folder for one in results])
    write_page(grid, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    for code in CODES.values():
        assert code in page
    for name in ("Portuguese (Brazil)", "Portuguese (Portugal)", "Nahuatl languages", "Swiss German"):
        assert name in page
    assert not re.search(r'">None<|="None"|>None<', page)
    for chart in world(grid.views[0]):
        placed = {code for code in CODES.values() if get(code).latitude is not None}
        assert chart.marks == len(placed) and not placed & {*UNPLACED, "por_Latn-BR", "por_Latn-PT"}


def test_questions_may_be_in_any_language(results: Any) -> None:
    ask = pp.Predictor(results[0].folder)
    for text in ("quc", "pt-BR", "x-mine", "fi", "Kaqchikel"):
        (answer,) = ask(["utz"], language=text)
        assert answer["prediction"] in ("good", "bad")


def test_validation_rows_of_a_data_frame_are_few_shot_examples() -> None:
    rows = [
        {"text": f"{split} {one} {i}", "label": "ab"[i % 2], "language": one, "split": split}
        for split in ("test", "validation") for one in ("en", "quc", "pt-BR") for i in range(2)
    ]  # fmt: skip
    task = pp.Task.from_pandas(pd.DataFrame(rows), task_type="classification")
    assert task.shot_languages() == ("eng_Latn", "por_Latn-BR", "quc_Latn")
