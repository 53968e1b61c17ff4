"""Verdicts in the terminal and as plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from polyprefix import languages
from polyprefix.report.format import ABSENT, interval, percent, signed
from polyprefix.statistics.abstention import SystemAbstention
from polyprefix.statistics.untested import PredictedScore
from polyprefix.statistics.verdicts import LanguageVerdict, SystemVerdicts, Verdicts

WIDE = 90
"""Terminal columns from which on the reason is shown."""
STYLES = {"clearly above": "green", "not clear": "", "do not use": "red"}


def render(found: Verdicts, thresholds: Sequence[SystemAbstention], console: Console) -> None:
    """Print the verdicts of every system, then what thresholds cost, fitted to the width of the console."""
    for system in found.systems:
        console.print(_heading(system))
        console.print(_table(system, console.width >= WIDE))
        if isinstance(system.untested, str):
            console.print(Text(f"Not predicted: {system.untested}", style="dim"))
        elif system.untested:
            console.print(_predictions(system.untested))
    for one in thresholds:
        console.print(_threshold_heading(one))
        if one.prices:
            console.print(_prices(one))
    console.print()
    for line in (*_legend(found), *(f"Note: {note}" for note in found.notes)):
        console.print(Text(line, style="dim"))


def as_dict(found: Verdicts, thresholds: Sequence[SystemAbstention]) -> dict[str, Any]:
    """All of it in dictionaries, lists, strings and numbers."""
    abstentions = [
        dataclasses.asdict(one)
        | {"prices": {c: dataclasses.asdict(price) | {"coverage": price.coverage} for c, price in one.prices.items()}}
        for one in thresholds
    ]
    return {**dataclasses.asdict(found), "abstention": abstentions}


def _heading(system: SystemVerdicts) -> Text:
    text = Text("\n")
    text.append(f"{system.task} · {system.system} · {system.model}", style="bold")
    counts = ", ".join(f"{count} {verdict}" for verdict, count in system.counts().items())
    chance = ABSENT if system.chance is None else percent(system.chance)
    text.append(f"\n{system.metric}: {counts}; chance {chance}, base model {system.base or 'not given'}")
    return text


def _table(system: SystemVerdicts, wide: bool) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), expand=False)
    table.add_column("language")
    for name in ("n", "score", "interval", "base", "difference"):
        table.add_column(name, justify="right", no_wrap=True)
    table.add_column("verdict", no_wrap=True)
    if wide:
        table.add_column("because")
    for one in system.languages:
        table.add_row(*_cells(one), *([one.reason] if wide else []))
    return table


def _cells(one: LanguageVerdict) -> Iterator[str | Text]:
    yield Text(languages.get(one.language).name)
    yield f"{one.n:,}"
    yield percent(one.score)
    yield interval(one.ci)
    yield ABSENT if one.base is None else percent(one.base)
    yield ABSENT if one.difference is None else signed(one.difference.value)
    yield Text(one.verdict, style=STYLES[one.verdict])


def _predictions(found: Sequence[PredictedScore]) -> Table:
    table = Table(
        title="\npredicted, not tested", box=None, padding=(0, 1, 0, 0), title_justify="left", title_style="bold"
    )
    table.add_column("language")
    for name in ("prediction", "95% prediction interval"):
        table.add_column(name, justify="right", no_wrap=True)
    for one in sorted(found, key=lambda one: -one.value):
        table.add_row(Text(languages.get(one.language).name), percent(one.value), interval(one.ci95))
    return table


def _threshold_heading(one: SystemAbstention) -> Text:
    text = Text("\n")
    text.append(f"{one.task} · {one.system} · {one.model}: abstention", style="bold")
    wanted = f"{percent(one.wanted)}% of kept answers right, by {one.source}"
    if one.threshold is None:
        text.append(f"\n{wanted}: no threshold gives that")
    else:
        text.append(f"\n{wanted}: keep answers of confidence {percent(one.threshold)}% and more")
    return text


def _prices(one: SystemAbstention) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), expand=False)
    table.add_column("language")
    for name in ("n", "kept, %", "right of those", "interval"):
        table.add_column(name, justify="right", no_wrap=True)
    for code, price in one.prices.items():
        right = ABSENT if price.accuracy is None else percent(price.accuracy)
        bounds = ABSENT if price.ci95 is None else interval(price.ci95)
        table.add_row(Text(languages.get(code).name), f"{price.n:,}", percent(price.coverage), right, bounds)
    return table


def _legend(found: Verdicts) -> Iterator[str]:
    yield "clearly above: above the base model and above chance, at most 5% false over all languages of a method (Holm)"
    margin = percent(found.systems[0].margin)
    yield f"do not use: clearly below the base model, or clearly less than {margin} points above chance"
    yield "interval: 95% for all languages of a method together; prediction intervals are for one language each"
