"""A summary in the terminal: one table of languages, one of averages. Narrow terminals lose columns, never digits."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby

from rich.console import Console, RenderableType
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from polyprefix.records import Score
from polyprefix.report.averages import Average, Difference
from polyprefix.report.format import ABSENT, costs, interval, percent, signed, trained_share
from polyprefix.report.summary import Row, Summary

WIDE = 104
"""Terminal columns from which on there is room for secondary table columns."""
NAME, FIGURE, INTERVAL, DIFFERENCE_INTERVAL = 18, 6, 14, 15
"""Terminal columns: the least for a name, and what a figure and its interval need with the space after them."""
COSTS = ("peak_memory_bytes", "train_seconds", "train_examples_per_second", "eval_seconds", "eval_examples_per_second")
"""Of all that a run cost, what is shown here; `result.json` and the page have the rest."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Which columns a table has."""

    wide: bool
    paired: bool
    baselines: tuple[str, ...]
    intervals: bool
    difference_intervals: bool


def _layout(summary: Summary, width: int, others: int, baselines: tuple[str, ...] = ()) -> _Layout:
    """What fits into `width` beside a name and other columns of `others` width: first intervals go, then baselines."""
    wide = width >= WIDE
    paired = any(row.base for row in summary.rows)
    room = width - NAME - others - FIGURE - (2 * FIGURE + 3 if paired else 0)
    baselines = baselines if room >= FIGURE * len(baselines) else ()
    room -= (2 * FIGURE if wide else FIGURE) * len(baselines)
    return _Layout(wide, paired, baselines, room >= INTERVAL, room >= INTERVAL + DIFFERENCE_INTERVAL)


def render(summary: Summary, console: Console) -> None:
    """Print a summary, fitted to the width of the console."""
    languages = _layout(summary, console.width, others=31 if console.width >= WIDE else 10)
    baselines = tuple(sorted({name for item in summary.averages for name in item.baselines}))
    averages = _layout(summary, console.width, others=6, baselines=baselines)
    _heading(summary, console)
    console.print(_language_table(summary, languages))
    console.print(_average_table(summary, averages))
    _legend(summary, languages, averages, console)


def _heading(summary: Summary, console: Console) -> None:
    console.print(f"[bold]{escape(summary.task)} · {escape(summary.method)} · {escape(summary.model)}[/bold]")
    console.print(f"[dim]{escape(summary.run_id)}[/dim]", soft_wrap=True)
    shown = {key: value for key, value in summary.cost.items() if key in COSTS}
    facts = {"trained parameters": trained_share(summary.parameters), **costs(shown)}
    console.print(Text(", ".join(f"{label} {figure}" for label, figure in facts.items()), style="dim"))


def _table(title: str) -> Table:
    return Table(title=title, box=None, padding=(0, 1, 0, 0), title_justify="left", title_style="bold", expand=False)


def _figure_column(table: Table, name: str) -> None:
    table.add_column(name, justify="right", no_wrap=True)


def _language_table(summary: Summary, layout: _Layout) -> Table:
    table = _table(f"\n{summary.metric} by language, %")
    table.add_column("language")
    if layout.wide:
        table.add_column("code", no_wrap=True)
    if layout.intervals:
        table.add_column("script", no_wrap=not layout.wide)
    _figure_column(table, "n")
    _score_columns(table, layout)
    for family, rows in groupby(summary.rows, key=lambda row: row.language.family):
        table.add_row(Text(family or "family not known", style="bold cyan"))
        for row in rows:
            table.add_row(*_language_cells(row, layout))
    return table


def _language_cells(row: Row, layout: _Layout) -> list[RenderableType]:
    language = row.language
    cells: list[RenderableType] = [_indented(language.name)]
    if layout.wide:
        cells.append(Text(language.code, style="dim"))
    if layout.intervals:
        cells.append(Text(language.script_name if layout.wide else language.script, style="dim"))
    cells.append(Text(str(row.adapted.n), style="dim"))
    return cells + _score_cells(row.base, row.adapted, row.difference, layout)


