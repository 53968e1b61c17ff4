"""Law: a figure of a language says where its test text comes from, from the task to every table; what is not stated is absent."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

from polyprefix.config import RunConfig
from polyprefix.errors import ConfigError
from polyprefix.listing import tasks as listed
from polyprefix.recipe import run
from polyprefix.report import run as shown
from polyprefix.report.grid import read_grid
from polyprefix.report.page import write_page
from polyprefix.report.tables import as_markdown, paper_tables, scores_frame
from polyprefix.results.files import read_result
from polyprefix.tasks import registry

TASK = """
task_type: classification
template: "{text} Answer:"
labels: [a, b]
files: {test: {en: en.csv, sw: en.csv, th: en.csv}}
"""


@pytest.mark.parametrize("name", ["xnli", "xquad", "belebele", "mgsm", "sib200"])
def test_benchmarks_are_translated_by_people_from_english(name: str) -> None:
    task = registry.get(name)
    assert {task.info.origin_of(code) for code in task.languages()[1:]} == {"translated by people"}
    assert task.info.origin_of("eng_Latn") == "original"
    assert "Texts  " in (registry.__file__ and Path(registry.__file__).with_name(f"{name}.py").read_text())


def test_the_list_of_tasks_says_it() -> None:
    told = {row["task"]: row["test texts"] for row in listed()}
    assert told["xnli"] == "original in English, translated by people in 14 languages"
    assert "written by people in" in told["terms"]


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("origin: translated by machine", {"eng_Latn": "translated by machine", "swh_Latn": "translated by machine"}),
        ("origin: {english: original, sw: translated by machine}", {"eng_Latn": "original", "swh_Latn": "translated by machine"}),
        ("", {}),
    ],
)  # fmt: skip
def test_a_task_file_says_it_and_results_and_tables_repeat_it(
    said: str, expected: dict[str, str], tiny_folder: Path, tmp_path: Path
) -> None:
    (tmp_path / "en.csv").write_text("text,answer\none,a\ntwo,b\n")
    (tmp_path / "task.yaml").write_text(TASK + said)
    config = RunConfig(model=str(tiny_folder), task=str(tmp_path), method={"name": "none"}, languages=("sw",))
    [folder] = run(config, out=tmp_path / "runs")
    assert read_result(folder).origins == expected
    grid = read_grid([folder])
    table = next(one for one in paper_tables(grid) if one.name.startswith("languages"))
    frame = scores_frame(grid).set_index("language")["origin"]
    out = Console(file=StringIO(), width=170)
    shown.render(shown.view_of(grid, folder.name), out)
    write_page(grid, tmp_path / "page.html")
    text, page = out.file.getvalue(), (tmp_path / "page.html").read_text()  # type: ignore[attr-defined]
    for where in (text, page, as_markdown(table)):
        assert ("test text" in where) == bool(expected)
        assert all(origin in where for origin in expected.values())
    assert {code: origin for code, origin in frame.items() if origin} == expected


@pytest.mark.parametrize(
    ("said", "message"), [("origin: robots", "task.yaml:6, key 'origin"), ("origin: {swahilli: original}", "Swahili")]
)
def test_an_origin_that_is_none_is_one_line(said: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "en.csv").write_text("text,answer\none,a\n")
    (tmp_path / "task.yaml").write_text(TASK + said)
    with pytest.raises(ConfigError, match=message):
        registry.get(str(tmp_path))
