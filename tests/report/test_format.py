"""Law: a figure reads as its definition says (the examples in the docstrings)."""

from __future__ import annotations

import doctest

import pytest

from polyprefix.report import format as figures
from polyprefix.results import table


@pytest.mark.parametrize("module", [figures, table])
def test_examples_in_docstrings(module: object) -> None:
    result = doctest.testmod(module)  # type: ignore[arg-type]
    assert result.attempted > 0 and result.failed == 0
