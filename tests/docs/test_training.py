"""The page on training says what the code does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from polyprefix.config import TrainConfig
from polyprefix.training.length import Length

PAGE = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([\d,]+)[^|]*\| ([\d,]+)[^|]*\| ([\d,]+) \| ([\d.]+) \|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_lengths_are_those_of_the_table(row: tuple[str, ...]) -> None:
    examples, first, most = (int(cell.replace(",", "")) for cell in row[:3])
    length = Length.of(TrainConfig(), examples, 99)
    assert (length.ends[0], length.total) == (first, most)
    assert float(row[3]) == pytest.approx(most * min(16, examples) / examples, abs=0.06)


def test_the_table_is_there() -> None:
    assert len(ROWS) == 4
