"""Law: the files for a paper hold the figures of the results; LaTeX compiles, and figures carry their fonts."""

from __future__ import annotations

import csv
import io
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.report.studies import some_languages, write_cell
from tests.report.test_page import EVIL, results

from polyprefix.report import vega
from polyprefix.report.charts import paper_charts, view_charts
from polyprefix.report.findings import overall
from polyprefix.report.format import percent
from polyprefix.report.grid import Grid, read_grid
from polyprefix.report.paper import write_paper
from polyprefix.results.files import read_result

CODES = some_languages(5)


def has_latex() -> bool:
    """Whether LaTeX is here with the packages that the tables take; its smallest installation lacks booktabs."""
    if shutil.which("pdflatex") is None or shutil.which("kpsewhich") is None:
        return False
    found = subprocess.run(["kpsewhich", "booktabs.sty", "longtable.sty"], capture_output=True, text=True, check=False)
    return len(found.stdout.split()) == 2


def plain(cell: str) -> str:
    """What a LaTeX cell prints, without its stars."""
    return re.sub(r"\\textbf|[{}\\]", "", re.sub(r"\\rlap\{.*", "", cell)).strip()


def test_csv_holds_the_unrounded_figures(small_grid: Grid, small_study: Path, tmp_path: Path) -> None:
    (path,) = write_paper(small_grid, "csv", tmp_path)
    rows = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    known = results(small_study)
    assert len(rows) == len(known)
    for row in rows:
        values = known[row["task"], row["model"], row["method"], row["language"]]
        assert float(row["value"]) == pytest.approx(sum(values) / len(values))
        assert int(row["seeds"]) == len(values) == len(row["runs"].split())
        assert (row["difference"] == "") == (row["method"] == "none")


def test_tables_hold_the_figures_of_the_results(small_grid: Grid, small_study: Path, tmp_path: Path) -> None:
    write_paper(small_grid, "tex", tmp_path)
    known = results(small_study)
    lines = (tmp_path / "languages-alpha-tiny-b.tex").read_text(encoding="utf-8").splitlines()
    checked = 0
    for line in lines:
        cells = [plain(cell) for cell in line.removesuffix(r"\\").split("&")]
        if len(cells) == 9 and "_" in cells[1]:
            for method, text in zip(small_grid.methods, cells[3:], strict=True):
                values = known["alpha", "tiny-b", method, cells[1]]
                assert text == percent(sum(values) / len(values))
                checked += 1
    assert checked == 9 * 6


def test_bold_is_what_is_significantly_above_every_other(tmp_path: Path) -> None:
    """Of methods whose difference is clear, and of two that are nearly equal."""
    for name, share in (("far", 0.95), ("near", 0.52)):
        for method, right in (("none", 0.2), ("prefix", 0.5), ("lora", share)):
            write_cell(tmp_path / name, CODES, method=method, share=right)
        grid = read_grid([tmp_path / name])
        write_paper(grid, "md", tmp_path / name / "md")
        text = (tmp_path / name / "md" / "report.md").read_text(encoding="utf-8")
        ((best, score),) = [(m, one.score) for m, one in grid.views[0].summaries.items() if m in grid.views[0].best]
        bold, plain_text = f"**{percent(score.value)}**", percent(score.value)
        assert (bold in text) == (name == "far") and plain_text in text and text.count("| **") == (name == "far"), best


@pytest.mark.skipif(not has_latex(), reason="no pdflatex with booktabs here: install texlive-latex-recommended")
def test_latex_compiles(small_grid: Grid, tmp_path: Path) -> None:
    write_paper(small_grid, "tex", tmp_path / "plain")
    write_cell(tmp_path / "runs", CODES, model=EVIL + r"\n $x^2$ ~ # % {", notes=(EVIL,))
    write_cell(tmp_path / "runs", CODES[:3], method="none", model=EVIL + r"\n $x^2$ ~ # % {")
    write_paper(read_grid([tmp_path / "runs"]), "tex", tmp_path / "evil")
    for name in ("plain", "evil"):
        command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "all.tex"]
        done = subprocess.run(command, cwd=tmp_path / name, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout[-1500:]
        assert "Missing character" not in (tmp_path / name / "all.log").read_text(errors="replace")


def test_figures_are_vectors_with_their_fonts(tmp_path: Path) -> None:
    write_cell(tmp_path / "runs", CODES)
    write_cell(tmp_path / "runs", CODES, method="lora")
    grid = read_grid([tmp_path / "runs"])
    chart = next(view_charts(grid, grid.views[0]))
    drawing = vega.on_paper(vega.svg(chart))
    assert "var(" not in drawing and drawing.startswith("<svg")
    content = vega.pdf(drawing)
    assert content.startswith(b"%PDF") and b"/FontFile" in content and not re.search(rb"/Subtype\s*/Image", content)
    assert vega.png(drawing).startswith(b"\x89PNG")
    for one in paper_charts(grid, overall(grid)):
        narrow = vega.svg(one, 219)
        assert re.match(r'<svg [^>]*width="219" height="[\d.]+" viewBox="0 0 [\d.]+ [\d.]+"', narrow), one.name
        panels = "hconcat" in one.spec or not isinstance(one.spec["width"], int)
        assert panels or re.search(r'viewBox="0 0 2(19|20) ', narrow), one.name
    names = [chart.name for chart in paper_charts(grid, overall(grid))]
    assert len(names) == len(set(names)) >= 8


def test_the_command_writes_every_format(polyprefix: Callable[..., tuple[int, str, str]], tmp_path: Path) -> None:
    for method in ("none", "prefix"):
        folder = write_cell(tmp_path / "runs", CODES, method=method)
    for form, expected in {"md": 1, "csv": 1, "tex": 4, "svg": 9}.items():
        status, out, _ = polyprefix("report", tmp_path / "runs", "--format", form, "--out", tmp_path / form)
        assert status == 0 and f"wrote {expected} files" in out
        assert len(list((tmp_path / form).iterdir())) == expected
    page = tmp_path / "page.html"
    assert polyprefix("report", tmp_path / "runs", "--out", page, "--no-texts", "--baseline", "prefix")[0] == 0
    assert "above (+) or below (−) prefix" in page.read_text(encoding="utf-8")
    (folder / "result.json").unlink()
    status, _, errors = polyprefix("report", folder, "--out", page)
    assert status == 2 and errors.count("\n") == 1 and "no finished run" in errors
    assert read_result(next((tmp_path / "runs").glob("*none*"))).status == "finished"
