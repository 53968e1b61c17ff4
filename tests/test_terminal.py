"""Law: whatever data holds, what reaches a terminal has no control but line ends, tabs and the program's own colours."""

from __future__ import annotations

import io
import json
import logging
import os
import re
import subprocess
import sys
import unicodedata
from pathlib import Path

import click
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyprefix import terminal
from polyprefix.terminal import printable, protect_streams


def is_unsafe(text: str) -> bool:
    """By Unicode's own categories and names, not by the list of the code."""
    turns = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return any(
        (unicodedata.category(c) in ("Cc", "Cs") and c not in "\n\t\r") or unicodedata.bidirectional(c) in turns
        for c in text
    )


HOSTILE = "a\x1b]52;c;ZXZpbA==\x07\x1b[2J\x9b31m\u202eb\x7f\r\x08"


@given(st.text())
def test_printable_text_has_nothing_unsafe_and_is_the_same_json(text: str) -> None:
    assert not is_unsafe(printable(text))
    if not any("\ud800" <= c <= "\udfff" for c in text):
        assert json.loads(printable(json.dumps(text, ensure_ascii=False))) == text


def test_every_way_to_print_is_protected(monkeypatch: pytest.MonkeyPatch) -> None:
    out, err = io.StringIO(), io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    monkeypatch.setattr(sys, "stderr", err)
    with protect_streams():
        print(HOSTILE)
        click.echo(HOSTILE)
        click.echo(HOSTILE, err=True)
        handler = logging.StreamHandler()
        handler.emit(logging.LogRecord("x", logging.WARNING, "x", 1, HOSTILE, None, None))
        terminal.console().print(HOSTILE, markup=False, highlight=False)
        table = terminal.console(stderr=True, force_terminal=True)
        table.print(HOSTILE, style="bold red", markup=False, highlight=False)
    for text in (out.getvalue(), err.getvalue()):
        assert text.count("ZXZpbA==") >= 3
        own = re.sub(r"\x1b\[[0-9;]*m", "", text)
        assert not is_unsafe(own), repr(own)


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252", "utf-8"])
def test_output_that_is_not_utf8_fails_at_no_character(encoding: str, tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    name = "новости-\u202e\x1b[2J"
    for words in (["list", "languages"], ["run", "--task", name], ["report", name]):
        done = subprocess.run(
            [sys.executable, "-m", "polyprefix", *words], capture_output=True, env=environment, cwd=tmp_path
        )
        assert b"Traceback" not in done.stderr and done.returncode in (0, 2)
        assert b"\x1b" not in done.stdout + done.stderr
