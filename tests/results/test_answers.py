"""Law: checks of generated answers go from the model to every table; choices have none, and neither have earlier results."""

from __future__ import annotations

from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console
from tests.report.studies import write_cell

from polyprefix.config import RunConfig
from polyprefix.errors import ConfigError
from polyprefix.recipe import run
from polyprefix.report import run as shown
from polyprefix.report.answers import answers_table
from polyprefix.report.grid import read_grid
from polyprefix.report.page import write_page
from polyprefix.report.paper import write_paper
from polyprefix.report.tables import scores_frame
from polyprefix.results.files import read_result
from polyprefix.results.table import read_table
from polyprefix.tasks import registry

TASK = """
task_type: generation
template: "{text} Answer:"
max_new_tokens: 4
files: {test: {en: en.csv, ru: en.csv}}
"""


def made(tmp_path: Path, said: str = "") -> str:
    (tmp_path / "en.csv").write_text("text,answer\none,a b c\ntwo,b\n")
    (tmp_path / "task.yaml").write_text(TASK + said)
    return str(tmp_path)


@pytest.mark.parametrize(
    ("said", "note"), [("", "the task asks for none"), ("answer_language: question", "by py3langid")]
)
def test_a_run_counts_and_tables_show(said: str, note: str, tiny_folder: Path, tmp_path: Path) -> None:
    config = RunConfig(model=str(tiny_folder), task=made(tmp_path, said), method={"name": "none"}, languages=("ru",))
    [folder] = run(config, out=tmp_path / "runs")
    result = read_result(folder)
    assert set(result.answers) == {"eng_Latn", "rus_Cyrl"} and any(note in one for one in result.notes)
    for figures in result.answers.values():
        assert figures["answers"] == 2 and 0 <= figures["cut"] <= 2 and figures["empty"] <= 2
        assert ("checked" in figures) == bool(said) and "line_pass_rate" not in figures  # four bytes are no line
    assert read_table([folder]).runs["answers"].iloc[0] == result.answers
    grid = read_grid([folder])
    table = answers_table(grid.views[0])
    assert table is not None and [row[1].text for row in table.rows] == ["English", "Russian"]
    out = Console(file=StringIO(), width=160)
    shown.render(shown.view_of(grid, folder.name), out)
    write_page(grid, tmp_path / "page.html")
    write_paper(grid, "md", tmp_path)
    for text in (out.file.getvalue(), (tmp_path / "page.html").read_text(), (tmp_path / "report.md").read_text()):  # type: ignore[attr-defined]
        assert "LPR" in text and "repetitive" in text
    assert "answers_cut" in scores_frame(grid).columns


def test_chosen_answers_and_earlier_results_have_none(tmp_path: Path) -> None:
    write_cell(tmp_path, ["eng_Latn", "swh_Latn"])
    grid = read_grid([tmp_path])
    assert answers_table(grid.views[0]) is None
    write_page(grid, tmp_path / "page.html")
    assert "Generated answers" not in (tmp_path / "page.html").read_text()


def test_the_language_of_answers_is_that_of_the_question_a_language_or_none(tmp_path: Path) -> None:
    assert registry.get("xquad").info.answer_language == "question"
    assert registry.get("mgsm").info.answer_language is None  # solutions in English, and numbers
    assert registry.get(made(tmp_path, "answer_language: Swahili")).info.answer_language == "swh_Latn"
    with pytest.raises(ConfigError, match="answer_language"):
        registry.get(made(tmp_path, "answer_language: swahilli"))
