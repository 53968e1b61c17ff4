"""A chart in a notebook: drawn as SVG in this process, so that it shows in every notebook and stays in the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from polyprefix.atomic import writing
from polyprefix.errors import ConfigError
from polyprefix.report.vega import Chart, on_paper, pdf, png, svg

if TYPE_CHECKING:
    import pandas as pd

WIDTH, STEP = 360, 18
"""Pixels of the plot, and of one language in it."""


@dataclass(frozen=True)
class Plot:
    """A chart; notebooks show it."""

    chart: Chart

    def _repr_svg_(self) -> str:
        return on_paper(svg(self.chart))

    def save(self, path: str | Path) -> Path:
        """Write it as `.svg`, `.png` or `.pdf`.

        Raises:
            ConfigError: if the name ends otherwise.
            OutputError: if the file cannot be written.
        """
        path, drawing = Path(path), self._repr_svg_()
        kinds = {".svg": lambda: drawing.encode(), ".png": lambda: png(drawing), ".pdf": lambda: pdf(drawing)}
        if path.suffix.lower() not in kinds:
            raise ConfigError(f"{path}: found the suffix '{path.suffix}', expected one of {', '.join(kinds)}")
        content = kinds[path.suffix.lower()]()
        with writing(path) as temporary:
            temporary.write_bytes(content)
        return path


def dot_plot(scores: pd.DataFrame, metric: str, title: str) -> Plot:
    """A dot and an interval for each row.

    Args:
        scores: `name`, `value`, `n`, `ci95_low`, `ci95_high` (shares), in the order from top to bottom.
    """
    rows = [
        {"language": row.name_, "value": 100 * row.value, "low": 100 * row.low, "high": 100 * row.high}
        for row in scores.rename(columns={"name": "name_", "ci95_low": "low", "ci95_high": "high"}).itertuples()
    ]
    across = {"type": "quantitative", "title": f"{metric}, %", "scale": {"zero": False}}
    place = {"y": {"field": "language", "type": "nominal", "title": None, "sort": None}}
    interval = {"x": {"field": "low", **across}, "x2": {"field": "high"}}
    layers = [
        {"mark": {"type": "rule", "color": "var(--line)", "strokeWidth": 2}, "encoding": {**place, **interval}},
        {
            "mark": {"type": "point", "filled": True, "size": 45, "opacity": 1, "color": "var(--m1)"},
            "encoding": {**place, "x": {"field": "value", **across}},
        },
    ]
    spec = {"title": title, "data": {"values": rows}, "width": WIDTH, "height": {"step": STEP}, "layer": layers}
    cells = tuple((str(row["language"]), f"{row['value']:.1f}", f"{row['low']:.1f}–{row['high']:.1f}") for row in rows)
    description = f"{metric} of each language with its 95% interval."
    return Plot(
        Chart("scores", title, description, spec, ("language", f"{metric}, %", "95% interval"), cells, len(rows))
    )
