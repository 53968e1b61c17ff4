"""The table of results with calibrated answers beside the raw ones.

A calibrated score bears its calibration in the name of its metric (`accuracy, batch-calibrated`), so no table, chart or file shows one for
the other. Raw scores and answers stay as the runs have them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from polyprefix.calibration.answers import Calibration, LabelAnswers, label_answers
from polyprefix.errors import ConfigError
from polyprefix.results.table import ResultsTable
from polyprefix.scoring.bootstrap import Floats
from polyprefix.scoring.metrics import accuracy
from polyprefix.types import Score

if TYPE_CHECKING:
    import pandas as pd

CALIBRATED = "calibrated_prediction"
"""The column of the chosen label after calibration."""


def metric_name(metric: str, calibration: Calibration) -> str:
    """Of the main metric after calibration.

    >>> metric_name("accuracy", "batch")
    'accuracy, batch-calibrated'
    """
    return f"{metric}, {calibration}-calibrated"


def answers_by_run(table: ResultsTable) -> tuple[dict[str, LabelAnswers], list[str]]:
    """Run id -> its answers, of the runs that can be calibrated; and a line for each of the others."""
    found: dict[str, LabelAnswers] = {}
    notes = []
    groups = dict(list(table.examples.groupby("run_id", sort=False)))
    for run_id, run in table.runs.iterrows():
        answers = label_answers(run, groups[run_id])
        if isinstance(answers, LabelAnswers) and not _is_accuracy(groups[run_id][run["metric"]].to_numpy(), answers):
            answers = f"{run['metric']} is not the share of chosen labels that are right"
        if isinstance(answers, str):
            notes.append(f"{run_id}: not calibrated, {answers}")
        else:
            found[run_id] = answers
    return found, notes


def with_calibration(table: ResultsTable, calibration: Calibration) -> ResultsTable:
    """The runs that can be calibrated, with calibrated accuracy as the main metric; languages without a prior are left out.

    Raises:
        ConfigError: if there is no such run.
    """
    return calibrated_table(table, *answers_by_run(table), calibration)


def calibrated_table(
    table: ResultsTable, answers: Mapping[str, LabelAnswers], notes: Sequence[str], calibration: Calibration
) -> ResultsTable:
    """The same, from what `answers_by_run` found.

    Raises:
        ConfigError: if there is no such run.
    """
    done = {
        run: frame for run, one in answers.items() if (frame := _calibrated(table, run, one, calibration)) is not None
    }
    notes = [
        *notes,
        *(f"{run}: not calibrated, the run kept no {calibration} scores" for run in answers if run not in done),
    ]
    if not done:
        first = f" ({notes[0]})" if notes else ""
        raise ConfigError(f"calibration '{calibration}': no run can be calibrated so{first}; leave the option out")
    import pandas as pd

    runs = table.runs.loc[list(done)].copy()
    runs["metric"] = [metric_name(metric, calibration) for metric in runs["metric"]]
    runs["scores"] = [_scores(done[run.Index], run.metric, run.scores) for run in runs.itertuples()]
    return ResultsTable(runs, pd.concat(list(done.values())), (*table.notes, *notes))


def _calibrated(
    table: ResultsTable, run_id: str, answers: LabelAnswers, calibration: Calibration
) -> pd.DataFrame | None:
    """The run's examples in languages with a prior, with the two columns of calibration."""
    mine = table.examples[table.examples["run_id"] == run_id]
    chosen = np.full(len(mine), -1)
    right = np.zeros(len(mine))
    for code, log_p in answers.calibrated(calibration).items():
        best = log_p.argmax(axis=1)
        chosen[answers.rows[code]] = best
        right[answers.rows[code]] = best == answers.targets[code]
    if not (there := chosen >= 0).any():
        return None
    names = np.array([*answers.labels, ""], dtype=object)
    metric = metric_name(str(table.runs.at[run_id, "metric"]), calibration)
    return mine.assign(**{CALIBRATED: names[chosen], metric: right})[there]


def _is_accuracy(metric_N: Floats, answers: LabelAnswers) -> bool:
    """Whether a metric says of each raw answer that the likeliest label is right."""
    right = np.zeros(len(metric_N))
    for code, rows in answers.rows.items():
        right[rows] = answers.log_likelihoods[code].argmax(axis=1) == answers.targets[code]
    return bool((right == metric_N).all())


def _scores(examples: pd.DataFrame, metric: str, raw: Mapping[str, Any]) -> dict[str, dict[str, Score]]:
    """Calibrated accuracy first, then the raw scores of the same languages."""
    values = {str(code): accuracy(list(found)) for code, found in examples.groupby("language", sort=False)[metric]}
    return {code: {metric: score, **raw[code]} for code, score in values.items()}
