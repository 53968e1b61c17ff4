"""The score of a system in each language, over its seeds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from polyprefix.results.table import ResultsTable
from polyprefix.scoring.bootstrap import Floats
from polyprefix.statistics.contrasts import score_interval
from polyprefix.statistics.variance import mean_language_variance
from polyprefix.types import Score


def scores_over_seeds(table: ResultsTable, runs: Sequence[str]) -> dict[str, Score]:
    """Language -> mean over the seeds that have it, on the same examples; that of `result.json` where one seed has it.

    With several seeds the interval is Wilson's, with Student's t in place of z and the number of examples that as precise a mean of a
    single seed would have, `p (1 - p) / variance` (E. Korn and B. Graubard, Survey Methodology 24, 1998); the variance is that of examples
    and seeds (`polyprefix.statistics.variance`), the seeds' part the mean over languages. A run with other examples in a language than the
    first run is left out there.

    Args:
        table: holds the runs.
        runs: ids, one a seed.
    """
    rows = table.runs.loc[list(runs)]
    metric = str(rows["metric"].iloc[0])
    by_run = [{code: found[metric] for code, found in scores.items() if metric in found} for scores in rows["scores"]]
    scores: dict[str, Score] = {}
    for one in by_run:
        scores = one | scores
    if len(runs) == 1:
        return scores
    found = {}
    tables = _tables(table, runs, metric)
    alike: dict[int, list[str]] = {}
    for code in dict.fromkeys(code for one in by_run for code in one):
        found[code] = scores[code]
        if len(tables[code]) > 1:
            alike.setdefault(len(tables[code]), []).append(code)
    for codes in alike.values():
        variances = mean_language_variance([tables[code] for code in codes])
        for code, variance in zip(codes, variances, strict=True):
            value = float(tables[code].mean())
            found[code] = Score(value, tables[code].shape[1], score_interval(value, variance))
    return found


def _tables(table: ResultsTable, runs: Sequence[str], metric: str) -> dict[str, Floats]:
    """Language -> metric of each seed and example, `[S, I]`, of the seeds that have the examples of the first one that has the language."""
    frame = table.examples.loc[table.examples["run_id"].isin(runs), ["run_id", "language", "example_id", metric]]
    wide = frame.pivot(index=["language", "example_id"], columns="run_id", values=metric)[list(runs)]
    codes, starts = np.unique(wide.index.get_level_values("language").to_numpy(), return_index=True)
    found = {}
    for code, block_IS in zip(codes, np.split(wide.to_numpy(), starts[1:]), strict=True):
        there = ~np.isnan(block_IS)
        first = there[:, int(np.argmax(there.any(axis=0)))]
        same = (there == first[:, None]).all(axis=0)
        found[str(code)] = block_IS[first][:, same].T
    return found
