"""What `polyprefix quickstart` found, from its kept runs in studies/results/quickstart."""

from __future__ import annotations

from collections.abc import Mapping

from tools.results_page.kept import STUDIES
from tools.results_page.words import row, rule

from polyprefix.config import ENGLISH
from polyprefix.progress import duration
from polyprefix.report.format import ABSENT, interval, percent, signed, size
from polyprefix.report.grid import read_grid
from polyprefix.report.run import RunView, view_of
from polyprefix.statistics.comparisons import PairedComparison
from polyprefix.statistics.contrasts import Contrast
from polyprefix.types import Score

RUNS = STUDIES / "results" / "quickstart"
GROUPINGS = ("languages", "writing")
"""Averages that are shown."""


def kept() -> RunView:
    """The adapted run beside its base model."""
    grid = read_grid([RUNS])
    (trained,) = (cell.runs.index[0] for cell in grid.cells if cell.trained)
    return view_of(grid, trained)


def printed() -> str:
    """The run and its machine, then a table of its averages."""
    shown = kept()
    baselines = sorted(shown.view.baselines)
    rows = [
        row("accuracy, %", "languages", *baselines, "base model", "with the prefix", "difference, 95% interval"),
        rule(4 + len(baselines)),
    ]
    for code, score, base, pair in shown.rows:
        if code == ENGLISH:
            means = {name: shown.view.baselines[name][code].value for name in baselines}
            rows.append(_row("English", 1, means, (base, score), pair))
    for one, mean, base_mean, pair in shown.averages():
        if one.grouping in GROUPINGS and one.name != "all languages":
            means = {name: value for name, (value, _) in one.baselines.items()}
            rows.append(_row(one.name, len(one.languages), means, (base_mean, mean), pair))
    return "\n".join([_machine(shown), "", *rows])


def _row(
    name: str,
    count: int,
    baselines: Mapping[str, float],
    scores: tuple[Score | Contrast | None, Score | Contrast],
    pair: PairedComparison | None,
) -> str:
    base, adapted = scores
    change = f"{signed(pair.difference.value)} {interval(pair.difference.ci95, with_sign=True)}" if pair else ABSENT
    means = [percent(baselines[key]) for key in sorted(baselines)]
    return row(name, str(count), *means, percent(base.value) if base else ABSENT, percent(adapted.value), change)


def _machine(shown: RunView) -> str:
    runs = [cell.runs.iloc[0] for cell in (shown.cell, shown.base) if cell]
    seconds = sum(
        value
        for run in runs
        for key, value in run["cost"].items()
        if key in ("train_seconds", "validation_seconds", "eval_seconds")
    )
    memory = max(run["cost"]["peak_memory_bytes"] for run in runs)
    threads = runs[0]["provenance"]["machine"]["threads"]
    return (
        f"Run `{shown.run_id}`, one seed, {threads} CPU thread{'' if threads == 1 else 's'}: {duration(seconds)} of "
        f"computing, {size(memory)} of memory."
    )
