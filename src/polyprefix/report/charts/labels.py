"""Which labels are predicted: for which right ones, and how often in each language."""

from __future__ import annotations

from collections.abc import Iterator

from polyprefix import languages
from polyprefix.report.charts.parts import Row, axis, file_name, heat_map
from polyprefix.report.format import percent
from polyprefix.report.vega import METHOD_COLOURS, Chart, Spec
from polyprefix.report.view import View


def confusion(view: View) -> Iterator[Chart]:
    """The confusion matrices of the base model and of the best method, as shares of the right label."""
    panels, table, marks = list[Spec](), list[tuple[str, ...]](), 0
    for method in (one for one in view.base_and_shown if one in view.classes):
        names = [one.label for one in view.classes[method].labels]
        if len(names) > MOST_LABELS:
            return
        rows: list[Row] = [
            {
                "right": right,
                "predicted": predicted,
                "value": 100 * count / sum(counts),
                "text": f"{100 * count / sum(counts):.0f}",
            }
            for right, counts in zip(names, view.classes[method].counts, strict=True)
            for predicted, count in zip(names, counts, strict=True)
            if sum(counts)
        ]
        place = {
            "y": {"field": "right", "type": "nominal", "title": None if panels else "right", "sort": names},
            "x": {"field": "predicted", "type": "nominal", "title": "predicted", "sort": names,
                  "axis": {"orient": "top", "labelAngle": -45}},
        }  # fmt: skip
        panels.append({
            "title": method, "data": {"values": rows}, "width": {"step": 34}, "height": {"step": 22},
            "layer": heat_map(rows, place, (0.0, 100.0), 10),
        })  # fmt: skip
        table += [(method, row["right"], row["predicted"], f"{row['value']:.1f}") for row in rows]
        marks += len(rows)
    if panels:
        yield Chart(
            file_name("labels", "confusion", view.task, view.model),
            "Which labels are taken for which",
            f"Heat map: of the questions with each right label, the share that got each label, %, over {view.setting.others_called}.",
            {"hconcat": panels},
            ("method", "right", "predicted", "share, %"),
            tuple(table),
            marks,
        )


MOST_LABELS = 20
"""Of a confusion matrix that can be read."""


def labels(view: View) -> Iterator[Chart]:
    """Which labels the base model, or the first method, predicts in each language: raw, calibrated, and what is right."""
    if not view.calibrated:
        return
    method = next(iter(view.calibrated))
    system = view.calibrated[method]
    if len(system.labels) > METHOD_COLOURS:
        return
    panels = {"raw": "predicted", "batch-calibrated": "predicted_after", "right": "right"}
    rows: list[Row] = [
        {"language": languages.get(one.language).name, "panel": panel, "label": label, "value": 100 * share, "order": k}
        for one in system.languages
        for panel, name in panels.items()
        for k, (label, share) in enumerate(zip(system.labels, getattr(one, name), strict=True))
    ]
    colour = {"field": "label", "type": "nominal", "title": None, "sort": None, "scale": {
        "domain": system.labels, "range": [f"var(--m{k})" for k in range(len(system.labels))]}}  # fmt: skip
    shown = []
    for i, panel in enumerate(panels):
        place: Spec = {"field": "language", "type": "nominal", "title": None, "sort": None}
        shown.append({
            "title": panel, "width": 120, "height": {"step": 12},
            "data": {"values": [row for row in rows if row["panel"] == panel]},
            "mark": {"type": "bar"},
            "encoding": {"y": {**place, "axis": None} if i else place, "color": colour, "order": {"field": "order"},
                         "x": axis("value", "share of texts, %", stack=True, scale={"domain": [0, 100]})},
        })  # fmt: skip
    yield Chart(
        file_name("labels", "shares", view.task, view.model),
        f"{method}: labels predicted and right",
        f"Bars: the share of each label among the answers of {method} in each language, raw and batch-calibrated, and among "
        "the right answers, which calibration never sees.",
        {"hconcat": shown},
        ("language", "answers", *system.labels),
        tuple(
            (languages.get(one.language).name, panel, *(percent(share) for share in getattr(one, name)))
            for one in system.languages
            for panel, name in panels.items()
        ),
        sum(row["value"] > 0 for row in rows),
    )
