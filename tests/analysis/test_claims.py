"""Law: corrected p-values are those of statsmodels, and a mark needs them."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from polyprefix.analysis.claims import Claim, holm
from polyprefix.analysis.contrasts import Contrast


def test_holm_is_statsmodels() -> None:
    p = np.random.default_rng(10).random(50) ** 3
    p[7] = p[9]
    assert holm(list(p)) == pytest.approx(multipletests(p, method="holm")[1])


def test_holm_on_the_textbook_example() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == [] and holm([0.9, 0.8]) == [1, 1]
    for bad in (1.5, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            holm([bad])


@pytest.mark.parametrize(
    ("runs", "seeds", "mark"),
    [(0.01, 0.01, "**"), (0.01, 0.2, "*"), (0.01, None, "*"), (0.2, 0.01, ""), (0.05, 0.01, "")],
)
def test_marks(runs: float, seeds: float | None, mark: str) -> None:
    difference = Contrast(0.1, 10, (0.05, 0.15), 0.001, seeds)
    assert Claim("a", "language", "x", ("x",), 0.6, 0.5, difference, 0.2, runs, seeds).mark == mark
