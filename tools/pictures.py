"""The pictures of README.md and docs/guide.md: python -m tools.pictures RUNS, with the finished runs of docs/guide.md

docs/pictures/report-light.png and report-dark.png are the first screen of the kept report in a browser, own-data.svg is what a terminal shows
at the end of the run. Needs the extra `browser` and Chromium.
"""

from __future__ import annotations

import argparse
import os
import shutil
from pathlib import Path
from typing import Literal

from rich.console import Console
from tools.results_page.__main__ import REPORT

from benchmarks.rounds import ROOT
from polyprefix.report.grid import read_grid
from polyprefix.report.run import render, view_of

OUT = ROOT / "docs" / "pictures"
WIDTH, HEIGHT = 1280, 800
COLUMNS = 90
COMMAND = "polyprefix run --task examples/things --model gemma-3-270m --method lora"
SCHEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")


def screenshots() -> None:
    """The first screen of the report, in both schemes."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        for scheme in SCHEMES:
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme=scheme)
            page.goto(REPORT.as_uri())
            page.screenshot(path=OUT / f"report-{scheme}.png")
        browser.close()


def terminal(runs: Path) -> None:
    """What a run prints at its end."""
    grid = read_grid([runs])
    (trained,) = (cell.runs.index[0] for cell in grid.cells if cell.trained)
    with Path(os.devnull).open("w", encoding="utf-8") as nowhere:
        console = Console(record=True, width=COLUMNS, file=nowhere, force_terminal=True)
        render(view_of(grid, trained), console)
        console.save_svg(str(OUT / "own-data.svg"), title=COMMAND)


def main() -> None:
    """Write all three."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("runs", type=Path, metavar="RUNS")
    given = parser.parse_args()
    OUT.mkdir(exist_ok=True)
    screenshots()
    terminal(given.runs)


if __name__ == "__main__":
    main()
