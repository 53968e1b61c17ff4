"""Averages over what was varied: the size of the model, or one setting of a method."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence

from polyprefix.report.charts.parts import WIDTH, Row, axis, figures, file_name, log_axis, percentages, scales
from polyprefix.report.grid import Grid
from polyprefix.report.vega import Chart
from polyprefix.report.view import Cell, View
from polyprefix.statistics.contrasts import Contrast


def scaling(grid: Grid, views: Sequence[View]) -> Iterator[Chart]:
    """Accuracy over the size of the model, where sizes differ."""
    sizes = grid.sizes
    points: list[Row] = [
        {"method": method, "size": sizes[view.model], "model": view.model, **percentages(score), "score": score}
        for view in views
        for method, score in _averages(view).items()
        if sizes[view.model]
    ]
    if len({point["size"] for point in points}) < 2:
        return
    metric, others = views[0].metric, grid.others_called
    label = (
        file_name("scaling", views[0].task),
        f"{views[0].task}: {metric} over the size of the model",
        f"Lines: {metric} of each method on average over {others}, with 95% intervals, over the "
        "number of parameters of the model, on a logarithmic axis.",
    )
    x = "parameters of the model", True, "size", lambda p: f"{p['size']:,} ({p['model']})"
    yield line_chart(grid.methods, label, x, points, (metric, others))


def ablations(view: View) -> Iterator[Chart]:
    """For each setting in which cells of one method differ, and in nothing else: the average over its values."""
    for key in sorted({key for cell in view.cells.values() for key in _varied(cell, view)}):
        short = key.split(".")[-1].replace("_", " ")
        points: list[Row] = [
            {"method": line, "setting": value, **percentages(score), "score": score}
            for line, value, score in _series(view, key)
        ]
        label = (
            file_name("ablation", key, view.task, view.model),
            f"{view.task}, {view.model}: {view.metric} over {short}",
            f"Lines: {view.metric} on average over {view.setting.others_called}, with 95% intervals, of runs that "
            f"differ in {short} only.",
        )
        if points:
            names = list(dict.fromkeys(str(point["method"]) for point in points))  # lines of several methods each
            x = short, False, "setting", lambda p: str(p["setting"])
            yield line_chart(names, label, x, points, (view.metric, view.setting.others_called))


def shots(grid: Grid, task: str) -> Iterator[Chart]:
    """Accuracy over the number of examples in the prompt, where a task was tested with several; it belongs to the fewest."""
    for view in (view for view in grid.views if view.task == task):
        here = view.setting
        by_count = {
            other.setting.shots: other
            for other in grid.views
            if (other.setting.task, other.model) == (here.task, view.model)
        }
        if len(by_count) < 2 or here.shots > min(by_count):
            continue
        points: list[Row] = [
            {"method": method, "setting": count, **percentages(score), "score": score}
            for count, other in sorted(by_count.items())
            for method, score in _averages(other).items()
            if sum(method in one.summaries for one in by_count.values()) > 1
        ]
        label = (
            file_name("ablation", "shots", view.task, view.model),
            f"{here.task}, {view.model}: {view.metric} over shots",
            f"Lines: {view.metric} of each method on average over {here.others_called}, with 95% intervals, over "
            "the number of examples in the prompt.",
        )
        if points:
            yield line_chart(
                grid.methods,
                label,
                ("shots", False, "setting", lambda p: str(p["setting"])),
                points,
                (view.metric, here.others_called),
            )


def _averages(view: View) -> dict[str, Contrast]:
    return {method: one.score for method, one in view.summaries.items()}


def _varied(cell: Cell, view: View) -> set[str]:
    name = cell.settings.get("method.name")
    twins = [other for other in view.cells.values() if other.settings.get("method.name") == name]
    keys = {key for other in twins for key in other.settings}
    return {key for key in keys if len({json.dumps(other.settings.get(key)) for other in twins}) > 1}


def _series(view: View, key: str) -> Iterator[tuple[str, float | str, Contrast]]:
    """(line, value, score) of the cells that have at least one twin with another value of `key`."""
    lines: dict[str, list[tuple[float | str, str]]] = {}
    for method, cell in view.cells.items():
        value = cell.settings.get(key)
        if method in view.summaries and value is not None:
            rest = {name: other for name, other in cell.settings.items() if name != key}
            number = isinstance(value, int | float) and not isinstance(value, bool)
            lines.setdefault(json.dumps(rest, sort_keys=True), []).append((value if number else str(value), method))
    for members in lines.values():
        if len(members) < 2:
            continue
        for value, method in sorted(members, key=lambda member: (isinstance(member[0], str), member[0])):
            yield _without(members[0][1], key), value, view.summaries[method].score


def _without(method: str, key: str) -> str:
    """
    >>> _without("prefix (layers=all, length=8)", "method.length"), _without("prefix (length=8)", "method.length")
    ('prefix (layers=all)', 'prefix')
    """
    name, _, settings = method.removesuffix(")").partition(" (")
    kept = [part for part in settings.split(", ") if part and not part.startswith(key.split(".")[-1] + "=")]
    return f"{name} ({', '.join(kept)})" if kept else name


def line_chart(
    names: Sequence[str],
    label: tuple[str, str, str],
    x: tuple[str, bool, str, Callable[[Row], str]],
    points: Sequence[Row],
    measured: tuple[str, str],
) -> Chart:
    """One line a method.

    Args:
        names: all methods, in the order of their colours.
        label: name, title and description of the chart.
        x: title of the axis, whether it is logarithmic, its field, and how a point's place on it is written.
        points: with `method`, `value`, `low`, `high`, `score` and the field of the axis.
        measured: the metric, and the languages that it is averaged over.
    """
    metric, others = measured
    x_title, logarithmic, field, written = x
    colour, shape = scales(names, points)
    rows = [{key: value for key, value in point.items() if key != "score"} for point in points]
    if any(isinstance(row[field], str) for row in rows):
        place = {"field": field, "type": "nominal", "title": x_title, "sort": None, "axis": {"labelAngle": 0}}
    else:
        place = (
            log_axis(field, x_title, [row[field] for row in rows])
            if logarithmic
            else axis(field, x_title, axis={"format": "~g", "tickCount": 6})
        )
    y_title = f"{metric}, {others}, %"
    layers = [
        {"mark": {"type": "line"}, "encoding": {"x": place, "y": axis("value", y_title), "color": colour}},
        {"mark": {"type": "rule"}, "encoding": {
            "x": place, "y": axis("low", y_title), "y2": {"field": "high"}, "color": colour}},
        {"mark": {"type": "point", "filled": True, "size": 80, "opacity": 1}, "encoding": {
            "x": place, "y": axis("value", y_title), "color": colour, "shape": shape}},
    ]  # fmt: skip
    return Chart(
        *label,
        {"data": {"values": rows}, "width": WIDTH, "height": 260, "layer": layers},
        ("method", x_title, f"{metric}, %", "95% interval"),
        tuple((p["method"], written(p), *figures(p["score"])) for p in points),
        len(rows),
    )
