"""Averages over languages: by group, and against what a method costs."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from polyprefix.config import ENGLISH
from polyprefix.progress import duration
from polyprefix.report.charts.parts import WIDTH, Row, axis, figures, file_name, log_axis, percentages, scales
from polyprefix.report.findings import Overall
from polyprefix.report.format import ABSENT
from polyprefix.report.grid import Grid
from polyprefix.report.vega import Chart, Spec
from polyprefix.report.view import Cell, View

SHOWN_GROUPS = ("family", "script", "resources")
"""Groupings that have a chart; the page's table has them all."""


def groups(grid: Grid, view: View) -> Iterator[Chart]:
    """One chart a grouping: a bar for each group and method."""
    apart = "English" if view.setting.trained_languages == {ENGLISH} else "languages of training"
    for grouping in SHOWN_GROUPS:
        groups = [
            (method, name, len(codes), one.groups[by, name])
            for (by, name), codes in view.groups.items()
            for method, one in view.summaries.items()
            if by == grouping and (by, name) in one.groups and method in view.charted
        ]
        if not groups:
            continue
        rows: list[Row] = [
            {"group": f"{name} ({count})", "method": method, **percentages(score)}
            for method, name, count, score in groups
        ]
        colour, _ = scales(grid.methods, rows)
        place = {
            "y": {"field": "group", "type": "nominal", "title": None, "sort": None},
            "yOffset": {"field": "method", "type": "nominal", "sort": list(view.cells), "scale": {"paddingOuter": 0.2}},
        }
        top = {"scale": {"domain": [0, 100]}}
        bars = {"mark": {"type": "bar", "opacity": 0.75}, "encoding": {
            **place, "x": axis("value", f"{view.metric}, %", **top), "color": colour}}  # fmt: skip
        whiskers = {"mark": {"type": "rule", "color": "var(--text)"}, "encoding": {
            **place, "x": axis("low", f"{view.metric}, %", **top), "x2": {"field": "high"}}}  # fmt: skip
        yield Chart(
            file_name("groups", grouping, view.task, view.model),
            f"{view.metric} by {grouping}",
            f"Bars: average {view.metric} of {view.charted_called} over the languages of a {grouping}, {apart} apart, with 95% "
            "intervals; the number of languages in parentheses.",
            {
                "data": {"values": rows},
                "width": WIDTH,
                "height": {"step": 9, "for": "offset"},
                "layer": [bars, whiskers],
            },
            (grouping, "languages", "method", f"{view.metric}, %", "95% interval"),
            tuple((name, str(count), method, *figures(score)) for method, name, count, score in groups),
            len(rows),
        )


LONG_NAME = 24
"""Characters of a method's name that stand in one line beside a chart."""


def together(grid: Grid, whole: Overall | None) -> Iterator[Chart]:
    """The answer at a glance: the average of each method over everything, the best on top."""
    if whole is None or len(whole.ranked) < 2:
        return
    found = {method: whole.average(method) for method in whole.ranked}
    every = "every language other than English" if grid.sources == ("English",) else f"all {grid.others_called}"
    long = max(map(len, whole.ranked)) > LONG_NAME  # its settings stand in a second line
    lines = {"labelExpr": "split(replace(datum.label, ' (', '\\n('), '\\n')"} if long else {}
    names = {"labelFontSize": 13, "labelLimit": 0, **lines}
    place = {"field": "method", "type": "nominal", "title": None, "sort": None, "axis": names}
    x_title = "average over tasks, models and languages, %"
    rows: list[Row] = [{"method": method, **percentages(score)} for method, score in found.items()]
    colour, shape = scales(grid.methods, rows)
    plain = {**colour, "legend": None}, {**shape, "legend": None}
    layers = [
        {"mark": {"type": "rule", "strokeWidth": 2.5}, "encoding": {
            "y": place, "x": axis("low", x_title), "x2": {"field": "high"}, "color": plain[0]}},
        {"mark": {"type": "point", "filled": True, "size": 110, "opacity": 1}, "encoding": {
            "y": place, "x": axis("value", x_title), "color": plain[0], "shape": plain[1]}},
    ]  # fmt: skip
    yield Chart(
        "together",
        "All tasks and models together",
        f"Points: average of each method over {every} of every task and model, with 95% "
        "intervals; the best method on top.",
        {"data": {"values": rows}, "width": 320, "height": {"step": 34 if long else 24}, "layer": layers},
        ("method", "average, %", "95% interval"),
        tuple((method, *figures(score)) for method, score in found.items()),
        len(rows),
    )


COSTS: Mapping[str, tuple[str, Callable[[Cell], float | None], Callable[[float], str]]] = {
    "parameters": ("trained parameters", lambda cell: cell.trained or None, lambda value: f"{value:,.0f}"),
    "time": ("training time, seconds", lambda cell: cell.cost("train_seconds") or None, duration),
}


def costs(grid: Grid, view: View) -> Iterator[Chart]:
    """Accuracy against trained parameters and against training time, where at least two methods have them."""
    averages = {method: one.score for method, one in view.summaries.items() if method in view.charted}
    for name, (title, cost_of, written) in COSTS.items():
        points: list[Row] = [
            {"method": method, "cost": cost_of(view.cells[method]), **percentages(score)}
            for method, score in averages.items()
        ]
        placed = [point for point in points if point["cost"] is not None]
        free = [point for point in points if point["cost"] is None]
        if len(placed) < 2:
            continue
        colour, shape = scales(grid.methods, points)
        x = log_axis("cost", title, [point["cost"] for point in placed])
        y_title = f"{view.metric}, {view.setting.others_called}, %"
        layers: list[Spec] = [
            {"data": {"values": placed}, "mark": {"type": "rule"}, "encoding": {
                "x": x, "y": axis("low", y_title), "y2": {"field": "high"}, "color": colour}},
            {"data": {"values": placed}, "mark": {"type": "point", "filled": True, "size": 90, "opacity": 1},
             "encoding": {"x": x, "y": axis("value", y_title), "color": colour, "shape": shape}},
        ]  # fmt: skip
        if free:  # no cost has no place on a logarithmic axis: a line across
            layers.append({"data": {"values": free}, "mark": {"type": "rule", "strokeDash": [5, 4]},
                           "encoding": {"y": axis("value", y_title), "color": colour}})  # fmt: skip
        yield Chart(
            file_name("cost", name, view.task, view.model),
            f"{view.metric} against {title.split(',')[0]}",
            f"Points: {view.metric} of {view.charted_called} on average over {view.setting.others_called}, with 95% intervals, over "
            f"its {title} on a logarithmic axis. Dashed: methods that train nothing.",
            {"width": WIDTH, "height": 260, "layer": layers},
            ("method", title.split(",")[0], f"{view.metric}, %", "95% interval"),
            tuple(
                (p["method"], written(p["cost"]) if p["cost"] else ABSENT, *figures(averages[p["method"]]))
                for p in points
            ),
            len(placed),
        )
