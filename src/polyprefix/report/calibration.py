"""What calibration changes, in the terminal and as plain values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from polyprefix import languages
from polyprefix.calibration.answers import DESCRIPTIONS
from polyprefix.report.format import interval, percent, signed
from polyprefix.statistics.calibration import Calibrations, LanguageCalibration, SystemCalibration

WIDE = 100
"""Terminal columns from which on intervals and label shares are shown."""


def render(found: Calibrations, console: Console) -> None:
    """Print every system, fitted to the width of the console."""
    for system in found.systems:
        console.print(_heading(system))
        console.print(_table(system, console.width >= WIDE))
    console.print()
    for line in (*_legend(found), *(f"Note: {note}" for note in found.notes)):
        console.print(Text(line, style="dim"))


def as_dict(found: Calibrations) -> dict[str, Any]:
    """All of it in dictionaries, lists, strings and numbers."""
    return dataclasses.asdict(found)


def label_shares(labels: Sequence[str], shares: Sequence[float]) -> str:
    """The label with the largest share.

    >>> label_shares(("sports", "science"), (0.25, 0.75))
    'science 75.0'
    """
    most = max(range(len(shares)), key=shares.__getitem__)
    return f"{labels[most]} {percent(shares[most])}"


def _heading(system: SystemCalibration) -> Text:
    text = Text("\n")
    text.append(f"{system.task} · {system.system} · {system.model}", style="bold")
    change = f"{signed(system.difference.value)} {interval(system.difference.ci95, with_sign=True)}"
    text.append(
        f"\n{system.metric} over {system.others_called}: raw {percent(system.raw.value)}, {system.calibration}-calibrated "
        f"{percent(system.calibrated.value)}, difference {change}"
    )
    T = system.temperature
    text.append(f"\ntemperature of validation: {'not kept, nothing is scaled' if T is None else f'{T:.2f}'}", "dim")
    return text


def _table(system: SystemCalibration, wide: bool) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), expand=False)
    table.add_column("language")
    for name in ("n", "raw", "calibrated", "difference", "ECE", "after", "over", "after"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("most predicted, %", "after", "most expected") if wide else ():
        table.add_column(name, no_wrap=True)
    for one in system.languages:
        table.add_row(*_cells(system, one, wide))
    return table


def _cells(system: SystemCalibration, one: LanguageCalibration, wide: bool) -> Iterator[str | Text]:
    yield Text(languages.get(one.language).name)
    yield f"{one.difference.n:,}"
    yield percent(one.raw)
    yield percent(one.calibrated)
    low, high = one.difference.ci95
    sure = ("green" if low > 0 else "red") if low > 0 or high < 0 else ""
    change = signed(one.difference.value) + (f" {interval(one.difference.ci95, with_sign=True):>14}" if wide else "")
    yield Text(change, style=sure)
    yield from (percent(side.ece) for side in (one.before, one.after))
    yield from (signed(side.overconfidence) for side in (one.before, one.after))
    if wide:
        yield label_shares(system.labels, one.predicted)
        yield label_shares(system.labels, one.predicted_after)
        yield label_shares(system.labels, one.mean)


def _legend(found: Calibrations) -> Iterator[str]:
    yield f"{found.calibration}: divides out {DESCRIPTIONS[found.calibration]}. Raw scores are the published ones."
    yield "difference: calibrated less raw on the same examples, 95% interval, not corrected for the number of languages"
    yield "ECE: expected calibration error of the chosen label, points, without the variance of few answers; over: confidence less accuracy"
    yield "most expected: the label with the highest mean raw probability"
