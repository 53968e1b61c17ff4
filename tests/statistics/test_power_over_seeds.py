"""Law: over seeds, a difference of 0 is significant at most 5 times in 100, and one of 10 points more often than by the first rule, for
variance components like those of the kept study, for none of seeds and for large ones. `tools/check_power.py` is the longer version."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest
from tools.check_power import DESIGNS, GAIN, KINDS, SCENARIOS, STUDY, p_first, p_now, rates, simulate

from polyprefix.statistics.components import Components, ItemComponents, components
from polyprefix.study.power import Design

SMALL = Design(3, 20, 8, 6, True, 60)
SIMULATIONS = 250


@pytest.mark.parametrize("name", SCENARIOS)
@pytest.mark.parametrize("design", [SMALL, Design(3, 10, 20, 2, False, 20)])
def test_the_level_is_kept(name: str, design: Design) -> None:
    for (kind, _, level), share in rates(SIMULATIONS, design, SCENARIOS[name], 0.0, {"now": p_now}).items():
        assert binomtest(round(share * SIMULATIONS), SIMULATIONS).proportion_ci(0.999).low <= level, (
            kind,
            level,
            share,
        )


def test_power_is_more_than_that_of_the_first_rule() -> None:
    found = rates(80, next(iter(DESIGNS.values())), STUDY, GAIN, {"now": p_now, "first": p_first})
    for kind in KINDS:
        assert found[kind, "now", 0.05 / 12] > found[kind, "first", 0.05 / 12] + 0.2
        assert found[kind, "now", 0.05] > found[kind, "first", 0.05]


def test_components_are_found_again() -> None:
    true = Components(8.0, 6.0, 20.0, ItemComponents(200.0, 300.0, 1500.0), ItemComponents(500.0, 1500.0, 1600.0))
    design = Design(8, 12, 30, 6, True, 60)
    found = [components(simulate(np.random.default_rng(number), design, true), 0, range(12)) for number in range(40)]
    assert np.mean([one.seed for one in found]) == pytest.approx(8, rel=0.25)
    assert np.mean([one.shared for one in found]) == pytest.approx(6, rel=0.5)
    assert np.mean([one.seed_language for one in found]) == pytest.approx(20, rel=0.25)
    for kind in ("pair", "base"):
        for name, expected in (("item", 0.15), ("residual", 0.05)):
            value = np.mean([getattr(getattr(one, kind), name) for one in found])
            wanted = getattr(getattr(true, kind), name) / (2 if (kind, name) == ("base", "residual") else 1)
            if (kind, name) == ("base", "residual"):
                wanted = true.pair.residual / 2  # the base model has no chance of its own: it is part of its cells
            assert value == pytest.approx(wanted, rel=expected), (kind, name)


def test_components_take_two_seeds_of_two_systems() -> None:
    answers = simulate(np.random.default_rng(0), Design(1, 4, 10, 3, False, 10), STUDY)
    with pytest.raises(ValueError, match="two seeds"):
        components(answers, 0, range(4))
