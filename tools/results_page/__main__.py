"""docs/results.md, its pictures and its report from the kept runs of studies/small.yaml: python -m tools.results_page

Only what stands between the two marks of a section is written; the words around it are a person's and have no figures.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from tools.results_page.kept import Kept
from tools.results_page.sections import COMPARISON, charts, sections

from benchmarks.page import fill
from benchmarks.rounds import ROOT
from polyprefix.report.page import write_page
from polyprefix.report.vega import on_paper, svg
from polyprefix.study.grid import MAIN

KEPT = ROOT / "studies" / "results" / "small"
PAGE = ROOT / "docs" / "results.md"
REPORT = ROOT / "docs" / "results" / "report.html"


def filled(kept: Kept, page: str) -> str:
    """The page with every section."""
    for name, text in sections(kept).items():
        page = fill(page, name, text)
    return page


def write_report(kept: Kept, path: Path) -> None:
    """The report of everything that was compared."""
    if whole := kept.part(*COMPARISON):
        write_page(whole.grid, path)


def write() -> None:
    """Write all of it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kept", type=Path, default=KEPT, metavar="DIR", help="the kept runs")
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--report", type=Path, default=REPORT)
    given = parser.parse_args()
    kept = Kept(given.kept)
    given.page.write_text(filled(kept, given.page.read_text(encoding="utf-8")), encoding="utf-8")
    write_report(kept, given.report)
    if main := kept.part(MAIN):
        for chart in charts(main):
            path = given.report.with_name(f"{chart.name}.svg")
            path.write_text(on_paper(svg(chart)), encoding="utf-8")


if __name__ == "__main__":
    write()
