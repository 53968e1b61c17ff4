"""Law: pages with figures of kept runs say what these say, all of it and nothing else; kept runs hold no text that is not ours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.docs.pages import ROOT
from tests.report.test_page import Page
from tools.results_page.__main__ import REPORT, compared, filled
from tools.results_page.kept import STUDIES as FOLDER
from tools.results_page.kept import Kept
from tools.results_page.sections import COMPARISON, METHODS, PAGES, SMALL, STUDIES

from polyprefix.report.page import write_page
from polyprefix.results.files import PREDICTIONS, find_results, read_predictions, read_result
from polyprefix.study.run import Outcomes, open_cells
from polyprefix.study.tuning import resolved

OURS = {"terms", "emoji"}
"""Tasks whose texts may be redistributed."""


def test_pages_and_report_are_made_from_the_kept_runs(tmp_path: Path) -> None:
    """In one test, and so in one process, which reads the kept runs once for all pages."""
    pages = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
    assert [page for page, text in pages.items() if filled(page, text) != text] == [], (
        "python -m tools.results_page writes them again"
    )
    whole = compared()
    assert whole
    write_page(whole.grid, tmp_path / "report.html")
    made, kept = (Page(path.read_text(encoding="utf-8")) for path in (tmp_path / "report.html", REPORT))
    assert len(made.figures) > 500 and made.figures == kept.figures
    assert made.text == kept.text, "python -m tools.results_page writes it again"


def test_a_persons_words_have_no_figures() -> None:
    page = (ROOT / "docs" / "results.md").read_text(encoding="utf-8")
    words = re.sub(r"<!-- ([\w-]+) -->.*?<!-- /\1 -->", "", page, flags=re.DOTALL)
    assert re.findall(r"[\d.]+ ?(?:%|points|times|hours|minutes|seconds)", words) == ["95%"]


def test_what_is_kept_is_small_and_has_no_texts_but_our_own() -> None:
    results = FOLDER / "results"
    assert sum(path.stat().st_size for path in [*results.rglob("*"), REPORT] if path.is_file()) < 30e6
    for folder in find_results(results):
        texts = {prediction.text for prediction in read_predictions(folder / PREDICTIONS)[0]}
        assert texts == {""} or read_result(folder).config["task"] in OURS
        assert not (folder / "adapter").exists()


@pytest.mark.parametrize("name", STUDIES)
def test_every_kept_run_is_a_cell_of_its_study_and_says_where_it_comes_from(name: str) -> None:
    kept = Kept.of(name)
    configs = [config for cell in kept.cells() if (config := resolved(cell, kept.books))]
    folders = find_results(kept.folder) if kept.folder.is_dir() else []
    assert {folder.name for folder in folders} <= {config.run_id() for config in configs}
    for folder in folders:
        found = read_result(folder).provenance
        assert len(found["code"]["commit"]) == 40 and not found["code"]["dirty"] and found["machine"]["threads"]


@pytest.mark.parametrize(("name", "parts"), [(METHODS, COMPARISON), (SMALL, ())])
def test_the_comparisons_are_finished(name: str, parts: tuple[str, ...]) -> None:
    kept = Kept.of(name)
    assert open_cells(kept.cells(*parts), kept.books, Outcomes()) == ([], 0)
