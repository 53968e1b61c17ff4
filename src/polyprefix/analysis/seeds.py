"""The score of a system in each language, over its seeds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from polyprefix.analysis.contrasts import NEGLIGIBLE, Spread, crossed_spread
from polyprefix.analysis.runs import Run
from polyprefix.records import Score
from polyprefix.scoring.bootstrap import Floats
from polyprefix.scoring.metrics import wilson


def scores_over_seeds(runs: Sequence[Run]) -> dict[str, Score]:
    """Language -> mean over the seeds that have it, on the same examples; that of `result.json` where one seed has it.

    With several seeds the interval is Wilson's, with Student's t in place of z and the number of examples that as
    precise a mean of a single seed would have, `p (1 - p) / variance` (E. Korn and B. Graubard, Survey Methodology 24,
    1998); the variance is that of examples and seeds (`polyprefix.analysis.contrasts`), the seeds' part the mean over
    languages. A run with other examples in a language than the first run is left out there.

    Args:
        runs: one a seed.
    """
    codes = dict.fromkeys(code for run in runs for code in run.correctness)
    found: dict[str, Score] = {}
    several: dict[str, Floats] = {}
    for code in codes:
        first = next(run for run in runs if code in run.correctness)
        ids = first.correctness[code].keys()
        alike = [run for run in runs if run.correctness.get(code, {}).keys() == ids]
        found[code] = first.scores[code]
        if len(alike) > 1:
            several[code] = np.array([[run.correctness[code][key] for key in ids] for run in alike])
    spreads = {code: crossed_spread(d_SI) for code, d_SI in several.items()}
    pooled = float(np.mean([spread.seed_variance for spread in spreads.values()])) if spreads else 0.0
    for code, d_SI in several.items():
        spread = replace(spreads[code], seed_variance=pooled)
        value = float(d_SI.mean())
        found[code] = Score(value, d_SI.shape[1], _interval(value, spread))
    return found


def _interval(value: float, spread: Spread) -> tuple[float, float]:
    from scipy.stats import t

    chance = value * (1 - value)
    if chance < NEGLIGIBLE or spread.variance < NEGLIGIBLE**2:
        return wilson(value, spread.ids)
    return wilson(value, chance / spread.variance, float(t.ppf(0.975, spread.degrees)))
