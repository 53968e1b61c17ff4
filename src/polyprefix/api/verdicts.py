"""`pp.verdicts` and `pp.calibrations`: what can be said of the answers of finished runs, language by language."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from polyprefix.api.comparison import as_table
from polyprefix.api.result import Result
from polyprefix.languages import find_each
from polyprefix.results.table import BASE_METHOD, ResultsTable
from polyprefix.statistics.calibration import Calibrations
from polyprefix.statistics.calibration import calibrations as calibrations_of
from polyprefix.statistics.verdicts import MARGIN, Verdicts
from polyprefix.statistics.verdicts import verdicts as verdicts_of

Results = ResultsTable | Result | Sequence[Result] | Sequence[str | Path] | str | Path


def verdicts(
    results: Results,
    baseline: str = BASE_METHOD,
    *,
    margin: float = MARGIN,
    untested: Sequence[str] | Literal["all"] = (),
    calibration: str | None = None,
) -> Verdicts:
    """For each language: clearly above the base model and chance, not clear, or do not use.

    Args:
        results: from `evaluate` and `run`; or what `load_results` returned; or folders of runs. The base model's run is best among them.
        baseline: what a method has to be above.
        margin: above chance; a score that is clearly lower is clearly not above chance.
        untested: languages to predict, as people write them; `all` means every known one.
        calibration: judge calibrated answers; None judges raw ones.

    Raises:
        OutputError: if there are no runs, or a file is damaged.
        ConfigError: if the margin is no share, the baseline is not there, or no run can be calibrated.
        LanguageError: if nobody knows a language, or it comes twice.
    """
    table = as_table(results)
    table = table if calibration is None else table.with_calibration(calibration)
    wanted = untested if untested == "all" else find_each(untested, "untested")
    return verdicts_of(table, baseline, margin=margin, untested=wanted)


def calibrations(results: Results, calibration: str = "batch") -> Calibrations:
    """What a calibration changes in each language: scores, confidences and labels, raw and calibrated side by side.

    Args:
        results: as `verdicts`.
        calibration: `batch`, `batch-unshrunken`, `prior`, `content-free` or `pmi`.

    Raises:
        OutputError: if there are no runs, or a file is damaged.
        ConfigError: if there is no such calibration, or no run that can be calibrated.
    """
    return calibrations_of(as_table(results), calibration)
