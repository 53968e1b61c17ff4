"""The finding and the averages of a grid in the terminal: the figures of the page, while a study runs or after it."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from polyprefix.report.findings import finding, overall
from polyprefix.report.format import ABSENT, MARKS, interval, p_value, percent, signed
from polyprefix.report.grid import Grid
from polyprefix.report.views import View

FIGURE, INTERVAL = 9, 13
"""Columns of the terminal that a figure with its marks needs, and its interval."""


def show(grid: Grid, views: Sequence[View], console: Console) -> None:
    """Print the finding, the average of each method for each task and model, and how much is missing.

    Where the terminal is narrow, intervals go first; then tasks and models stand under each other.
    """
    console.print(Text(" ".join(finding(grid, views, overall(views)))))
    room = console.width - max(map(len, (*grid.methods, "method")))
    step = max(1, room // FIGURE)
    intervals = room >= (FIGURE + INTERVAL) * len(views)
    for start in range(0, len(views), step):
        table = Table(box=None, padding=(0, 1, 0, 0), expand=False)
        table.add_column("method", no_wrap=True)
        shown = views[start : start + step]
        for view in shown:
            table.add_column(Text(f"{view.task} {view.model}"), justify="right", overflow="fold")
        for method in grid.methods:
            cells = []
            for view in shown:
                score, claim = view.averages.get(method), view.mean_differences.get(method)
                stars = claim.mark if claim else ""
                figure = f"{percent(score.value)}{stars:<2}" if score else f"{ABSENT}  "
                cells.append(Text(figure + (f" {interval(score.ci95)}" if score and intervals else "")))
            table.add_row(Text(method), *cells)
        console.print()
        console.print(table)
    console.print()
    console.print(Text("averages over languages other than English, %", style="dim"))
    for view in views:
        for claim in view.comparison.named if view.comparison else ():
            figures = f"{signed(claim.difference.value)}{claim.mark} {interval(claim.difference.ci95, with_sign=True)}"
            console.print(
                Text(f"{view.task} {view.model}, {claim.name}: {figures}, p {p_value(claim.p)} (named beforehand)")
            )
    if grid.baseline:
        console.print(Text(f"difference to {grid.baseline}: {MARKS}", style="dim"))
    if grid.missing:
        count = len(grid.missing)
        line = f"{count} {'entry is' if count == 1 else 'entries are'} missing or failed; the report names them"
        console.print(Text(line, style="dim"))
