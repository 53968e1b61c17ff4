"""docs/results.md, its pictures and its report, and the tables of learning rates, from kept runs: python -m tools.results_page

Only what stands between the two marks of a section is written; the words around it are a person's and have no figures.
"""

from __future__ import annotations

import argparse

from tools.results_page.budgets import curves
from tools.results_page.comparison import charts
from tools.results_page.kept import Kept, Part
from tools.results_page.sections import BUDGETS, COMPARISON, METHODS, PAGES

from benchmarks.page import fill
from benchmarks.rounds import ROOT
from polyprefix.report.page import write_page
from polyprefix.report.vega import on_paper, svg

REPORT = ROOT / "docs" / "results" / "report.html"


def filled(page: str, text: str) -> str:
    """A page with every section.

    Args:
        page: its name, such as `docs/results.md`.
        text: as it is.
    """
    for name, section in PAGES[page]().items():
        text = fill(text, name, section)
    return text


def compared() -> Part | None:
    """What the report is about: the comparison of methods."""
    return Kept.of(METHODS).part(*COMPARISON)


def write() -> None:
    """Write all of it."""
    argparse.ArgumentParser(description=__doc__.partition("\n")[0]).parse_args()
    for page in PAGES:
        path = ROOT / page
        path.write_text(filled(page, path.read_text(encoding="utf-8")), encoding="utf-8")
    if whole := compared():
        write_page(whole.grid, REPORT)
        for chart in (*charts(whole), *curves(Kept.of(BUDGETS))):
            REPORT.with_name(f"{chart.name}.svg").write_text(on_paper(svg(chart)), encoding="utf-8")


if __name__ == "__main__":
    write()
