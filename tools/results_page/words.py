"""Tables and figures as the pages write them."""

from __future__ import annotations

from collections.abc import Iterable

from polyprefix.config import ENGLISH
from polyprefix.progress import duration
from polyprefix.report.format import ABSENT, interval, percent, size
from polyprefix.report.view import Cell, View
from polyprefix.statistics.contrasts import Contrast
from polyprefix.types import Score

NOT_FINISHED = "Not finished."


def row(*fields: str) -> str:
    """A line of a table."""
    return "| " + " | ".join(fields) + " |"


def rule(figures: int) -> str:
    """The line under a table's head: one column of words, then figures."""
    return "| --- |" + " ---: |" * figures


def heading(view: View) -> str:
    """What the figures of a view are over."""
    seeds = view.setting.main_seeds if view.comparison else ()
    sizes = {(code == ENGLISH, score.n) for cell in view.cells.values() for code, score in cell.scores.items()}
    of_english, each = (_range(n for english, n in sizes if english == which) for which in (True, False))
    return (
        f"**{view.task}, {view.model}**: {len(view.compared)} languages other than English with {each} examples each, {of_english} in "
        f"English, {'seeds' if len(seeds) > 1 else 'seed'} {', '.join(map(str, seeds))}; {view.metric}, %."
    )


def _range(numbers: Iterable[int]) -> str:
    found = sorted(numbers)
    return " to ".join(map(str, dict.fromkeys((found[0], found[-1])))) if found else "no"


def with_interval(found: Score | Contrast | None, unit: str = "") -> str:
    """A value with its interval."""
    return f"{percent(found.value)}{unit} {interval(found.ci95)}" if found else ABSENT


def english(score: float | None) -> str:
    """The score in English."""
    return ABSENT if score is None else percent(score)


def seconds(cell: Cell) -> str:
    """What training took."""
    found = cell.cost("train_seconds")
    return duration(found) if found else ABSENT


def memory(cell: Cell) -> str:
    """The peak of the process."""
    return size(cell.cost("peak_memory_bytes") or 0.0)
