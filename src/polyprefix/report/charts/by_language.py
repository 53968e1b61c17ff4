"""Scores and differences of every language as charts, for paper; on the page they are tables."""

from __future__ import annotations

from collections.abc import Iterator

from polyprefix import languages
from polyprefix.report.charts.parts import Row, axis, file_name, heat_map, scales
from polyprefix.report.format import interval, percent, signed
from polyprefix.report.grid import Grid
from polyprefix.report.vega import Chart
from polyprefix.report.view import View


def heat(view: View) -> Iterator[Chart]:
    """The scores of each language and method."""
    rows: list[Row] = [
        {"language": languages.get(code).name, "method": method, "value": 100 * cell.scores[code].value,
         "text": percent(cell.scores[code].value)}
        for code in view.languages for method, cell in view.cells.items() if code in cell.scores
    ]  # fmt: skip
    values = [row["value"] for row in rows]
    place = {
        "y": {"field": "language", "type": "nominal", "title": None, "sort": None},
        "x": {"field": "method", "type": "nominal", "title": None, "sort": None,
              "axis": {"orient": "top", "labelAngle": 0, "labelLimit": 78}},
    }  # fmt: skip
    yield Chart(
        file_name("heat", view.task, view.model),
        f"{view.metric} by language and method: {view.task}, {view.model}",
        f"Heat map: {view.metric} of each method in each language.",
        {
            "data": {"values": rows},
            "width": {"step": 80},
            "height": {"step": 14},
            "layer": heat_map(rows, place, (min(values), max(values)), 9),
        },
        ("language", "method", f"{view.metric}, %"),
        tuple((row["language"], row["method"], row["text"]) for row in rows),
        len(rows),
    )


def forest(grid: Grid, view: View) -> Iterator[Chart]:
    """The differences to the baseline with their intervals, one panel a method."""
    if not view.differences:
        return
    rows: list[Row] = [
        {"language": languages.get(code).name, "method": method, "value": 100 * compared.difference.value,
         "low": 100 * compared.difference.ci95[0], "high": 100 * compared.difference.ci95[1]}
        for code in view.languages for (method, other), compared in view.differences.items() if other == code
    ]  # fmt: skip
    methods = list(dict.fromkeys(method for method, _ in view.differences))
    colour, _ = scales(grid.methods, rows)
    y = {"field": "language", "type": "nominal", "title": None, "sort": None}
    x_title = f"points above {grid.baseline}"
    panels = []
    for i, method in enumerate(methods):
        here = {**y, "axis": None} if i else y
        panels.append({
            "title": method, "width": 110, "height": {"step": 12},
            "data": {"values": [row for row in rows if row["method"] == method]},
            "layer": [
                {"mark": {"type": "rule", "color": "var(--line)"}, "encoding": {"x": {"datum": 0}}},
                {"mark": {"type": "rule"}, "encoding": {
                    "y": here, "x": axis("low", x_title), "x2": {"field": "high"}, "color": {**colour, "legend": None}}},
                {"mark": {"type": "point", "filled": True, "size": 22, "opacity": 1}, "encoding": {
                    "y": here, "x": axis("value", x_title), "color": {**colour, "legend": None}}},
            ],
        })  # fmt: skip
    yield Chart(
        file_name("differences", view.task, view.model),
        f"Differences to {grid.baseline}: {view.task}, {view.model}",
        f"Points: how far each method lies above {grid.baseline} in each language, with 95% intervals.",
        {"hconcat": panels, "resolve": {"scale": {"x": "shared", "y": "shared"}}},
        ("language", "method", x_title, "95% interval"),
        tuple(
            (languages.get(code).name, m, signed(c.difference.value), interval(c.difference.ci95, with_sign=True))
            for (m, code), c in view.differences.items()
        ),
        len(rows),
    )
