"""One run beside its base model, in the terminal and as plain values: the figures of its report. Narrow terminals lose columns, never
digits."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from polyprefix import languages
from polyprefix.report.answers import answers_table
from polyprefix.report.format import ABSENT, costs, interval, percent, signed, trained_share
from polyprefix.report.grid import Grid
from polyprefix.report.tables import Table as Checks
from polyprefix.report.view import Averages, Cell, View, marked, training, training_note
from polyprefix.results.origins import origins_told
from polyprefix.statistics.comparisons import PairedComparison
from polyprefix.statistics.contrasts import Contrast
from polyprefix.types import Score

WIDE = 104
"""Terminal columns from which on there is room for secondary table columns."""
NAME, FIGURE, INTERVAL, DIFFERENCE_INTERVAL = 18, 6, 14, 15
"""Terminal columns: the least for a name, and what a figure and its interval need with the space after them."""
ORIGIN = 22
"""Terminal columns that where a text comes from needs."""
ANSWERS = (
    "LPR answers without a line in another language, WPR of these without an English word (not of Latin script), LCPR their harmonic "
    "mean, all of the checked answers"
)
COSTS = ("peak_memory_bytes", "train_seconds", "train_examples_per_second", "eval_seconds", "eval_examples_per_second")
"""Of all that a run cost, what is shown here; `result.json` and the page have the rest."""


@dataclass(frozen=True)
class RunView:
    """A run's cell, and that of the base model where it was evaluated too."""

    run_id: str
    view: View
    cell: Cell
    base: Cell | None

    @property
    def rows(self) -> list[tuple[str, Score, Score | None, PairedComparison | None]]:
        """Language, score, the base model's and their difference: by family, then from the highest score to the lowest."""
        base = self.base.scores if self.base else {}
        rows = [
            (code, score, base.get(code), self.view.differences.get((self.cell.method, code)))
            for code, score in self.cell.scores.items()
        ]
        return sorted(
            rows, key=lambda row: (languages.get(row[0]).family or "~", -row[1].value, languages.get(row[0]).name)
        )

    def averages(self) -> Iterator[tuple[Averages, Contrast, Contrast | None, PairedComparison | None]]:
        """Languages, average, the base model's and their difference."""
        for one in self.view.averages:
            if mine := one.methods.get(self.cell.method):
                theirs = one.methods.get(self.base.method) if self.base else None
                yield one, mine.score, theirs.score if theirs else None, mine.difference

    def gaps(self) -> Iterator[tuple[str, Contrast]]:
        """The transfer gap of the run and of the base model."""
        for cell in (self.cell, self.base):
            summary = self.view.summaries.get(cell.method) if cell else None
            if summary and summary.transfer_gap:
                yield "adapted" if cell is self.cell else "base", summary.transfer_gap

    @property
    def transfer_ratio(self) -> Contrast | None:
        """Gain in the other languages by the gain in the source languages."""
        summary = self.view.summaries.get(self.cell.method)
        return summary.transfer_ratio if summary else None

    @property
    def notes(self) -> list[str]:
        """Those of the run, then what the comparison left out."""
        return [*self.cell.runs.at[self.run_id, "notes"], *self.view.left_out]


def view_of(grid: Grid, run_id: str) -> RunView:
    """The run in a grid that holds nothing else but its base model."""
    view, cell = next((view, cell) for view in grid.views for cell in view.cells.values() if run_id in cell.runs.index)
    base = view.cells.get(grid.baseline) if grid.baseline else None
    return RunView(run_id, view, cell, None if base is cell else base)


def as_dict(shown: RunView) -> dict[str, Any]:
    """All of it in dictionaries, lists, strings and numbers; a language is its code, name, family and script."""
    run = shown.cell.runs.loc[shown.run_id]
    gaps = dict(shown.gaps())
    return {
        "run_id": shown.run_id,
        "base_run_id": shown.base.runs.index[0] if shown.base else None,
        **{key: run[key] for key in ("task", "model", "method", "metric")},
        "rows": [
            {"language": _language(code), "training": training(shown.view.setting, code),
             "answers": dict(shown.cell.runs.at[shown.run_id, "answers"].get(code, {})) or None,
             "origin": shown.view.setting.origins.get(code),
             "adapted": _score(score), "base": _score(base), "difference": _difference(pair),
             "baselines": {name: _score(scores[code]) for name, scores in shown.view.baselines.items() if code in scores}}
            for code, score, base, pair in shown.rows
        ],
        "averages": [
            {"grouping": one.grouping, "name": one.name, "languages": list(one.languages), "adapted": _score(score),
             "base": _score(base), "difference": _difference(pair),
             "baselines": {name: {"value": mean, "languages": count} for name, (mean, count) in one.baselines.items()}}
            for one, score, base, pair in shown.averages()
        ],
        "transfer_gap": _score(gaps.get("adapted")),
        "base_transfer_gap": _score(gaps.get("base")),
        "transfer_ratio": _score(shown.transfer_ratio),
        **{key: run[key] for key in ("config", "provenance", "cost")},
        "parameters": {"trainable": int(run["trainable_parameters"]), "total": int(run["total_parameters"])},
        "notes": shown.notes,
    }  # fmt: skip


