"""A finished run on one screen of a terminal, 80 columns by 24 lines: `run`, `evaluate` and `quickstart` print it; `--verbose` prints
`polyprefix.report.run.render` instead. What the screen has no room for is counted, never dropped in silence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.text import Text

from polyprefix import languages
from polyprefix.progress import duration
from polyprefix.report.format import percent, size
from polyprefix.report.run import RunView, layout_of, new_table, score_cells
from polyprefix.report.view import marked
from polyprefix.statistics.comparisons import PairedComparison
from polyprefix.types import Score

MOST_LANGUAGES = 12
"""Languages that are shown, one a line."""
FEW_EXAMPLES = 50
"""Test examples of a language below which an interval is over 25 points wide."""

Row = tuple[str, Score, Score | None, PairedComparison | None]


def render_summary(shown: RunView, console: Console, out: Path) -> None:
    """Print a run: its languages from the highest score to the lowest, the average of the others, and what to do next.

    Args:
        shown: the run beside its base model.
        console: where; narrow ones lose intervals, and a line says so.
        out: the folder of all runs, for the commands of the advice.
    """
    layout = layout_of(shown, console.width, others=5)
    console.print(f"[bold]{escape(shown.cell.task)} · {escape(shown.cell.method)} · {escape(shown.cell.model)}[/bold]")
    console.print(Text(_facts(shown), style="dim"))
    rows = sorted(shown.rows, key=lambda row: (-row[1].value, languages.get(row[0]).name))
    first, last, between = _ends(rows)
    table = new_table(f"\n{shown.cell.metric}, %", "language", ["n"], layout)
    for part in (first, last):
        if part is last and between:
            table.add_row(Text(f"... {between} more", style="dim"))
        for code, score, base, pair in part:
            name = f"{languages.get(code).name}{marked(shown.view.setting, code)}"
            table.add_row(Text(name), Text(str(score.n), style="dim"), *score_cells(base, score, pair, layout))
    for one, mean, base_mean, difference in shown.averages():
        if one.grouping == "languages" and (one.name != "all languages" or not shown.view.compared):
            cells = score_cells(base_mean, mean, difference, layout)
            table.add_row(Text(f"{one.name} ({len(one.languages)})", style="bold"), "", *cells)
    console.print(table)
    for line in _below(shown, intervals=layout.intervals and layout.difference_intervals):
        console.print(Text(line, style="dim"))
    console.print(Text(f"Next: {advice(shown, out)}"))


def _ends(rows: Sequence[Row]) -> tuple[Sequence[Row], Sequence[Row], int]:
    """The rows above a gap and below it, and how many lie in it."""
    if len(rows) <= MOST_LANGUAGES:
        return rows, (), 0
    half = (MOST_LANGUAGES - 1) // 2
    return rows[: half + 1], rows[-half:], len(rows) - 2 * half - 1


def _facts(shown: RunView) -> str:
    cost = shown.cell.runs.loc[shown.run_id]["cost"]
    parts = [f"{shown.cell.trained:,} trained parameters"]
    if seconds := cost.get("train_seconds"):
        parts.append(f"{duration(seconds)} of training")
    if memory := cost.get("peak_memory_bytes"):
        parts.append(f"peak memory {size(memory)}")
    return ", ".join(parts)


def _below(shown: RunView, intervals: bool) -> Iterator[str]:
    """What the figures mean, and what is not shown."""
    means = {
        name: mean
        for one in shown.view.averages
        if one.grouping == "languages"
        for name, (mean, _) in one.baselines.items()
    }
    if means:
        yield f"Baselines there: {', '.join(f'{name} {percent(mean)}' for name, mean in means.items())}"
    if shown.base is not None:
        count = sum(pair is not None for _, _, _, pair in shown.rows)
        brackets = "; [ ] 95% intervals" if intervals else ""
        yield f"* significant (fixed seeds), corrected over {count} languages{brackets}"
    elif intervals:
        yield "[ ] 95% intervals"
    if not intervals:
        yield "Intervals need more columns here; the report has them"
    notes = f"{len(shown.notes)} note{'s' * (len(shown.notes) > 1)}, " if shown.notes else ""
    yield f"Not here: {notes}averages by group (--verbose, or the report)"


def advice(shown: RunView, out: Path) -> str:
    """What to do with a finished run, in one line."""
    run = shown.cell.runs.loc[shown.run_id]
    if not shown.cell.trained:
        return f"polyprefix run --task {shown.cell.task} --model {shown.cell.model} --method prefix"
    if run["learned"] is not None and not run["learned"]:
        return "it learned nothing that validation shows; try --set train.learning_rate=auto"
    if shown.base is None:
        return "run it without --no-base, to see what the training changed"
    least = min(score.n for _, score, _, _ in shown.rows)
    if least < FEW_EXAMPLES:
        return f"more test examples ({least} decide little), then polyprefix verdict {out}"
    return f"polyprefix verdict {out}   (in which languages can it be used?)"
