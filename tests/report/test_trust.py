"""Law: the report shows verdicts and calibration with the figures of the statistics, and never a calibrated score for a raw one."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.report.test_page import Page

from polyprefix.report.charts.labels import labels
from polyprefix.report.charts.trust import reliability, verdicts
from polyprefix.report.format import percent
from polyprefix.report.grid import Grid, read_grid
from polyprefix.report.page import write_page
from polyprefix.report.vega import svg
from polyprefix.results.table import read_table
from polyprefix.statistics.calibration import calibrations
from polyprefix.statistics.verdicts import verdicts as all_verdicts

KEPT = Path(__file__).parents[2] / "studies" / "results" / "small"
RUNS = [KEPT / f"sib200-{name}" for name in ("none-gemma-3-270m-s0-6e3b3d03", "lora-gemma-3-270m-s0-3c220e63")]


@pytest.fixture(scope="module")
def grid() -> Grid:
    return read_grid(RUNS)


def test_the_page_has_both_figures_of_every_language(grid: Grid, tmp_path: Path) -> None:
    write_page(grid, tmp_path / "report.html")
    text = Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
    for system in calibrations(read_table(RUNS)).systems:
        for one in system.languages:
            assert f"{percent(one.raw)} → {percent(one.calibrated)}" in " ".join(text.split())
    assert "All other figures of this report are raw." in " ".join(text.split())


def test_the_charts_show_the_verdicts_of_the_best_method(grid: Grid) -> None:
    (chart,) = verdicts(grid.views[0])
    (lora,) = all_verdicts(read_table(RUNS)).systems
    assert [row[:3] for row in chart.rows] == [
        (name, one.verdict, percent(one.score))
        for name, one in zip(("English", "Thai", "Urdu", "Swahili"), lora.languages, strict=True)
    ]
    assert svg(chart).count("<path") > 4


def test_labels_and_reliability_are_drawn(grid: Grid) -> None:
    (bars,) = labels(grid.views[0])
    assert 4 * 3 * 5 < bars.marks <= 4 * 3 * 7 and len(bars.rows) == 12
    assert sum(float(cell) for cell in bars.rows[0][2:]) == pytest.approx(100, abs=0.4)
    (curves,) = reliability(grid, grid.views[0])
    assert {row[1] for row in curves.rows} == {"medium", "low"} and {row[2] for row in curves.rows} == {
        "raw",
        "batch-calibrated",
    }
    for chart in (bars, curves):
        assert svg(chart).startswith("<svg")


def test_what_cannot_be_calibrated_is_said(tmp_path: Path) -> None:
    write_page(read_grid([KEPT / "xquad-none-gemma-3-270m-s0-644c7ce0"]), tmp_path / "report.html")
    assert "Nothing here can be calibrated" in Page((tmp_path / "report.html").read_text(encoding="utf-8")).text
