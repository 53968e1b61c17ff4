"""The charts of a study: each is a Vega-Lite specification, with the table of what it shows.

A chart is made only where its data is there; what has no value is no mark. Figures are percentages.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from polyprefix import languages
from polyprefix.records import Score
from polyprefix.report.comparison import View
from polyprefix.report.format import ABSENT, duration, interval, percent, signed
from polyprefix.report.grid import Cell, Grid
from polyprefix.report.runs import ENGLISH
from polyprefix.report.vega import METHOD_COLOURS, SHADES, Chart, Spec

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
DISTANCES = ("genetic", "syntactic", "featural")
WIDTH = 560

Row = dict[str, Any]


def file_name(*words: str) -> str:
    """
    >>> file_name("groups", "my/Model 1B")
    'groups-my-model-1b'
    """
    return "-".join(re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-") for word in words)


def _methods(names: Sequence[str]) -> tuple[Spec, Spec]:
    """Colour and shape of each method: the same in every chart over the same methods."""
    colour = {"domain": list(names), "range": [f"var(--m{i % METHOD_COLOURS})" for i in range(len(names))]}
    shape = {"domain": list(names), "range": [SHAPES[i % len(SHAPES)] for i in range(len(names))]}
    common = {"field": "method", "type": "nominal", "title": None, "sort": None}
    return {**common, "scale": colour}, {**common, "scale": shape}


def _figure(score: Score) -> Row:
    return {"value": 100 * score.value, "low": 100 * score.ci95[0], "high": 100 * score.ci95[1]}


def _axis(field: str, title: str | None, **more: Any) -> Spec:
    return {"field": field, "type": "quantitative", "title": title, "scale": {"zero": False, "nice": True}, **more}


def _cells(score: Score | None) -> tuple[str, str]:
    return (percent(score.value), interval(score.ci95)) if score else (ABSENT, ABSENT)


def view_charts(grid: Grid, view: View) -> Iterator[Chart]:
    """The charts of one task and model."""
    yield from _groups(grid, view)
    yield from _costs(grid, view)
    yield from _map(view)
    yield from _distances(grid, view)


def task_charts(grid: Grid, views: Sequence[View]) -> Iterator[Chart]:
    """The charts over the models of one task, and its ablations."""
    yield from _scaling(grid, views)
    for view in views:
        yield from _ablations(view)


def _groups(grid: Grid, view: View) -> Iterator[Chart]:
    colour, _ = _methods(grid.methods)
    for grouping in dict.fromkeys(group.grouping for group in view.groups):
        groups = [group for group in view.groups if group.grouping == grouping]
        counts = {g.group: max(len(o.languages) for o in groups if o.group == g.group) for g in groups}
        rows = [{"group": f"{g.group} ({counts[g.group]})", "method": g.method, **_figure(g.score)} for g in groups]
        place = {
            "y": {"field": "group", "type": "nominal", "title": None, "sort": None},
            "yOffset": {"field": "method", "type": "nominal", "sort": list(view.cells), "scale": {"paddingOuter": 0.2}},
        }
        top = {"scale": {"domain": [0, 100]}}
        bars = {"mark": {"type": "bar", "aria": False}, "encoding": {
            **place, "x": _axis("value", f"{view.metric}, %", **top), "color": colour}}  # fmt: skip
        whiskers = {"mark": {"type": "rule", "aria": False, "color": "var(--text)"}, "encoding": {
            **place, "x": _axis("low", f"{view.metric}, %", **top), "x2": {"field": "high"}}}  # fmt: skip
        yield Chart(
            file_name("groups", grouping, view.task, view.model),
            f"{view.metric} by {grouping}",
            f"Bars: average {view.metric} of each method over the languages of a {grouping}, English apart, with 95% "
            "intervals; the number of languages in parentheses.",
            {
                "data": {"values": rows},
                "width": WIDTH,
                "height": {"step": 9, "for": "offset"},
                "layer": [bars, whiskers],
            },
            (grouping, "languages", "method", f"{view.metric}, %", "95% interval"),
            tuple((g.group, str(len(g.languages)), g.method, *_cells(g.score)) for g in groups),
            len(rows),
        )


COSTS: Mapping[str, tuple[str, Callable[[Cell], float | None], Callable[[float], str]]] = {
    "parameters": ("trained parameters", lambda cell: cell.trained or None, lambda value: f"{value:,.0f}"),
    "time": ("training time, seconds", lambda cell: cell.cost("train_seconds") or None, duration),
}


def _costs(grid: Grid, view: View) -> Iterator[Chart]:
    colour, shape = _methods(grid.methods)
    for name, (title, cost_of, written) in COSTS.items():
        points = [
            {"method": method, "cost": cost_of(view.cells[method]), **_figure(score)}
            for method, score in view.averages.items()
        ]
        placed = [point for point in points if point["cost"] is not None]
        free = [point for point in points if point["cost"] is None]
        if len(placed) < 2:
            continue
        x = _axis("cost", title, scale={"type": "log", "nice": True}, axis={"format": "~s", "tickCount": 6})
        y_title = f"{view.metric}, languages other than English, %"
        layers: list[Spec] = [
            {"data": {"values": placed}, "mark": {"type": "rule", "aria": False}, "encoding": {
                "x": x, "y": _axis("low", y_title), "y2": {"field": "high"}, "color": colour}},
            {"data": {"values": placed}, "mark": {"type": "point", "aria": False, "filled": True, "size": 90, "opacity": 1},
             "encoding": {"x": x, "y": _axis("value", y_title), "color": colour, "shape": shape}},
        ]  # fmt: skip
        if free:  # no cost has no place on a logarithmic axis: a line across
            layers.append({"data": {"values": free}, "mark": {"type": "rule", "aria": False, "strokeDash": [5, 4]},
                           "encoding": {"y": _axis("value", y_title), "color": colour}})  # fmt: skip
        yield Chart(
            file_name("cost", name, view.task, view.model),
            f"{view.metric} against {title.split(',')[0]}",
            f"Points: {view.metric} of each method on average over languages other than English, with 95% intervals, over "
            f"its {title} on a logarithmic axis. Dashed: methods that train nothing.",
            {"width": WIDTH, "height": 260, "layer": layers},
            ("method", title.split(",")[0], f"{view.metric}, %", "95% interval"),
            tuple(
                (p["method"], written(p["cost"]) if p["cost"] else ABSENT, *_cells(view.averages[p["method"]]))
                for p in points
            ),
            len(placed),
        )


@cache
def _land() -> Any:
    return json.loads((Path(__file__).parent / "land" / "land-110m.json").read_text(encoding="utf-8"))


def mapped_method(view: View) -> str | None:
    """The method that the map shows: the best of the view, or the first where none is complete."""
    known = [method for method in view.averages if method in view.best] or list(view.averages)
    return known[-1] if known else None


def _map(view: View) -> Iterator[Chart]:
    method = mapped_method(view)
    if method is None:
        return
    scores = view.cells[method].scores
    known = [languages.get(code) for code in view.languages if code in scores]
    points = [
        {"lon": one.longitude, "lat": one.latitude, "value": 100 * scores[one.code].value}
        for one in known
        if one.latitude is not None and one.longitude is not None
    ]
    if not points:
        return
    values = [point["value"] for point in points]
    low, high = 5 * math.floor(min(values) / 5), 5 * math.ceil(max(values) / 5)
    shades = [f"var(--s{i})" for i in range(2, SHADES, 2)]
    colour = {"field": "value", "type": "quantitative", "title": f"{view.metric}, %", "legend": {"columns": 9},
              "scale": {"type": "quantize", "domain": [low, max(high, low + 5)], "range": shades}}  # fmt: skip
    spec: Spec = {
        "width": 720, "height": 360, "projection": {"type": "equalEarth"},
        "layer": [
            {"data": {"values": _land(), "format": {"type": "topojson", "feature": "land"}},
             "mark": {"type": "geoshape", "aria": False, "fill": "var(--land)"}},
            {"data": {"values": points}, "mark": {
                "type": "circle", "aria": False, "size": 90, "opacity": 1, "stroke": "var(--text)", "strokeWidth": 0.8},
             "encoding": {"longitude": {"field": "lon"}, "latitude": {"field": "lat"}, "color": colour}},
        ],
    }  # fmt: skip
    yield Chart(
        file_name("map", view.task, view.model),
        f"Where {method} works",
        f"Map: {view.metric} of {method} in each language, at the point that stands for it in Glottolog; "
        f"{len(points)} of {len(known)} languages have one.",
        spec,
        ("language", "code", "latitude", "longitude", f"{view.metric}, %"),
        tuple(
            (one.name, one.code, _degrees(one.latitude), _degrees(one.longitude), percent(scores[one.code].value))
            for one in known
        ),
        len(points),
    )


def _degrees(value: float | None) -> str:
    return ABSENT if value is None else f"{value:.1f}"


def _distances(grid: Grid, view: View) -> Iterator[Chart]:
    """English minus each language, over the distance of the language from English."""
    colour, shape = _methods(grid.methods)
    rows: list[Row] = []
    table = []
    for method, cell in view.cells.items():
        if method not in view.gaps:
            continue
        english = cell.scores[ENGLISH]
        for code in cell.others:
            language, gap = languages.get(code), english.value - cell.scores[code].value
            known = {name: getattr(language, f"{name}_distance") for name in DISTANCES}
            rows += [
                {"method": method, "kind": f"{name} distance", "distance": distance, "gap": 100 * gap}
                for name, distance in known.items()
                if distance is not None
            ]
            figures = (ABSENT if known[name] is None else f"{known[name]:.2f}" for name in DISTANCES)
            table.append((language.name, code, method, *figures, signed(gap)))
    if len(rows) < 3:
        return
    panels = []
    for name in DISTANCES:
        data = {"values": [row for row in rows if row["kind"] == f"{name} distance"]}
        x = _axis("distance", f"{name} distance from English", axis={"tickCount": 4})
        y = _axis("gap", "points lost to English" if name == DISTANCES[0] else None)
        panels.append({"data": data, "width": 200, "height": 220, "layer": [
            {"mark": {"type": "point", "aria": False, "filled": True, "size": 18, "opacity": 0.55},
             "encoding": {"x": x, "y": y, "color": colour, "shape": shape}},
            {"mark": {"type": "line", "aria": False, "strokeWidth": 2}, "encoding": {"x": x, "y": y, "color": colour},
             "transform": [{"regression": "gap", "on": "distance", "groupby": ["method"]}]},
        ]})  # fmt: skip
    yield Chart(
        file_name("distance", view.task, view.model),
        "Points lost to English against distance from English",
        "Points: English minus each other language, one point a language and method, over the language's genetic, syntactic "
        "and featural distance from English (URIEL+); lines: least squares for each method.",
        {"hconcat": panels, "resolve": {"scale": {"y": "shared"}}},
        ("language", "code", "method", *(f"{name} distance" for name in DISTANCES), "points lost to English"),
        tuple(table),
        len(rows),
    )


def _scaling(grid: Grid, views: Sequence[View]) -> Iterator[Chart]:
    if len({cell.total for view in views for cell in view.cells.values()}) < 2:
        return
    points = [
        {"method": method, "size": view.cells[method].total, "model": view.model, **_figure(score), "score": score}
        for view in views
        for method, score in view.averages.items()
        if view.cells[method].total
    ]
    metric = views[0].metric
    label = (
        file_name("scaling", views[0].task),
        f"{views[0].task}: {metric} over the size of the model",
        f"Lines: {metric} of each method on average over languages other than English, with 95% intervals, over the "
        "number of parameters of the model, on a logarithmic axis.",
    )
    x = "parameters of the model", {"type": "log", "nice": True}, "size", lambda p: f"{p['size']:,} ({p['model']})"
    yield _lines(grid.methods, label, x, points, metric)


def _lines(
    names: Sequence[str],
    label: tuple[str, str, str],
    x: tuple[str, Spec, str, Callable[[Row], str]],
    points: Sequence[Row],
    metric: str,
) -> Chart:
    """One line a method.

    Args:
        names: all methods, in the order of their colours.
        label: name, title and description of the chart.
        x: title, scale and field of the axis, and how a point's place on it is written.
        points: with `method`, `value`, `low`, `high`, `score` and the field of the axis.
        metric: what is measured.
    """
    x_title, scale, field, written = x
    colour, shape = _methods(names)
    rows = [{key: value for key, value in point.items() if key != "score"} for point in points]
    nominal = any(isinstance(row[field], str) for row in rows)
    place = (
        {"field": field, "type": "nominal", "title": x_title, "sort": None, "axis": {"labelAngle": 0}}
        if nominal
        else _axis(
            field, x_title, scale=scale, axis={"format": "~s" if scale.get("type") == "log" else "~g", "tickCount": 6}
        )
    )
    y_title = f"{metric}, languages other than English, %"
    layers = [
        {"mark": {"type": "line", "aria": False}, "encoding": {"x": place, "y": _axis("value", y_title), "color": colour}},
        {"mark": {"type": "rule", "aria": False}, "encoding": {
            "x": place, "y": _axis("low", y_title), "y2": {"field": "high"}, "color": colour}},
        {"mark": {"type": "point", "aria": False, "filled": True, "size": 80, "opacity": 1}, "encoding": {
            "x": place, "y": _axis("value", y_title), "color": colour, "shape": shape}},
    ]  # fmt: skip
    return Chart(
        *label,
        {"data": {"values": rows}, "width": WIDTH, "height": 260, "layer": layers},
        ("method", x_title, f"{metric}, %", "95% interval"),
        tuple((p["method"], written(p), *_cells(p["score"])) for p in points),
        len(rows),
    )


def _ablations(view: View) -> Iterator[Chart]:
    """For each setting in which cells of one method differ, and in nothing else: the average over its values."""
    for key in sorted({key for cell in view.cells.values() for key in _varied(cell, view)}):
        short = key.split(".")[-1].replace("_", " ")
        points = [
            {"method": line, "setting": value, **_figure(score), "score": score}
            for line, value, score in _series(view, key)
        ]
        label = (
            file_name("ablation", key, view.task, view.model),
            f"{view.task}, {view.model}: {view.metric} over {short}",
            f"Lines: {view.metric} on average over languages other than English, with 95% intervals, of runs that "
            f"differ in {short} only.",
        )
        if points:
            names = list(dict.fromkeys(str(point["method"]) for point in points))
            x = short, {"nice": True, "zero": False}, "setting", lambda p: str(p["setting"])
            yield _lines(names, label, x, points, view.metric)


def _varied(cell: Cell, view: View) -> set[str]:
    name = cell.settings.get("method.name")
    twins = [other for other in view.cells.values() if other.settings.get("method.name") == name]
    keys = {key for other in twins for key in other.settings}
    return {key for key in keys if len({json.dumps(other.settings.get(key)) for other in twins}) > 1}


def _series(view: View, key: str) -> Iterator[tuple[str, float | str, Score]]:
    """(line, value, score) of the cells that have at least one twin with another value of `key`."""
    lines: dict[str, list[tuple[float | str, str]]] = {}
    for method, cell in view.cells.items():
        value = cell.settings.get(key)
        if method in view.averages and value is not None:
            rest = {name: other for name, other in cell.settings.items() if name != key}
            number = isinstance(value, int | float) and not isinstance(value, bool)
            lines.setdefault(json.dumps(rest, sort_keys=True), []).append((value if number else str(value), method))
    for members in lines.values():
        if len(members) < 2:
            continue
        for value, method in sorted(members, key=lambda member: (isinstance(member[0], str), member[0])):
            yield _without(members[0][1], key), value, view.averages[method]


def _without(method: str, key: str) -> str:
    """
    >>> _without("prefix (layers=all, length=8)", "method.length"), _without("prefix (length=8)", "method.length")
    ('prefix (layers=all)', 'prefix')
    """
    name, _, settings = method.removesuffix(")").partition(" (")
    kept = [part for part in settings.split(", ") if part and not part.startswith(key.split(".")[-1] + "=")]
    return f"{name} ({', '.join(kept)})" if kept else name


def paper_charts(grid: Grid, views: Sequence[View]) -> Iterator[Chart]:
    """Every chart of the page, and as charts what the page shows as tables: scores and differences by language."""
    for view in views:
        yield from _heat(view)
        yield from _forest(grid, view)
        yield from view_charts(grid, view)
    for task in grid.tasks:
        yield from task_charts(grid, [view for view in views if view.task == task])


def _heat(view: View) -> Iterator[Chart]:
    rows = [
        {"language": languages.get(code).name, "method": method, "value": 100 * cell.scores[code].value,
         "text": percent(cell.scores[code].value)}
        for code in view.languages for method, cell in view.cells.items() if code in cell.scores
    ]  # fmt: skip
    values = [row["value"] for row in rows]
    middle = min(values) + 6 / SHADES * (max(values) - min(values))
    place = {
        "y": {"field": "language", "type": "nominal", "title": None, "sort": None},
        "x": {"field": "method", "type": "nominal", "title": None, "sort": None,
              "axis": {"orient": "top", "labelAngle": 0, "labelLimit": 78}},
    }  # fmt: skip
    shades = [f"var(--s{i})" for i in range(SHADES)]
    colour = {"field": "value", "type": "quantitative", "title": f"{view.metric}, %", "legend": None,
              "scale": {"type": "quantize", "domain": [min(values), max(max(values), min(values) + 1)], "range": shades}}  # fmt: skip
    ink = {"condition": {"test": f"datum.value >= {middle}", "value": "var(--page)"}, "value": "var(--text)"}
    layers = [
        {"mark": {"type": "rect", "aria": False}, "encoding": {**place, "color": colour}},
        {"mark": {"type": "text", "aria": False, "fontSize": 9}, "encoding": {
            **place, "text": {"field": "text"}, "color": ink}},
    ]  # fmt: skip
    yield Chart(
        file_name("heat", view.task, view.model),
        f"{view.metric} by language and method: {view.task}, {view.model}",
        f"Heat map: {view.metric} of each method in each language.",
        {"data": {"values": rows}, "width": {"step": 80}, "height": {"step": 14}, "layer": layers},
        ("language", "method", f"{view.metric}, %"),
        tuple((row["language"], row["method"], row["text"]) for row in rows),
        len(rows),
    )


def _forest(grid: Grid, view: View) -> Iterator[Chart]:
    if not view.differences:
        return
    rows = [
        {"language": languages.get(code).name, "method": method, "value": 100 * compared.difference.value,
         "low": 100 * compared.difference.ci95[0], "high": 100 * compared.difference.ci95[1]}
        for code in view.languages for (method, other), compared in view.differences.items() if other == code
    ]  # fmt: skip
    methods = list(dict.fromkeys(method for method, _ in view.differences))
    colour, _ = _methods(grid.methods)
    y = {"field": "language", "type": "nominal", "title": None, "sort": None}
    x_title = f"points above {grid.baseline}"
    panels = []
    for i, method in enumerate(methods):
        here = {**y, "axis": None} if i else y
        panels.append({
            "title": method, "width": 110, "height": {"step": 12},
            "data": {"values": [row for row in rows if row["method"] == method]},
            "layer": [
                {"mark": {"type": "rule", "aria": False, "color": "var(--line)"}, "encoding": {"x": {"datum": 0}}},
                {"mark": {"type": "rule", "aria": False}, "encoding": {
                    "y": here, "x": _axis("low", x_title), "x2": {"field": "high"}, "color": {**colour, "legend": None}}},
                {"mark": {"type": "point", "aria": False, "filled": True, "size": 22, "opacity": 1}, "encoding": {
                    "y": here, "x": _axis("value", x_title), "color": {**colour, "legend": None}}},
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
