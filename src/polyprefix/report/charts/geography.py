"""Where languages are: on the map, and how far from English."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from polyprefix import languages
from polyprefix.report.charts.parts import Row, axis, file_name, scales
from polyprefix.report.format import ABSENT, percent, signed
from polyprefix.report.grid import Grid
from polyprefix.report.vega import SHADES, Chart, Spec
from polyprefix.report.view import View
from polyprefix.statistics.groups import ENGLISH

DISTANCES = ("genetic", "syntactic", "featural")


@cache
def _land() -> Any:
    return json.loads((Path(__file__).parents[1] / "land" / "land-110m.json").read_text(encoding="utf-8"))


def world(view: View) -> Iterator[Chart]:
    """A map of the scores of the best method, where a language has coordinates."""
    method = view.shown
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
             "mark": {"type": "geoshape", "fill": "var(--land)"}},
            {"data": {"values": points}, "mark": {
                "type": "circle", "size": 90, "opacity": 1, "stroke": "var(--text)", "strokeWidth": 0.8},
             "encoding": {"longitude": {"field": "lon"}, "latitude": {"field": "lat"}, "color": colour}},
        ],
    }  # fmt: skip
    yield Chart(
        file_name("map", view.task, view.model),
        f"{view.metric} of {method} on the map",
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


def distances(grid: Grid, view: View) -> Iterator[Chart]:
    """English minus each language, over the distance of the language from English."""
    rows: list[Row] = []
    table: list[tuple[str, ...]] = []
    for method, summary in view.summaries.items():
        if method not in view.charted or not summary.transfer_gap:
            continue
        if view.setting.sources(method) != (ENGLISH,):  # distances are from English
            continue
        cell = view.cells[method]
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
    colour, shape = scales(grid.methods, rows)
    panels = []
    for name in DISTANCES:
        data = {"values": [row for row in rows if row["kind"] == f"{name} distance"]}
        x = axis("distance", f"{name} distance from English", axis={"tickCount": 4})
        y = axis("gap", "transfer gap, points" if name == DISTANCES[0] else None)
        panels.append({"data": data, "width": 200, "height": 220, "layer": [
            {"mark": {"type": "point", "filled": True, "size": 18, "opacity": 0.55},
             "encoding": {"x": x, "y": y, "color": colour, "shape": shape}},
            {"mark": {"type": "line", "strokeWidth": 2}, "encoding": {"x": x, "y": y, "color": colour},
             "transform": [{"regression": "gap", "on": "distance", "groupby": ["method"]}]},
        ]})  # fmt: skip
    yield Chart(
        file_name("distance", view.task, view.model),
        "Transfer gap against distance from English",
        f"Points: English minus each other language, one point a language and method ({view.charted_called}), over the "
        "language's genetic, syntactic and featural distance from English (URIEL+); lines: least squares for each method.",
        {"hconcat": panels, "resolve": {"scale": {"y": "shared"}}},
        ("language", "code", "method", *(f"{name} distance" for name in DISTANCES), "transfer gap, points"),
        tuple(table),
        len(rows),
    )