def _average_table(summary: Summary, layout: _Layout) -> Table:
    table = _table(f"\n{summary.metric} on average over languages, %")
    table.add_column("languages")
    _figure_column(table, "count")
    for letter, name in _letters(layout.baselines):
        if layout.wide:
            table.add_column(name, justify="right", min_width=5, max_width=11)
        else:
            _figure_column(table, letter)
    _score_columns(table, layout)
    for grouping, averages in groupby(summary.averages, key=lambda item: item.grouping):
        if grouping != "languages":
            table.add_row(Text(f"by {grouping}", style="bold cyan"))
        for item in averages:
            table.add_row(*_average_cells(item, layout))
    return table


def _average_cells(item: Average, layout: _Layout) -> list[RenderableType]:
    name = Text(item.name) if item.grouping == "languages" else _indented(item.name)
    cells: list[RenderableType] = [name, Text(str(len(item.languages)), style="dim")]
    for baseline in layout.baselines:
        mean = item.baselines.get(baseline)
        cells.append(percent(mean.value) if mean else ABSENT)
    return cells + _score_cells(item.base, item.adapted, item.difference, layout)


def _indented(name: str) -> Padding:
    return Padding(Text(name), (0, 0, 0, 2))


def _score_columns(table: Table, layout: _Layout) -> None:
    if layout.paired:
        _figure_column(table, "base")
    _figure_column(table, "adapted")
    if layout.paired:
        _figure_column(table, "difference")
        table.add_column("", no_wrap=True)


def _score_cells(
    base: Score | None, adapted: Score, difference: Difference | None, layout: _Layout
) -> list[RenderableType]:
    figure = Text(percent(adapted.value), style="bold")
    if layout.intervals:
        figure.append(f" {interval(adapted.ci95):>13}", style="not bold dim")
    if not layout.paired:
        return [figure]
    stars = difference.mark if difference else ""
    return [percent(base.value) if base else ABSENT, figure, _difference_cell(difference, layout), stars]


def _difference_cell(difference: Difference | None, layout: _Layout) -> Text:
    if difference is None:
        return Text(ABSENT)
    style = ("green" if difference.value > 0 else "red") if difference.mark else ""
    cell = Text(signed(difference.value), style=style)
    if layout.difference_intervals:
        cell.append(f" {interval(difference.ci95, with_sign=True):>14}", style="dim")
    return cell


def _legend(summary: Summary, layout: _Layout, averages: _Layout, console: Console) -> None:
    lines = []
    if not averages.wide:
        lines += [f"{letter}: baseline, {name}" for letter, name in _letters(averages.baselines)]
    for name, gap in (("adapted", summary.gap), ("base", summary.base_gap)):
        if gap:
            figures = f"{signed(gap.value)} {interval(gap.ci95, with_sign=True)}"
            lines.append(f"English minus the other languages, {name}: {figures}")
    if summary.carried:
        figures = f"{percent(summary.carried.value)}% {interval(summary.carried.ci95)}"
        lines.append(f"Transfer ratio, the gain in other languages over the gain in English: {figures}")
    if layout.paired:
        count = sum(row.difference is not None for row in summary.rows)
        lines.append(
            f"* significant (fixed seeds): p < 0.05 after Benjamini and Hochberg's correction over {count} languages"
        )
    if layout.intervals:
        lines.append("[ ] 95% intervals, clustered by example id in averages")
    lines.append("English, the language of training, counts in 'all languages' only")
    lines += [f"Note: {note}" for note in summary.notes]
    console.print()
    for line in lines:
        console.print(Text(line, style="dim"))


def _letters(names: tuple[str, ...]) -> list[tuple[str, str]]:
    """A short heading for each name: B1, B2, ..."""
    return [(f"B{i}", name) for i, name in enumerate(names, start=1)]
