"""Law: the terminal shows the averages of the page, whatever its width."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from polyprefix.report.format import percent
from polyprefix.report.grid import Grid
from polyprefix.report.overview import show
from polyprefix.report.view import View


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_all_averages_are_shown(small_grid: Grid, small_views: tuple[View, ...], width: int) -> None:
    out = io.StringIO()
    show(small_grid, Console(file=out, width=width))
    text = out.getvalue()
    assert max(map(len, text.splitlines())) <= width
    for view in small_views:
        for one in view.summaries.values():
            assert percent(one.score.value) in text
    assert text.count("\nsoft-prompt") == -(-4 // max(1, (width - 13) // 9))
