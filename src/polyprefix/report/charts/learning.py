"""How validation went while adapters were trained: in the languages of training, and in those that were watched and decided nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from statistics import mean
from typing import Any

from polyprefix.report.charts.lines import line_chart
from polyprefix.report.charts.parts import Row, file_name, percentages
from polyprefix.report.grid import Grid
from polyprefix.report.vega import Chart
from polyprefix.report.view import Cell, View
from polyprefix.scoring.metrics import wilson
from polyprefix.types import Score


def learning_curves(grid: Grid, view: View) -> Iterator[Chart]:
    """Validation accuracy over passes through the training examples; nothing for runs that kept no curve, or have no choices."""
    for name, where, of in (
        ("validation", view.setting.sources_called, lambda point: point["accuracy"]),
        ("watched", "the languages that were watched, none of which decides anything", _watched),
    ):
        size = f"{name}_size"
        points = [point for method in view.charted for point in _curve(method, view.cells[method], of, size)]
        if not points:
            continue
        label = (
            file_name("learning", name, view.task, view.model),
            f"{view.task}, {view.model}: validation in {where.split(',')[0]} over passes",
            f"Lines: accuracy of {view.charted_called} on validation examples of {where}, over passes through the training examples, "
            "mean of the seeds; bars are 95% intervals of one seed. The first point is before the first step.",
        )
        x = "passes through the training examples", False, "passes", lambda p: f"{p['passes']:g}"
        yield line_chart(grid.methods, label, x, points, ("validation accuracy", where.split(",")[0]))


def _watched(point: Mapping[str, Any]) -> float | None:
    values = [figures["accuracy"] for figures in point["watched"].values() if "accuracy" in figures]
    return mean(values) if values else None


def _curve(method: str, cell: Cell, of: Any, size: str) -> list[Row]:
    """The points of a cell, averaged over the seeds that measured the same steps."""
    found: dict[int, list[tuple[float, float, int]]] = {}
    for training in cell.runs["training"]:
        if not training:
            continue
        each = training["epochs"] / training["steps"]
        for point in training["validation"]:
            value = of(point)
            if value is not None:
                found.setdefault(point["step"], []).append((point["step"] * each, value, training[size]))
    rows = []
    for _, seeds in sorted(found.items()):
        value, count = mean(one[1] for one in seeds), seeds[0][2]
        score = Score(value, count, wilson(value, count))
        rows.append({"method": method, "passes": round(seeds[0][0], 3), **percentages(score), "score": score})
    return rows
