"""`report` and `compare`: what finished runs say."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from polyprefix.report.command import Forms, default_name, in_forms, report_options, write_report


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path))
@report_options
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The page, or the folder of other files.  [default: report.html, or report]",
)
def report(
    folders: tuple[Path, ...],
    form: str,
    out: Path | None,
    baseline: str | None,
    across_shots: bool,
    no_texts: bool,
    width: float | None,
) -> None:
    """Write a report of the finished runs in FOLDERS."""
    out = out or Path(default_name(form))
    from polyprefix.study.locks import unfinished_in

    unfinished = [line for folder in folders for line in unfinished_in(folder)]
    write_report(
        folders,
        form,
        out,
        texts=not no_texts,
        width=width,
        baseline=baseline,
        across_shots=across_shots,
        unfinished=unfinished,
    )


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), metavar="DIR")
@click.option(
    "--baseline", default="none", show_default=True, metavar="X", help="The method that the others are compared with."
)
@click.option("--metric", metavar="M", help="A metric with a value for each answer; the task's main one if left out.")
@click.option("--resamples", type=click.IntRange(100), help="Of the ranking.  [default: as many as for intervals]")
@click.option(
    "--mixed/--no-mixed",
    default=None,
    help="Fit the mixed-effects model of single answers.  [default: if it takes few seconds]",
)
@click.option(
    "--calibration", metavar="C", help="Compare calibrated answers: batch, prior, content-free, pmi.  [default: raw]"
)
@in_forms("comparison")
def compare(
    folder: Path,
    baseline: str,
    metric: str | None,
    resamples: int | None,
    mixed: bool | None,
    calibration: str | None,
) -> Forms:
    """Compare the finished runs in DIR with a baseline: paired statistics per language and on average."""
    from polyprefix.report import comparison as shown
    from polyprefix.scoring.bootstrap import RESAMPLES
    from polyprefix.statistics.compare import compare as compare_runs

    found = compare_runs(folder, baseline, metric, resamples or RESAMPLES, mixed, calibration)
    return Forms(partial(shown.as_dict, found), found.to_pandas, partial(shown.render, found))