def _language(code: str) -> dict[str, str | None]:
    one = languages.get(code)
    return {key: getattr(one, key) for key in ("code", "name", "family", "script", "direction")}


def _score(found: Score | Contrast | None) -> dict[str, Any] | None:
    return {"value": found.value, "n": found.n, "ci95": list(found.ci95)} if found else None


def _difference(pair: PairedComparison | None) -> dict[str, Any] | None:
    if pair is None:
        return None
    found = pair.difference
    shown = {"p_value": found.p, "adjusted_p": pair.p, "significance": pair.significance}
    return {"value": found.value, "n": found.n, "ci95": list(found.ci95), **shown}


@dataclass(frozen=True, slots=True)
class Layout:
    """Which columns a table has."""

    wide: bool
    paired: bool
    baselines: Sequence[str]
    intervals: bool
    difference_intervals: bool
    origins: bool
    """Whether there is room for where test texts come from."""


def layout_of(shown: RunView, width: int, others: int, baselines: Sequence[str] = ()) -> Layout:
    """What fits into `width` beside a name and other columns of `others` width: first intervals go, then baselines."""
    wide, paired = width >= WIDE, shown.base is not None
    room = width - NAME - others - FIGURE - (2 * FIGURE + 3 if paired else 0)
    baselines = baselines if room >= FIGURE * len(baselines) else ()
    room -= (2 * FIGURE if wide else FIGURE) * len(baselines)
    full = INTERVAL + DIFFERENCE_INTERVAL
    return Layout(wide, paired, baselines, room >= INTERVAL, room >= full, room >= full + ORIGIN)


def render(shown: RunView, console: Console) -> None:
    """Print a run, fitted to the width of the console."""
    by_language = layout_of(shown, console.width, others=31 if console.width >= WIDE else 10)
    averages = layout_of(shown, console.width, others=6, baselines=sorted(shown.view.baselines))
    run = shown.cell.runs.loc[shown.run_id]
    console.print(f"[bold]{escape(shown.cell.task)} · {escape(shown.cell.method)} · {escape(shown.cell.model)}[/bold]")
    console.print(f"[dim]{escape(shown.run_id)}[/dim]", soft_wrap=True)
    parameters = trained_share({"trainable": shown.cell.trained, "total": shown.cell.total})
    facts = {"trained parameters": parameters, **costs({key: run["cost"][key] for key in run["cost"] if key in COSTS})}
    console.print(Text(", ".join(f"{label} {figure}" for label, figure in facts.items()), style="dim"))
    console.print(_language_table(shown, by_language))
    console.print(_average_table(shown, averages))
    if checks := answers_table(shown.view):
        console.print(_checks(checks))
    console.print()
    for line in _legend(shown, by_language, averages):
        console.print(Text(line, style="dim"))


def new_table(title: str, first: str, columns: Sequence[str], layout: Layout) -> Table:
    """An empty table whose last columns hold scores."""
    table = Table(title=title, box=None, padding=(0, 1, 0, 0), title_justify="left", title_style="bold", expand=False)
    table.add_column(first)
    for name in columns:
        table.add_column(name, justify="right" if name in ("n", "count") else "left", no_wrap=name != "script")
    for i, name in enumerate(layout.baselines, start=1):
        table.add_column(name if layout.wide else f"B{i}", justify="right", no_wrap=not layout.wide, max_width=11)
    for name in ("base", "adapted", "difference", "") if layout.paired else ("adapted",):
        table.add_column(name, justify="right" if name else "left", no_wrap=True)
    return table


