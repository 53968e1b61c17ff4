"""Law: lists fit the terminal: no line is longer than it, no word of it is broken while there is room, nothing is lost."""

from __future__ import annotations

import re

import pytest

from polyprefix import listing

ROWS = [
    {"name": "prefix", "size": 1_234_567, "about": "keys and values before the text", "empty": None},
    {"name": "lora", "size": 12, "about": "low-rank updates [of chosen weights]", "empty": ""},
]


@pytest.mark.parametrize("width", [24, 40, 60, 80, 120, 200])
@pytest.mark.parametrize("what", ["rows", "tasks", "methods", "models"])
def test_lists_fit(what: str, width: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    rows = ROWS if what == "rows" else getattr(listing, what)()
    listing.show(rows)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= width
    shown = re.sub(r"\s", "", "".join(lines))
    for row in rows:
        assert str(next(iter(row.values()))) in shown
    if what == "rows":
        assert "empty" not in shown and "1,234,567" in shown
    if width >= 40:
        words = set(" ".join(lines).split())
        assert what != "rows" or {"values", "low-rank", "[of", "weights]"} <= words
