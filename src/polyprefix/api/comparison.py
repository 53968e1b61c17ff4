"""`pp.compare` and `pp.load_results`: results in memory and in folders come together in one table."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from polyprefix.api.result import Result
from polyprefix.errors import OutputError
from polyprefix.results.table import BASE_METHOD, ResultsTable, read_table, table_of
from polyprefix.scoring.bootstrap import RESAMPLES
from polyprefix.statistics.compare import Source
from polyprefix.statistics.compare import compare as compare_table
from polyprefix.statistics.comparisons import Comparison


def compare(
    results: ResultsTable | Sequence[Result] | Sequence[str | Path] | str | Path,
    baseline: str = BASE_METHOD,
    metric: str | None = None,
    resamples: int = RESAMPLES,
    mixed: bool | None = None,
    calibration: str | None = None,
) -> Comparison:
    """Compare every system with a baseline, paired on the same examples of the same task and model.

    Args:
        results: from `evaluate` and `run`; or what `load_results` returned; or folders of runs.
        baseline: a method, or a system where a method has several (`prefix (length=10)`); `none` is the base model.
        metric: one that has a value for each example; None is each task's main metric.
        resamples: of the ranking's bootstrap.
        mixed: whether to fit mixed-effects models; None fits those that take few seconds.
        calibration: compares calibrated answers (`ResultsTable.with_calibration`); None compares raw ones.

    Raises:
        OutputError: if there is nothing to compare, or a file is damaged.
        ConfigError: if the baseline or the metric is not there, or no run can be calibrated.
    """
    return compare_table(_source(results), baseline, metric, resamples, mixed, calibration)


def load_results(folder: str | Path | Sequence[str | Path], calibration: str | None = None) -> ResultsTable:
    """The long table of every finished run in a folder: `.runs` has one row per run, `.examples` one per run, language and example.

    Args:
        folder: of a run, of runs, or of folders of runs; or several of them.
        calibration: as `ResultsTable.with_calibration`; None means raw answers.

    Raises:
        OutputError: if a folder is missing.
        ConfigError: if no run can be calibrated.
    """
    folders = [folder] if isinstance(folder, str | Path) else list(folder)
    return read_table([Path(one) for one in folders], calibration=calibration)


def as_table(results: ResultsTable | Result | Sequence[Result] | Sequence[str | Path] | str | Path) -> ResultsTable:
    """The table of results in memory, or of folders.

    Raises:
        OutputError: if a folder is missing or damaged, or results stand beside folders.
    """
    source = _source([results] if isinstance(results, Result) else results)
    if isinstance(source, ResultsTable):
        return source
    return read_table([Path(source)] if isinstance(source, str | Path) else list(source))


def _source(results: ResultsTable | Sequence[Result] | Sequence[str | Path] | str | Path) -> Source:
    """A table of results in memory; folders as they are, which the comparison reads itself."""
    if isinstance(results, ResultsTable | str | Path):
        return results
    in_memory = [one for one in results if isinstance(one, Result)]
    if len(in_memory) == len(results):
        records = {one.run_id: one.calibration for one in in_memory if one.calibration}
        return table_of([(one.record, one.predictions) for one in in_memory], records)
    if in_memory:
        raise OutputError(
            "compare: found results beside folders, expected one of the two; load folders with Result.load"
        )
    return [Path(str(one)) for one in results]
