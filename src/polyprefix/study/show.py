"""Studies on the terminal."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from statistics import median

from rich.console import Console
from rich.table import Table

from polyprefix.study.plan import Check, Plan
from polyprefix.study.status import Status
from polyprefix.study.table import Row

STATES = ("done", "running", "failed", "diverged", "undecided", "to do")


def show_status(found: Status, console: Console | None = None) -> None:
    """Counts a part, then what runs, what failed, and the time left."""
    console = console or Console(markup=False)
    states = [state for state in STATES if any(state in part for part in found.counts.values())]
    table = _table("part", *states)
    for part, counts in found.counts.items():
        table.add_row(part, *(str(counts.get(state, 0)) for state in states))  # type: ignore[call-overload]
    console.print(table)
    for cell in found.running:
        share = f"{cell.done} of {cell.total}, {cell.per_second:.1f}/s" if cell.total else ""
        left = f", {duration(cell.seconds_left)} left" if cell.seconds_left is not None else ""
        console.print(
            f"running {cell.run_id}  {cell.phase} {share}{left} {cell.note}  ({cell.host}, {duration(cell.seconds)})"
        )
    for run_id, error in found.failed.items():
        console.print(f"failed  {run_id}: {error}")
    if found.complete:
        console.print("complete")
    elif found.seconds_left is not None:
        console.print(f"about {duration(found.seconds_left)} left at the pace of the finished cells")


def show_cells(rows: Sequence[Row], console: Console | None = None) -> None:
    """One line a finished cell."""
    console = console or Console(markup=False)
    axes = list(dict.fromkeys(axis for row in rows for axis in (*row.labels, *row.chosen)))
    table = _table("part", *axes, "validation accuracy", "log-likelihood", "time")
    for row in rows:
        cells = (str(row.labels.get(axis, row.chosen.get(axis, ""))) for axis in axes)
        table.add_row(row.part, *cells, _figure(row.accuracy), _figure(row.log_likelihood), duration(row.seconds))
    console.print(table)


def show_plan(found: Plan, checks: Sequence[Check], console: Console | None = None) -> None:
    """One line for cells that differ in their seed only, the sum, and how well estimates hold here."""
    console = console or Console(markup=False)
    axes = list(dict.fromkeys(axis for row in found.rows for axis in row.labels))
    table = _table("part", *axes, "cells", "trained", "memory", "time each", f"fits {found.device.name}")
    for row in found.rows:
        cost = row.cost
        figures = (
            (f"{cost.trained:,}", f"{cost.memory / 1e9:.1f} GB", duration(cost.seconds)) if cost else ("?", "?", "?")
        )
        answer = "yes" if row.fits and cost else "?" if row.fits else f"no: {row.remedy}"
        table.add_row(row.part, *(row.labels.get(axis, "") for axis in axes), str(row.count), *figures, answer)
    console.print(table)
    cells, misfits = sum(row.count for row in found.rows), sum(row.count for row in found.rows if not row.fits)
    console.print(
        f"{cells} cells, {duration(found.seconds)} one after the other on {found.device.name}; {misfits} do not fit as they are"
    )
    for quantity in ("time", "memory"):
        errors = [check.error for check in checks if check.quantity == quantity]
        if errors:
            worst = max(errors, key=abs)
            typical = median(map(abs, errors))
            console.print(f"{quantity}: {len(errors)} finished cells, typical error {typical:.0%}, worst {worst:+.0%}")
    for line in found.notes:
        console.print(f"note: {line}")


def duration(seconds: float) -> str:
    """A time for people: `48 s`, `0:12:30`.

    >>> duration(750)
    '0:12:30'
    """
    return f"{seconds:.0f} s" if seconds < 100 else str(timedelta(seconds=round(seconds)))


def _figure(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _table(*columns: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        table.add_column(column)
    return table
