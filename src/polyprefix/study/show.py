"""Studies on the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import isfinite, isnan
from statistics import median
from typing import TYPE_CHECKING

from rich.console import Console
from rich.table import Table

from polyprefix.progress import duration
from polyprefix.report.format import size
from polyprefix.study.status import Status
from polyprefix.terminal import console as safe_console

if TYPE_CHECKING:
    import pandas as pd

    from polyprefix.study.plan import Check, Plan
    from polyprefix.study.plan_power import PowerPlan
    from polyprefix.study.power import Design

STATES = ("done", "running", "failed", "diverged", "undecided", "to do")


def show_status(found: Status, console: Console | None = None) -> None:
    """Counts a part, then what runs, what failed, and the time left."""
    console = console or safe_console(markup=False)
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


def show_cells(rows: pd.DataFrame, console: Console | None = None) -> None:
    """One line a finished cell."""
    console = console or safe_console(markup=False)
    table = _table("part", "cell", "validation accuracy", "log-likelihood", "time")
    for row in rows.itertuples():
        name = cell_name({**row.labels, **row.chosen})
        table.add_row(row.part, name, _figure(row.accuracy), _figure(row.log_likelihood), duration(row.seconds))
    console.print(table)


def show_plan(found: Plan, checks: Sequence[Check], console: Console | None = None) -> None:
    """One line for cells that differ in their seed only, the sum, and how well estimates hold here."""
    console = console or safe_console(markup=False)
    table = _table("part", "cell", "seeds", "trained", "memory", "time each", f"fits {found.device.name}")
    for row in found.rows:
        cost = row.cost
        figures = (_count(cost.trained), size(cost.memory), duration(cost.seconds)) if cost else ("?", "?", "?")
        answer = "yes" if row.fits and cost else "?" if row.fits else f"no: {row.remedy}"
        table.add_row(row.part, cell_name(row.labels), str(row.count), *figures, answer)
    console.print(table)
    cells, misfits = sum(row.count for row in found.rows), sum(row.count for row in found.rows if not row.fits)
    unknown = sum(row.count for row in found.rows if row.cost is None)
    known = f"{duration(found.seconds)} one after the other on {found.device.name}" if unknown < cells else ""
    takes = ", ".join(filter(None, [known, f"{unknown} of unknown time" if unknown else ""]))
    console.print(f"{cells} cells, {takes}; {misfits} do not fit as they are")
    for quantity in ("time", "memory"):
        errors = [check.error for check in checks if check.quantity == quantity]
        if errors:
            worst = max(errors, key=abs)
            typical = median(map(abs, errors))
            console.print(f"{quantity}: {len(errors)} finished cells, typical error {typical:.0%}, worst {worst:+.0%}")
    for line in found.notes:
        console.print(f"note: {line}")


def show_power(found: PowerPlan, console: Console | None = None) -> None:
    """What each contrast can see, and the cheapest designs that see more."""
    console = console or Console(markup=False)
    which = (
        "named in the study" if found.named else "every trained method with the base model: name others with contrasts:"
    )
    console.print(f"{found.contrasts} contrasts ({which}); 80% power, p < 0.05 after Holm's correction over them")
    for setting in found.settings:
        design = setting.design
        console.print(f"\n{setting.task}, {setting.model}: {_design(design)}, {_time(setting.seconds)}")
        console.print(
            f"variances: {setting.variances}{'' if design.seeds > 1 else '; one seed: these runs only (fixed seeds)'}"
        )
        table = _table("cell", "detectable difference, points")
        for one in setting.contrasts:
            table.add_row(one.contrast, _points(one.points))
        console.print(table)
        for kind, designs in setting.cheapest.items():
            table = _table("cell", "seeds", "languages", "examples of each", "sees, points", "time")
            for best in designs:
                name = f"{best.points:g} points, {kind}"
                if best.design is None:
                    table.add_row(name, "", "", "", "none that was tried", "")
                    continue
                asked = best.design
                cells = str(asked.seeds), str(asked.languages), str(asked.each)
                table.add_row(name, *cells, _points(best.detectable), _time(best.seconds))
            console.print(table)
    for line in found.notes:
        console.print(f"note: {line}")


def _design(design: Design) -> str:
    own = " of its own" if design.disjoint else ", the same"
    seeds = "1 seed" if design.seeds == 1 else f"{design.seeds} seeds"
    return f"{seeds}, {design.languages} languages with {design.each} examples{own}, {design.systems} trained methods"


def _points(points: float) -> str:
    return f"{points:.1f}" if isfinite(points) else "over 100"


def _time(seconds: float) -> str:
    return duration(seconds) if isfinite(seconds) else "time not known"


def cell_name(labels: Mapping[str, object]) -> str:
    """What sets a cell apart, in few words.

    >>> cell_name({"model": "gemma-3-270m", "method": "prefix", "method.length": 16})
    'gemma-3-270m prefix length=16'
    """
    return " ".join(
        str(label) if axis in ("model", "method", "task") else f"{axis.rpartition('.')[2]}={label}"
        for axis, label in labels.items()
    )


def _count(number: int) -> str:
    """Parameters for people.

    >>> [_count(n) for n in (0, 950, 147456, 4860000, 268098176)]
    ['0', '950', '147 k', '4.9 M', '268 M']
    """
    for unit, scale in (("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= scale:
            return f"{number / scale:.{0 if number >= 10 * scale else 1}f} {unit}"
    return str(number)


def _figure(value: float) -> str:
    return "" if isnan(value) else f"{value:.3f}"


def _table(*columns: str) -> Table:
    """Words may be folded where the terminal is narrow, figures never."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        words = column in ("part", "cell") or column.startswith("fits")
        table.add_column(column, overflow="fold" if words else "ellipsis", no_wrap=not words)
    return table
