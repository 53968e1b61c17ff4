"""Law: a figure reads as its definition says (the examples in the docstrings), and marks need an interval without 0."""

from __future__ import annotations

import doctest

import pytest

from polyprefix.report import format as figures
from polyprefix.report import html
from polyprefix.scoring.comparison import Difference


@pytest.mark.parametrize("module", [figures, html])
def test_examples_in_docstrings(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted > 0 and result.failed == 0


@pytest.mark.parametrize(
    ("ci95", "adjusted_p", "expected"),
    [
        ((0.01, 0.2), 0.01, "**"),
        ((-0.2, -0.01), 0.2, "*"),
        ((0.01, 0.2), None, "*"),
        ((-0.01, 0.2), 0.01, ""),
        ((0.0, 0.2), 0.01, ""),
    ],
)
def test_marks(ci95: tuple[float, float], adjusted_p: float | None, expected: str) -> None:
    assert figures.mark(Difference(0.1, 10, ci95, 0.01), adjusted_p) == expected