def _language_table(shown: RunView, layout: Layout) -> Table:
    origins = shown.view.setting.origins if layout.origins else {}
    columns = [
        *(["code"] if layout.wide else []),
        *(["script"] if layout.intervals else []),
        *(["test text"] if origins else []),
        "n",
    ]
    table = new_table(f"\n{shown.cell.metric} by language, %", "language", columns, layout)
    for family, rows in groupby(shown.rows, key=lambda row: languages.get(row[0]).family):
        table.add_row(Text(family or "family not known", style="bold cyan"))
        for code, score, base, pair in rows:
            one = languages.get(code)
            words = {
                "code": code,
                "script": (one.script_name if layout.wide else one.script) or ABSENT,
                "test text": origins.get(code, ABSENT),
                "n": str(score.n),
            }
            cells = (Text(words[name], style="dim") for name in columns)
            table.add_row(
                Text(f"  {one.name}{marked(shown.view.setting, code)}"),
                *cells,
                *score_cells(base, score, pair, layout),
            )
    return table


def _average_table(shown: RunView, layout: Layout) -> Table:
    table = new_table(f"\n{shown.cell.metric} on average over languages, %", "languages", ["count"], layout)
    for grouping, rows in groupby(shown.averages(), key=lambda row: row[0].grouping):
        if grouping != "languages":
            table.add_row(Text(f"by {grouping}", style="bold cyan"))
        for one, score, base, pair in rows:
            name = Text(one.name if grouping == "languages" else f"  {one.name}")
            means = (percent(one.baselines[b][0]) if b in one.baselines else ABSENT for b in layout.baselines)
            count = Text(str(len(one.languages)), style="dim")
            table.add_row(name, count, *means, *score_cells(base, score, pair, layout))
    return table


def _checks(checks: Checks) -> Table:
    """The checks of generated answers."""
    title, _, _ = checks.caption.partition(":")
    table = Table(
        title=f"\n{title.lower()}",
        box=None,
        padding=(0, 1, 0, 0),
        title_justify="left",
        title_style="bold",
        expand=False,
    )
    for place, name in enumerate(checks.header):
        table.add_column(name, justify="right" if place >= checks.words else "left", no_wrap=place >= checks.words)
    for row in checks.rows:
        table.add_row(*(Text(field.text) for field in row))
    return table


def score_cells(
    base: Score | Contrast | None, adapted: Score | Contrast, pair: PairedComparison | None, layout: Layout
) -> list[Text | str]:
    """Base, adapted, difference and stars, as far as the layout has room for them."""
    figure = Text(percent(adapted.value), style="bold")
    if layout.intervals:
        figure.append(f" {interval(adapted.ci95):>13}", style="not bold dim")
    if not layout.paired:
        return [figure]
    if pair is None:
        return [percent(base.value) if base else ABSENT, figure, ABSENT, ""]
    style = ("green" if pair.difference.value > 0 else "red") if pair.significance else ""
    change = Text(signed(pair.difference.value), style=style)
    if layout.difference_intervals:
        change.append(f" {interval(pair.difference.ci95, with_sign=True):>14}", style="dim")
    return [percent(base.value) if base else ABSENT, figure, change, pair.significance]


def _hidden(shown: RunView, layout: Layout, averages: Layout) -> Iterator[str]:
    """Columns that there was no room for."""
    if not layout.intervals or not averages.intervals:
        yield "intervals"
    elif layout.paired and not (layout.difference_intervals and averages.difference_intervals):
        yield "intervals of differences"
    if shown.view.baselines and not averages.baselines:
        yield "baselines"
    if shown.view.setting.origins and not layout.origins:
        yield "where test texts come from"


def _legend(shown: RunView, layout: Layout, averages: Layout) -> Iterator[str]:
    setting = shown.view.setting
    sources = "English" if setting.sources_called == "English" else "the source languages"
    if not averages.wide:
        yield from (f"B{i}: baseline, {name}" for i, name in enumerate(averages.baselines, start=1))
    for name, gap in shown.gaps():
        figures = f"{signed(gap.value)} {interval(gap.ci95, with_sign=True)}"
        yield f"Transfer gap, {sources} minus the other languages, {name}: {figures}"
    if ratio := shown.transfer_ratio:
        figures = f"{percent(ratio.value)}% {interval(ratio.ci95)}"
        yield f"Transfer ratio, the gain in other languages over the gain in {sources}: {figures}"
    if layout.paired:
        count = sum(pair is not None for _, _, _, pair in shown.rows)
        yield f"* significant (fixed seeds): p < 0.05 after Benjamini and Hochberg's correction over {count} languages"
    if layout.intervals:
        yield "[ ] 95% intervals, clustered by example id in averages"
    if hidden := list(_hidden(shown, layout, averages)):
        yield f"Not shown for want of columns, and in the report: {', '.join(hidden)}"
    if told := origins_told(setting.origins):
        yield f"Test texts: {told}"
    if answers_table(shown.view):
        yield ANSWERS
    yield training_note(setting, "'all languages'")
    yield from (f"Note: {note}" for note in shown.notes)
