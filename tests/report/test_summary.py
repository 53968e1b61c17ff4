"""Law: a finished run fits one screen of 80 x 24, however many languages it has; what is not there is said; it ends with what to do."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.cells import cell_len
from rich.console import Console
from tests.report.studies import some_languages, write_cell

from polyprefix.report.format import interval, percent, signed
from polyprefix.report.grid import read_grid
from polyprefix.report.run import RunView, view_of
from polyprefix.report.summary import FEW_EXAMPLES, render_summary

PROMPT_AND_FOLDERS = 3
"""Lines of the screen for the folder, the report and the shell."""


def run_of(folder: Path, languages: int, *, n: int = 60, method: str = "lora", base: bool = True) -> RunView:
    codes = some_languages(languages)
    if base:
        write_cell(folder, codes, method="none", n=n)
    trained = write_cell(folder, codes, method=method, n=n)
    return view_of(read_grid([folder]), trained.name)


def printed(shown: RunView, width: int = 80) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    render_summary(shown, console, Path("runs"))
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("count", [1, 2, 10, 12, 40, 205])
def test_it_fits_one_screen(tmp_path: Path, count: int) -> None:
    shown = run_of(tmp_path, count)
    lines = printed(shown).splitlines()
    assert len(lines) + PROMPT_AND_FOLDERS <= 24 and max(map(cell_len, lines[:-1])) <= 80
    listed = sum(bool(re.search(r"^\S.* 60 +\d", line)) for line in lines)
    left = re.search(r"^\.\.\. (\d+) more", "\n".join(lines), re.MULTILINE)
    assert listed + (int(left[1]) if left else 0) == count


def test_figures_are_those_of_the_page_and_intervals_fit_80_columns(tmp_path: Path) -> None:
    shown = run_of(tmp_path, 10)
    text = printed(shown)
    for _, score, _, pair in shown.rows:
        assert pair
        change = f"{signed(pair.difference.value)} {interval(pair.difference.ci95, with_sign=True):>14}"
        assert f"{percent(score.value)} {interval(score.ci95):>13}" in text and change in text
    assert "note" in text and "--verbose" in text
    assert "Intervals need more columns" in printed(shown, 60)


def test_the_advice_is_what_the_run_needs(tmp_path: Path) -> None:
    last = [printed(run_of(tmp_path / str(i), 3, **given)).splitlines()[-1] for i, given in enumerate(
        ({}, {"n": FEW_EXAMPLES - 1}, {"base": False}, {"base": False, "method": "none"})
    )]  # fmt: skip
    assert last[0].startswith("Next: polyprefix verdict runs ")
    assert "more test examples (49 decide little)" in last[1]
    assert "--no-base" in last[2] and "polyprefix run --task alpha" in last[3]
