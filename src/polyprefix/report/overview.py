"""The finding and the averages of a grid in the terminal: the figures of the page, while a study runs or after it."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from polyprefix.report.findings import finding, in_short, overall
from polyprefix.report.format import ABSENT, STARS, interval, p_value, percent, signed
from polyprefix.report.grid import Grid

FIGURE, INTERVAL = 9, 13
"""Columns of the terminal that a figure with its stars needs, and its interval."""


def show(grid: Grid, console: Console) -> None:
    """Print the finding, the average of each method for each task and model, and how much is missing.

    Where the terminal is narrow, intervals go first; then tasks and models stand under each other.
    """
    views = grid.views
    whole = overall(grid)
    console.print(Text(f"{finding(grid, whole)[0]} {in_short(grid, whole)}"))
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
                one, pair = view.summaries.get(method), view.mean_differences.get(method)
                stars = pair.significance if pair else ""
                figure = f"{percent(one.score.value)}{stars:<2}" if one else f"{ABSENT}  "
                cells.append(Text(figure + (f" {interval(one.score.ci95)}" if one and intervals else "")))
            table.add_row(Text(method), *cells)
        console.print()
        console.print(table)
    console.print()
    console.print(Text(f"averages over {grid.others_called}, %", style="dim"))
    for view in views:
        for pair in view.comparison.named if view.comparison else ():
            change = pair.difference
            figures = f"{signed(change.value)}{pair.significance} {interval(change.ci95, with_sign=True)}"
            console.print(
                Text(f"{view.task} {view.model}, {pair.name}: {figures}, p {p_value(pair.p)} (named beforehand)")
            )
    if grid.baseline:
        console.print(Text(f"difference to {grid.baseline}: {STARS}", style="dim"))
    if grid.missing:
        count = len(grid.missing)
        line = f"{count} {'entry is' if count == 1 else 'entries are'} missing or failed; the report names them"
        console.print(Text(line, style="dim"))
