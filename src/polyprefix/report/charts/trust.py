"""Whether answers can be trusted: verdicts by language, reliability by resource level."""

from __future__ import annotations

from collections.abc import Iterator

from polyprefix import languages
from polyprefix.report.charts.parts import WIDTH, Row, axis, file_name, scales
from polyprefix.report.format import ABSENT, interval, percent
from polyprefix.report.grid import Grid
from polyprefix.report.vega import Chart, Spec
from polyprefix.report.view import View
from polyprefix.statistics.verdicts import VERDICTS

COLOURS = ("var(--m3)", "var(--m0)", "var(--m7)")
"""Of the verdicts, with a shape each."""
SHAPES = ("circle", "square", "cross")


def verdicts(view: View) -> Iterator[Chart]:
    """The verdicts on the best method, from the highest score to the lowest."""
    method, found = view.shown, view.verdicts
    if found is None:
        return
    rows: list[Row] = [
        {"language": languages.get(one.language).name, "verdict": one.verdict, "value": 100 * one.score,
         "low": 100 * one.ci[0], "high": 100 * one.ci[1], "base": None if one.base is None else 100 * one.base}
        for one in found.languages
    ]  # fmt: skip
    title = f"{found.metric}, %"
    y = {"field": "language", "type": "nominal", "title": None, "sort": None}
    colour = {"field": "verdict", "type": "nominal", "title": None, "scale": {"domain": VERDICTS, "range": COLOURS}}
    shape = {**colour, "scale": {"domain": VERDICTS, "range": SHAPES}}
    wide = {"scale": {"domain": [0, 100]}}
    layers: list[Spec] = [
        {"mark": {"type": "rule"}, "encoding": {
            "y": y, "x": axis("low", title, **wide), "x2": {"field": "high"}, "color": colour}},
        {"mark": {"type": "point", "filled": True, "size": 60, "opacity": 1}, "encoding": {
            "y": y, "x": axis("value", title, **wide), "color": colour, "shape": shape}},
    ]  # fmt: skip
    if found.base:
        layers.append({"mark": {"type": "tick", "color": "var(--text)", "thickness": 2, "height": 9}, "encoding": {
            "y": y, "x": axis("base", title, **wide)}})  # fmt: skip
    if found.chance is not None:
        layers.append({"mark": {"type": "rule", "strokeDash": [4, 4], "color": "var(--quiet)"}, "encoding": {
            "x": {"datum": 100 * found.chance}}})  # fmt: skip
    base = " Upright ticks: the base model." if found.base else ""
    yield Chart(
        file_name("verdict", view.task, view.model),
        f"{method}: which languages it can be used in",
        f"Points: {found.metric} of {method} in each language, with 95% intervals that hold together. Dashed: chance.{base}",
        {"data": {"values": rows}, "width": WIDTH - 120, "height": {"step": 13}, "layer": layers},
        ("language", "verdict", title, "interval", "base model, %"),
        tuple(
            (
                languages.get(one.language).name,
                one.verdict,
                percent(one.score),
                interval(one.ci),
                ABSENT if one.base is None else percent(one.base),
            )
            for one in found.languages
        ),
        len(rows) + sum(row["base"] is not None for row in rows),
    )


def reliability(grid: Grid, view: View) -> Iterator[Chart]:
    """Reliability curves of every method by resource level, raw and calibrated."""
    rows: list[Row] = [
        {"method": method, "level": level.level, "answers": side, "confidence": 100 * one.confidence,
         "accuracy": 100 * one.accuracy, "n": one.n}
        for method, system in view.calibrated.items()
        if method in view.charted
        for level in system.levels
        for side, curve in (("raw", level.curve_before), ("batch-calibrated", level.curve_after))
        for one in curve
    ]  # fmt: skip
    if not rows:
        return
    colour, _ = scales(grid.methods, rows)
    levels = list(dict.fromkeys(row["level"] for row in rows))
    ends = {"scale": {"domain": [0, 100]}}
    dash = {"field": "answers", "type": "nominal", "title": None, "sort": None,
            "scale": {"domain": ["raw", "batch-calibrated"], "range": [[1, 0], [5, 4]]}}  # fmt: skip
    panels = []
    for i, level in enumerate(levels):
        y = axis("accuracy", None if i else "right, %", **ends)
        panels.append({
            "title": f"{level} resources", "width": 165, "height": 165,
            "layer": [
                {"data": {"values": [{"confidence": 0, "accuracy": 0}, {"confidence": 100, "accuracy": 100}]},
                 "mark": {"type": "line", "color": "var(--line)"},
                 "encoding": {"x": axis("confidence", "confidence, %", **ends), "y": y}},
                {"data": {"values": [row for row in rows if row["level"] == level]},
                 "mark": {"type": "line", "strokeWidth": 1.5},
                 "encoding": {"x": axis("confidence", "confidence, %", **ends), "y": y, "color": colour, "strokeDash": dash}},
                {"data": {"values": [row for row in rows if row["level"] == level]},
                 "mark": {"type": "point", "filled": True, "size": 12, "opacity": 1},
                 "encoding": {"x": axis("confidence", "confidence, %", **ends), "y": y, "color": colour}},
            ],
        })  # fmt: skip
    yield Chart(
        file_name("calibration", "reliability", view.task, view.model),
        "Reliability by resource level",
        f"Lines: the share of right answers of {view.charted_called} over their mean confidence, in bins of as many answers each, over "
        f"{view.setting.others_called}; solid raw, dashed batch-calibrated. "
        "On the diagonal confidence is what it says; below it the method is overconfident.",
        {"hconcat": panels},
        ("method", "resource level", "answers", "confidence, %", "right, %", "answers in bin"),
        tuple(
            (
                row["method"],
                row["level"],
                row["answers"],
                f"{row['confidence']:.1f}",
                f"{row['accuracy']:.1f}",
                f"{row['n']:,}",
            )
            for row in rows
        ),
        len(rows),
    )
