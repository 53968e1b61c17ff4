"""Law: docs/results.md says what the kept runs say, all of it and nothing else, and the kept runs hold no text that is not ours."""

from __future__ import annotations

import re
from pathlib import Path

from tests.report.test_page import Page
from tools.results_page.__main__ import KEPT, PAGE, REPORT, filled, write_report
from tools.results_page.kept import Kept

from polyprefix.results.files import PREDICTIONS, find_results, read_predictions, read_result
from polyprefix.study.grid import TUNE
from polyprefix.study.run import Outcomes, open_cells
from polyprefix.study.tuning import resolved


def test_the_page_is_made_from_the_kept_runs() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert filled(Kept(KEPT), page) == page


def test_the_report_is_made_from_the_kept_runs(tmp_path: Path) -> None:
    write_report(Kept(KEPT), tmp_path / "report.html")
    made, kept = (Page(path.read_text(encoding="utf-8")) for path in (tmp_path / "report.html", REPORT))
    assert len(made.figures) > 1000 and made.figures == kept.figures
    assert made.text == kept.text, "python -m tools.results_page writes it again"


def test_a_persons_words_have_no_figures() -> None:
    words = re.sub(r"<!-- ([\w-]+) -->.*?<!-- /\1 -->", "", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert re.findall(r"[\d.]+ ?(?:%|points|times|hours|minutes|seconds)", words) == ["95%"]


def test_what_is_kept_is_small_and_has_no_texts_but_our_own() -> None:
    folders = find_results(KEPT)
    assert sum(path.stat().st_size for path in [*KEPT.rglob("*"), REPORT] if path.is_file()) < 30e6
    for folder in folders:
        texts = {prediction.text for prediction in read_predictions(folder / PREDICTIONS)[0]}
        assert texts == {""} or read_result(folder).config["task"] == "terms"
        assert not (folder / "adapter").exists()


def test_every_kept_run_is_a_cell_of_the_study_and_says_where_it_comes_from() -> None:
    kept = Kept(KEPT)
    configs = [config for cell in kept.cells() if (config := resolved(cell, kept.books))]
    folders = find_results(KEPT)
    assert {folder.name for folder in folders} <= {config.run_id() for config in configs}
    for folder in folders:
        found = read_result(folder).provenance
        assert len(found["code"]["commit"]) == 40 and not found["code"]["dirty"] and found["machine"]["threads"]


def test_the_study_is_finished() -> None:
    kept = Kept(KEPT)
    assert open_cells(kept.cells(), kept.books, Outcomes()) == ([], 0)
    assert sum(cell.part != TUNE for cell in kept.cells()) >= 60
