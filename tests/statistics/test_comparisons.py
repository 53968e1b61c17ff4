"""Law: corrected p-values are those of statsmodels, and significance is what the p-value that counts says."""

from __future__ import annotations

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from polyprefix.statistics.comparisons import FAMILIES, Method, PairedComparison, adjust
from polyprefix.statistics.contrasts import Contrast


@pytest.mark.parametrize("method", sorted(set(FAMILIES.values())))
def test_corrections_are_statsmodels(method: Method) -> None:
    p = np.random.default_rng(10).random(50) ** 3
    p[7] = p[9]
    assert adjust(list(p), method) == pytest.approx(multipletests(p, method=method)[1])


def test_corrections_on_textbook_examples() -> None:
    assert adjust([0.01, 0.04, 0.03, 0.005], "holm") == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert adjust([0.01, 0.04, 0.03, 0.005], "fdr_bh") == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert adjust([], "holm") == [] and adjust([0.9, 0.8], "holm") == [1, 1]
    for bad in (1.5, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            adjust([bad], "fdr_bh")


@pytest.mark.parametrize(
    ("runs", "seeds", "stars"),
    [(0.01, 0.01, "**"), (0.01, 0.2, ""), (0.01, None, "*"), (0.2, None, ""), (0.05, None, ""), (0.01, 0.05, "")],
)
def test_significance(runs: float, seeds: float | None, stars: str) -> None:
    difference = Contrast(0.1, 10, (0.05, 0.15), 0.001, seeds)
    assert PairedComparison("a", "language", "x", ("x",), 0.6, 0.5, difference, 0.2, runs, seeds).significance == stars
