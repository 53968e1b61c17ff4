"""The score of a system in each language, over its seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polyprefix.analysis.contrasts import score_interval
from polyprefix.analysis.runs import Run
from polyprefix.analysis.variance import mean_language_variance
from polyprefix.records import Score
from polyprefix.scoring.bootstrap import Floats


def scores_over_seeds(runs: Sequence[Run]) -> dict[str, Score]:
    """Language -> mean over the seeds that have it, on the same examples; that of `result.json` where one seed has it.

    With several seeds the interval is Wilson's, with Student's t in place of z and the number of examples that as
    precise a mean of a single seed would have, `p (1 - p) / variance` (E. Korn and B. Graubard, Survey Methodology 24,
    1998); the variance is that of examples and seeds (`polyprefix.analysis.variance`), the seeds' part the mean over
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
    by_seeds: dict[int, list[str]] = {}
    for code, d_SI in several.items():
        by_seeds.setdefault(len(d_SI), []).append(code)
    for alike_codes in by_seeds.values():
        tables = [several[code] for code in alike_codes]
        for code, variance in zip(alike_codes, mean_language_variance(tables), strict=True):
            value = float(several[code].mean())
            found[code] = Score(value, several[code].shape[1], score_interval(value, variance))
    return found
