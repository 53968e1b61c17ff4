"""The transfer matrix on a page, in files and in `compare`: one computation, and nothing where there is one source only."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.statistics.matrices import SOURCES, TARGETS, truth, write_matrix

from polyprefix import languages
from polyprefix.report.format import interval, percent, signed
from polyprefix.report.grid import Grid, read_grid
from polyprefix.report.page import write_page
from polyprefix.report.paper import write_paper
from polyprefix.report.transfer import matrix_table, sentence

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two methods, five sources, eleven targets, two seeds."""
    folder = tmp_path_factory.mktemp("transfer")
    true = truth(np.random.default_rng(1), 5, 11, spread=0.15)
    for method in ("prefix", "lora"):
        write_matrix(folder / "runs", true, method=method, n=40)
    return folder


@pytest.fixture(scope="module")
def grid(folder: Path) -> Grid:
    return read_grid([folder / "runs"])


def test_every_figure_of_the_page_is_that_of_the_matrix(grid: Grid, folder: Path) -> None:
    write_page(grid, folder / "report.html")
    page = (folder / "report.html").read_text(encoding="utf-8")
    section = page.split('<section id="transfer">')[1].split("</section>")[0]
    tables = re.findall(r'<table class="[^"]*matrix">.*?</table>', section, re.S)
    assert len(tables) == 2 == len(grid.views[0].transfer)
    for table, found in zip(tables, grid.views[0].transfer, strict=True):
        assert sentence(found) in section
        cells = re.findall(r'<td class="cell s\d( own)?" data-sort="([^"]+)" title="([^"]+)">([^<*]+)(\**)</td>', table)
        assert len(cells) == len(SOURCES) * len(TARGETS)
        expected = [
            found.by_place[source, target] for target in found.matrix.targets for source in found.matrix.sources
        ]
        for (own, value, title, text, stars), cell in zip(cells, expected, strict=True):
            assert bool(own) == (cell.source == cell.target)
            assert float(value) == cell.score.value and text == percent(cell.score.value)
            assert title.startswith(f"{interval(cell.score.ci95)}, n {cell.score.n}")
            assert stars == (cell.difference.significance if cell.difference else "")
            if cell.difference:
                assert signed(cell.difference.difference.value) in title and title.endswith("to English")


def test_files_have_all_of_it(grid: Grid, folder: Path) -> None:
    names = {
        form: {path.name for path in write_paper(grid, form, folder / form)} for form in ("md", "csv", "tex", "svg")
    }
    assert "transfer.csv" in names["csv"] and "matrix-alpha-tiny-a-lora.svg" in names["svg"]
    assert {f"transfer-{kind}-alpha-tiny-a-prefix.tex" for kind in ("matrix", "sources", "targets", "pairs")} <= names[
        "tex"
    ]
    with (folder / "csv" / "transfer.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * len(SOURCES) * len(TARGETS)
    for row in rows:
        assert (row["regret"] == "") == (row["source"] == row["target"])
        assert not row["regret"] or float(row["regret"]) >= 0
        assert (row["difference"] == "") == (
            "eng_Latn" in (row["source"], row["target"]) or row["source"] == row["target"]
        )


def test_the_best_of_a_row_is_bold_and_never_the_target(grid: Grid) -> None:
    for found in grid.views[0].transfer:
        table = matrix_table(found)
        for row, one in zip(table.rows, found.by_target, strict=True):
            bold = [name for name, cell in zip(table.header[2:], row[2:], strict=True) if cell.best]
            assert bold == [languages.get(code).name for code in one.best] and row[0].text not in bold


def test_compare_shows_the_same(folder: Path, grid: Grid, polyprefix: Command) -> None:
    status, out, _ = polyprefix(
        "compare", folder / "runs", "--baseline", "none", "--no-mixed", "--resamples", 100, "--json"
    )
    told = json.loads(out)["transfer"]
    assert status == 0 and [one["matrix"]["method"] for one in told] == ["lora", "prefix"]
    for one, found in zip(told, grid.views[0].transfer, strict=True):
        assert [cell["score"]["value"] for cell in one["cells"]] == [cell.score.value for cell in found.cells]
        assert [pair["symmetry"] for pair in one["pairs"]] == [pair.symmetry for pair in found.pairs]
        assert one["by_target"][0]["best"] == list(found.by_target[0].best)
    status, out, _ = polyprefix("compare", folder / "runs", "--baseline", "none", "--no-mixed", "--resamples", 100)
    assert status == 0 and "Taking English for every target costs" in " ".join(out.split())


def test_one_source_makes_no_section(small_grid: Grid, small_page: str) -> None:
    assert all(not view.transfer for view in small_grid.views) and '<section id="transfer">' not in small_page
