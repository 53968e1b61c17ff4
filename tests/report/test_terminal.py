"""Law: the tables fit any usual terminal, and narrow ones lose columns, never digits."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console

from polyprefix.report.format import interval, percent, signed
from polyprefix.report.summary import Summary, summarise
from polyprefix.report.terminal import render

WriteRun = Callable[..., Path]

CODES = ["eng_Latn", "swh_Latn", "arb_Arab", "zho_Hant", "uzn_Cyrl"]


@pytest.fixture
def summary(write_run: WriteRun) -> Summary:
    base = write_run("base", CODES, 0.2, method={"name": "none"})
    return summarise(write_run("adapted", CODES, 1.0, notes=("[bold]not markup[/bold]",)), base)


def printed(summary: Summary, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    render(summary, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_line_is_too_long_and_no_figure_is_cut(summary: Summary, width: int) -> None:
    text = printed(summary, width)
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    for row in summary.rows:
        assert row.difference
        assert re.search(rf"{re.escape(percent(row.adapted.value))}\b.*{re.escape(signed(row.difference.value))}", text)


def test_80_columns_show_intervals_and_marks(summary: Summary) -> None:
    text = printed(summary, 80)
    row = next(row for row in summary.rows if row.language.code == "swh_Latn")
    assert row.difference
    line = next(line for line in text.splitlines() if line.startswith("  Swahili"))
    for figure in ("Latn", "40", percent(row.adapted.value), interval(row.adapted.ci95), signed(row.difference.value),
                   interval(row.difference.ci95, with_sign=True)):  # fmt: skip
        assert figure in line
    assert line.rstrip().endswith("*")
    assert "B1: baseline, character n-grams" in text and "by family" in text
    assert "[bold]not markup[/bold]" in text


def test_wide_terminals_name_baselines_and_codes(summary: Summary) -> None:
    text = printed(summary, 120)
    assert "swh_Latn" in text and "majority" in text and "B1" not in text


def test_a_difference_that_may_be_none_has_no_mark(write_run: WriteRun) -> None:
    base = write_run("base", CODES, 0.5, method={"name": "none"})
    text = printed(summarise(base, base), 80)
    line = next(line for line in text.splitlines() if line.startswith("  Swahili"))
    assert line.rstrip().endswith("0.0 [-12.9, +12.9]")


def test_without_a_base_there_are_no_difference_columns(write_run: WriteRun) -> None:
    text = printed(summarise(write_run("adapted", CODES, 0.5)), 80)
    assert "difference" not in text and "base " not in text
