"""A finished run as reports need it: its result, and how right each answer was.

The figures are those of the task's main metric, which comes first among the metrics of `result.json` and is the mean of
the correctness in `predictions.parquet`; a folder where the two disagree is refused.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from polyprefix.errors import OutputError
from polyprefix.records import RunResult, Score
from polyprefix.results.files import PREDICTIONS, read_correctness, read_result
from polyprefix.scoring.comparison import ByLanguage

ENGLISH = "eng_Latn"
UNADAPTED = "none"


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run."""

    folder: Path
    result: RunResult
    metric: str
    scores: Mapping[str, Score]
    correctness: ByLanguage


def read_run(folder: Path) -> Run:
    """Read and check the folder of a run.

    Raises:
        OutputError: if a file is missing or damaged, or two of them disagree.
    """
    result = read_result(folder)
    correctness = read_correctness(folder / PREDICTIONS)
    for key in ("task", "model"):
        if key not in result.config:
            raise OutputError(f"{folder}: the config in result.json lacks '{key}'; run it again")
    if not result.scores:
        raise OutputError(f"{folder}: result.json has no scores; run it again with at least one language")
    metric = next(iter(next(iter(result.scores.values()))))
    scores = {code: metrics[metric] for code, metrics in result.scores.items() if metric in metrics}
    if scores.keys() != correctness.keys():
        odd = ", ".join(sorted(scores.keys() ^ correctness.keys()))
        raise OutputError(f"{folder}: only one of result.json and {PREDICTIONS} has {odd}; run it again")
    for code, score in scores.items():
        answers = correctness[code].values()
        if len(answers) != score.n or abs(sum(answers) / len(answers) - score.value) > 1e-6:
            raise OutputError(
                f"{folder}: {metric} of {code} is {score.value:.4f} over {score.n} in result.json, but "
                f"{sum(answers) / len(answers):.4f} over {len(answers)} in {PREDICTIONS}; run it again"
            )
    return Run(folder, result, metric, scores, correctness)


def method_of(result: RunResult) -> str:
    """The name of the method of a run."""
    method = result.config.get("method")
    return str(method["name"]) if isinstance(method, Mapping) and "name" in method else "unnamed method"
