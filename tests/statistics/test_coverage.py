"""Law: on simulated runs with a known truth, 95% intervals hold it 93 to 97 times in 100, and after correction false
claims are made at most 5 times in 100 - at 15, 40 and 200 languages. `tools/check_statistics.py` is the longer version."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest
from tools.check_statistics import tally

SIMULATIONS = {15: 75, 40: 40, 200: 12}


@pytest.mark.parametrize("languages", SIMULATIONS)
@pytest.mark.parametrize(("seeds", "seed_sd"), [(1, 0.0), (3, 0.1)])
def test_promises_are_kept(languages: int, seeds: int, seed_sd: float) -> None:
    counts = tally(SIMULATIONS[languages], languages, seeds, seed_sd=seed_sd)
    assert 0.93 <= counts.share("language") <= 0.97  # thousands of intervals
    for name in ("average", "gap"):  # hundreds: what they show must agree with 93 to 97
        low, high = binomtest(int(counts.hits[name]), counts.tries[name]).proportion_ci(0.99)
        assert low <= 0.97 and high >= 0.93, f"{name}: {counts.share(name)}"
    for name in ("false: any language", "false: any average"):
        low = binomtest(int(counts.hits[name]), counts.tries[name]).proportion_ci(0.99).low
        assert low <= 0.05, f"{name}: {counts.share(name)}"


def test_promises_are_kept_where_each_language_has_examples_of_its_own() -> None:
    counts = tally(60, 40, 3, ids=120, own=8)
    for name in ("average", "gap"):
        low, high = binomtest(int(counts.hits[name]), counts.tries[name]).proportion_ci(0.99)
        assert low <= 0.97 and high >= 0.93, f"{name}: {counts.share(name)}"
    same = tally(60, 40, 3, ids=8)
    assert counts.share("width") < same.share("width")


def test_the_simulation_can_tell() -> None:
    """Intervals that pass over seeds, as one seed's do, would be found out."""
    counts = tally(60, 15, 3, seed_sd=0.3)
    assert counts.share("language") > 0.9
    from tools import check_statistics

    patch = pytest.MonkeyPatch()
    patch.setattr("polyprefix.statistics.variance.Variance.seeds", property(lambda one: 0.0))
    patch.setattr("polyprefix.statistics.variance.Variance.degrees", property(lambda one: one.ids.degrees))
    try:
        blind = check_statistics.tally(60, 15, 3, seed_sd=0.3)
    finally:
        patch.undo()
    assert blind.share("language") < 0.8
    assert blind.share("false: any language") > 0.3
