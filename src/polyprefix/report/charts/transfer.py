"""What each source language gives the others: averages with their intervals, and for paper the matrix as a heat map."""

from __future__ import annotations

from collections.abc import Iterator

from polyprefix import languages
from polyprefix.report.charts.parts import Row, axis, figures, file_name, heat_map, percentages
from polyprefix.report.format import percent
from polyprefix.report.vega import Chart
from polyprefix.report.view import View
from polyprefix.statistics.transfer_summary import Transfer


def source_averages(view: View) -> Iterator[Chart]:
    """The average of each source over the targets that are no source, the best on top; one chart a method."""
    for one in view.transfer:
        matrix = one.matrix
        rows: list[Row] = [
            {"source": languages.get(found.source).name, **percentages(found.score)} for found in one.by_source
        ]
        place = {"field": "source", "type": "nominal", "title": None, "sort": None}
        title = f"average {matrix.metric}, %"
        layers = [
            {"mark": {"type": "rule", "strokeWidth": 2, "color": "var(--m1)"}, "encoding": {
                "y": place, "x": axis("low", title), "x2": {"field": "high"}}},
            {"mark": {"type": "point", "filled": True, "size": 70, "opacity": 1, "color": "var(--m1)"}, "encoding": {
                "y": place, "x": axis("value", title)}},
        ]  # fmt: skip
        yield Chart(
            file_name("transfer", matrix.task, matrix.model, matrix.method),
            f"Which language to train in: {matrix.method}",
            f"Points: average {matrix.metric} over the {len(matrix.others)} test languages that are no source, after training in each "
            "source, with 95% intervals; the best source on top.",
            {"data": {"values": rows}, "width": 380, "height": {"step": 18}, "layer": layers},
            ("source", title, "95% interval"),
            tuple((languages.get(found.source).name, *figures(found.score)) for found in one.by_source),
            len(rows),
        )


def matrices(view: View) -> Iterator[Chart]:
    """The matrix of each method: sources across, targets down."""
    for one in view.transfer:
        yield _matrix(one)


def _matrix(one: Transfer) -> Chart:
    matrix = one.matrix
    rows: list[Row] = [
        {"source": languages.get(cell.source).name, "target": languages.get(cell.target).name,
         "value": 100 * cell.score.value, "text": percent(cell.score.value)}
        for cell in one.cells
    ]  # fmt: skip
    low, high = 100 * float(matrix.scores.min()), 100 * float(matrix.scores.max())
    place = {
        "y": {"field": "target", "type": "nominal", "title": "tested in", "sort": None},
        "x": {"field": "source", "type": "nominal", "title": "trained in", "sort": None,
              "axis": {"orient": "top", "labelAngle": -45, "labelLimit": 120}},
    }  # fmt: skip
    return Chart(
        file_name("matrix", matrix.task, matrix.model, matrix.method),
        f"{matrix.metric} by source and target: {matrix.task}, {matrix.model}, {matrix.method}",
        f"Heat map: {matrix.metric} in each test language after training in each source language.",
        {
            "data": {"values": rows},
            "width": {"step": 30},
            "height": {"step": 13},
            "layer": heat_map(rows, place, (low, high), 8),
        },
        ("source", "target", f"{matrix.metric}, %"),
        tuple((row["source"], row["target"], row["text"]) for row in rows),
        len(rows),
    )
