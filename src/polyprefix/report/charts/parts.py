"""What all charts share: names, scales, axes, and how figures are written in the tables behind them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from typing import Any

from polyprefix.report.format import ABSENT, interval, percent
from polyprefix.report.vega import METHOD_COLOURS, SHADES, Spec
from polyprefix.statistics.contrasts import Contrast
from polyprefix.types import Score

SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down", "triangle-right", "triangle-left")
WIDTH = 560

Row = dict[str, Any]


def file_name(*words: str) -> str:
    """
    >>> file_name("groups", "my/Model 1B")
    'groups-my-model-1b'
    """
    return "-".join(re.sub(r"[^a-z0-9]+", "-", word.lower()).strip("-") for word in words)


def scales(names: Sequence[str], rows: Iterable[Row]) -> tuple[Spec, Spec]:
    """Colour and shape of each method that is drawn: the same in every chart over the same methods.

    Args:
        names: all methods, in the order of their colours.
        rows: what is drawn, each with its `method`.
    """
    drawn = {row["method"] for row in rows}
    shown = {name: place for place, name in enumerate(names) if name in drawn}
    colour = {"domain": list(shown), "range": [f"var(--m{i % METHOD_COLOURS})" for i in shown.values()]}
    shape = {"domain": list(shown), "range": [SHAPES[i % len(SHAPES)] for i in shown.values()]}
    common = {"field": "method", "type": "nominal", "title": None, "sort": None}
    return {**common, "scale": colour}, {**common, "scale": shape}


def percentages(score: Score | Contrast) -> Row:
    """A score and its interval in percent, as charts take them."""
    return {"value": 100 * score.value, "low": 100 * score.ci95[0], "high": 100 * score.ci95[1]}


def axis(field: str, title: str | None, **more: Any) -> Spec:
    """A quantitative axis that starts where the data does."""
    return {"field": field, "type": "quantitative", "title": title, "scale": {"zero": False, "nice": True}, **more}


def log_axis(field: str, title: str, values: Sequence[float]) -> Spec:
    """A logarithmic axis over some values, with a little room at its ends; a thousand millions is `B`.

    Ticks are powers of ten where at least two lie among the values.
    """
    powers = [10**k for k in range(math.ceil(math.log10(min(values))), math.floor(math.log10(max(values))) + 1)]
    labels = {"labelExpr": "replace(format(datum.value, '~s'), 'G', 'B')", "tickCount": 6, "grid": False}
    ticks = {"values": powers} if len(powers) > 1 else {"labelOverlap": True}
    scale = {"type": "log", "nice": False, "padding": 18}
    return axis(field, title, scale=scale, axis={**labels, **ticks})


def heat_map(rows: Sequence[Row], place: Spec, bounds: tuple[float, float], size: int) -> list[Spec]:
    """Layers of cells that are darker where their `value` is higher, with their `text` in them.

    Args:
        rows: with `value`, `text` and the fields of `place`.
        place: the encodings `x` and `y`.
        bounds: the values of the lightest and the darkest shade.
        size: of the text.
    """
    low, high = bounds
    shades = [f"var(--s{i})" for i in range(SHADES)]
    colour = {"field": "value", "type": "quantitative", "legend": None,
              "scale": {"type": "quantize", "domain": [low, max(high, low + 1)], "range": shades}}  # fmt: skip
    dark = low + 6 / SHADES * (high - low)
    ink = {"condition": {"test": f"datum.value >= {dark}", "value": "var(--page)"}, "value": "var(--text)"}
    return [
        {"mark": {"type": "rect"}, "encoding": {**place, "color": colour}},
        {"mark": {"type": "text", "fontSize": size}, "encoding": {**place, "text": {"field": "text"}, "color": ink}},
    ]


def figures(score: Score | Contrast | None) -> tuple[str, str]:
    """A score and its interval, as the table behind a chart shows them."""
    return (percent(score.value), interval(score.ci95)) if score else (ABSENT, ABSENT)
