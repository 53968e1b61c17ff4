"""Vega-Lite charts as SVG, PNG and PDF, drawn by vl-convert in this process: no browser, no network.

A chart is drawn once, with colours by name (`var(--m1)`). A page gives the names values in its style sheet, one set for light
and one for dark; for paper they are replaced by the light ones. Text is measured and, in PDF, embedded as Liberation Sans, which
vl-convert brings and which has the widths of Arial and Helvetica.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from textwrap import wrap
from typing import Any

Spec = dict[str, Any]

METHOD_COLOURS = 8
"""So many methods have colours of their own; shapes distinguish further ones."""
SHADES = 9
"""Steps of the sequential scale of heat maps and maps."""

PAPER: Mapping[str, str] = {
    "page": "#ffffff", "text": "#1b1f24", "quiet": "#4d5661", "line": "#c9ced4", "grid": "#e6e9ed", "land": "#e3e6ea",
    "m0": "#5f6772", "m1": "#0b62c4", "m2": "#c2500a", "m3": "#0a7d5a", "m4": "#a23b8f", "m5": "#8a6a00", "m6": "#1b1f24",
    "m7": "#b3261e",
    "s0": "#f2f6fb", "s1": "#dfeaf6", "s2": "#c6dbef", "s3": "#a3c8e4", "s4": "#79aed4", "s5": "#4f92c3", "s6": "#2f75ad",
    "s7": "#185a91", "s8": "#0a3d6b",
}  # fmt: skip
"""Colours on white. Methods differ in lightness and hue, for eyes that do not tell red from green; shades are one hue."""

_CONFIG: Spec = {
    "font": "Liberation Sans, Arial, Helvetica, sans-serif",
    "background": None,
    "view": {"stroke": None},
    "axis": {
        "labelColor": "var(--quiet)", "titleColor": "var(--text)", "gridColor": "var(--grid)", "domainColor": "var(--line)",
        "tickColor": "var(--line)", "labelFontSize": 11, "titleFontSize": 12, "titleFontWeight": "normal", "labelLimit": 180,
    },
    "legend": {"labelColor": "var(--text)", "titleColor": "var(--text)", "labelFontSize": 12, "titleFontWeight": "normal",
               "orient": "top", "labelLimit": 260, "columns": 3},
    "header": {"labelColor": "var(--text)", "titleColor": "var(--text)", "labelFontSize": 12},
    "title": {"color": "var(--text)", "fontSize": 13, "fontWeight": "normal", "anchor": "start"},
    "text": {"color": "var(--text)"},
    "mark": {"aria": False},
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart and the table behind it."""

    name: str
    """Unique in a report and fit for a file name."""
    title: str
    description: str
    """What a reader who does not see the chart is told."""
    spec: Spec
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    marks: int
    """How many data points are drawn."""


_SMALL: Spec = {
    **_CONFIG,
    "axis": {**_CONFIG["axis"], "labelFontSize": 7, "titleFontSize": 8, "labelLimit": 90},
    "header": {**_CONFIG["header"], "labelFontSize": 7},
    "title": {**_CONFIG["title"], "fontSize": 8},
    "legend": {**_CONFIG["legend"], "labelFontSize": 7, "columns": 1, "symbolSize": 40, "rowPadding": 1},
    "point": {"size": 25},
    "padding": 1,
}
"""Of a figure in a column: type of 7 and 8 points, as captions have."""


LETTERS = 28
"""Of a line of a title in a column."""


def svg(chart: Chart, width: float | None = None) -> str:
    """The drawing with colours by name.

    Args:
        width: in points, of the whole drawing: that of a column or a page. A chart of one panel is drawn anew with small type; one of several
            is made smaller. None leaves the size of a page of the report.
    """
    if width is None or not isinstance(chart.spec.get("width"), int):
        drawing = drawn(chart.spec)
    else:
        fitted = {"width": width, "autosize": {"type": "fit-x", "contains": "padding"}}
        drawing = drawn(_narrow(chart.spec) | fitted, _SMALL)
    return drawing if width is None else _wide(drawing, width)


def drawn(spec: Spec, config: Spec = _CONFIG) -> str:
    """A specification as SVG."""
    import vl_convert

    # no base URL is allowed: a chart holds its data, and a word in it that looks like an address is never followed
    return _slim(vl_convert.vegalite_to_svg({**spec, "config": config}, allowed_base_urls=[]))


def _slim(drawing: str) -> str:
    """The same drawing in fewer letters: a fifth less without empty shapes, attributes of default value, and digits that nobody sees."""
    drawing = re.sub(r'<path class="(?:back|fore)ground" d="(?:M0,0h0v0h0Z)?"[^>]*/>', "", drawing)
    drawing = re.sub(
        r' (?:pointer-events="none"|opacity="1"|stroke-width="1"|class="(?!mark-\w+ role-mark)[^"]*")', "", drawing
    )
    return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", drawing)


def _narrow(part: Any) -> Any:
    """A part of a specification with titles of several lines, and type of the size that is configured."""
    if isinstance(part, list):
        return [_narrow(one) for one in part]
    if not isinstance(part, dict):
        return part
    kept = {key: value for key, value in part.items() if key not in ("labelFontSize", "values")}
    narrow = {key: _narrow(value) for key, value in kept.items()}
    if isinstance(title := part.get("title"), str):
        narrow["title"] = wrap(title, LETTERS)
    return narrow | ({"values": part["values"]} if "values" in part else {})


def _wide(drawing: str, width: float) -> str:
    """The drawing at another width; its view box stays."""
    found = re.match(r'<svg ([^>]*?)width="([\d.]+)" height="([\d.]+)"', drawing)
    assert found  # what vl-convert writes
    before, was, height = found[1], float(found[2]), float(found[3])
    return f'<svg {before}width="{width:g}" height="{height * width / was:g}"' + drawing[found.end() :]


def on_paper(drawing: str) -> str:
    """The drawing with the colours of paper, on white."""
    coloured = re.sub(r"var\(--(\w+)\)", lambda found: PAPER.get(found[1], found[0]), drawing)
    start = coloured.index(">") + 1
    return coloured[:start] + f'<rect width="100%" height="100%" fill="{PAPER["page"]}"/>' + coloured[start:]


def pdf(drawing: str) -> bytes:
    """Vector graphics with embedded fonts, from a drawing on paper."""
    import vl_convert

    content: bytes = vl_convert.svg_to_pdf(drawing)
    return content


def png(drawing: str) -> bytes:
    """Pixels, 300 to the inch at the size of the drawing, from a drawing on paper."""
    import vl_convert

    content: bytes = vl_convert.svg_to_png(drawing, ppi=300)
    return content
