"""Progress goes to its console: bars on a terminal, a few lines elsewhere, nothing when silent."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from polyprefix.progress import SILENT, Notebook, Terminal, interactive


@pytest.mark.parametrize("terminal", [True, False])
def test_phases_are_shown(terminal: bool) -> None:
    text = io.StringIO()
    with Terminal(Console(file=text, force_terminal=terminal, width=120)).phase("train", 100) as bar:
        for _ in range(100):
            bar.advance(1, "loss 0.5")
    shown = text.getvalue()
    assert "train" in shown and "100" in shown and "loss 0.5" in shown
    if not terminal:
        assert len(shown.splitlines()) == 6


def test_silence(capsys: pytest.CaptureFixture[str]) -> None:
    with SILENT.phase("train", 3) as bar:
        bar.advance(3)
    assert capsys.readouterr() == ("", "")


def test_a_notebook_has_a_bar(capsys: pytest.CaptureFixture[str]) -> None:
    with Notebook().phase("train", 4) as bar:
        for _ in range(4):
            bar.advance(1, "loss 0.5")
    assert "4/4" in capsys.readouterr().err


def test_what_is_neither_a_notebook_nor_a_terminal_stays_quiet() -> None:
    assert interactive() is SILENT and interactive(False) is SILENT
