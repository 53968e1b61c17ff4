"""The charts of a study: each is a Vega-Lite specification, with the table of what it shows.

A chart is made only where its data is there; what has no value is not drawn. Figures are percentages.
"""

from __future__ import annotations

from collections.abc import Iterator

from polyprefix.report.charts.averages import costs, groups, together
from polyprefix.report.charts.by_language import forest, heat
from polyprefix.report.charts.geography import distances, world
from polyprefix.report.charts.labels import confusion, labels
from polyprefix.report.charts.learning import learning_curves
from polyprefix.report.charts.lines import ablations, scaling, shots
from polyprefix.report.charts.transfer import matrices, source_averages
from polyprefix.report.charts.trust import reliability, verdicts
from polyprefix.report.findings import Overall
from polyprefix.report.grid import Grid
from polyprefix.report.vega import Chart
from polyprefix.report.view import View

__all__ = ["paper_charts", "task_charts", "together", "view_charts"]


def view_charts(grid: Grid, view: View) -> Iterator[Chart]:
    """The charts of one task and model."""
    yield from groups(grid, view)
    yield from costs(grid, view)
    yield from learning_curves(grid, view)
    yield from source_averages(view)
    yield from verdicts(view)
    yield from confusion(view)
    yield from labels(view)
    yield from reliability(grid, view)
    yield from world(view)
    yield from distances(grid, view)


def task_charts(grid: Grid, task: str) -> Iterator[Chart]:
    """The charts over the models of one task, and its ablations."""
    of_task = [view for view in grid.views if view.task == task]
    yield from scaling(grid, of_task)
    for view in of_task:
        yield from ablations(view)
    yield from shots(grid, task)


def paper_charts(grid: Grid, whole: Overall | None) -> Iterator[Chart]:
    """Every chart of the page, and as charts what the page shows as tables: scores and differences by language."""
    yield from together(grid, whole)
    for view in grid.views:
        yield from heat(view)
        yield from matrices(view)
        yield from forest(grid, view)
        yield from view_charts(grid, view)
    for task in grid.tasks:
        yield from task_charts(grid, task)
