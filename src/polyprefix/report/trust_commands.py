"""The commands `calibrate` and `verdict`: what can be said of the answers of kept runs without a model."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from polyprefix.errors import OutputError
from polyprefix.report.command import Forms, in_forms


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--calibration", default="batch", show_default=True, metavar="C",
    help="batch, batch-unshrunken, prior, content-free or pmi.",
)  # fmt: skip
@in_forms("language")
def calibrate(folders: tuple[Path, ...], calibration: str) -> Forms:
    """Show what calibration changes in the finished runs in RUN...: scores, confidences, labels. No model is asked."""
    from polyprefix.calibration.answers import check_calibration

    check_calibration(calibration)
    from polyprefix.report import calibration as shown
    from polyprefix.results.table import read_table
    from polyprefix.statistics.calibration import calibrations

    table = read_table(folders)
    if table.runs.empty:
        raise OutputError(f"{', '.join(map(str, folders))}: no finished runs; give the folder of one, or of several")
    found = calibrations(table, calibration)
    return Forms(partial(shown.as_dict, found), found.to_pandas, partial(shown.render, found))


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--base", type=click.Path(path_type=Path), metavar="RUN", help="The base model's run, where it is not in RUN..."
)
@click.option(
    "--baseline", default="none", show_default=True, metavar="X", help="The method that others have to be above."
)
@click.option(
    "--margin",
    type=float,
    default=5.0,
    show_default=True,
    help="Points above chance; clearly less is clearly not above it.",
)
@click.option(
    "--calibration", metavar="C", help="Judge calibrated answers: batch, prior, content-free, pmi.  [default: raw]"
)
@click.option(
    "--accuracy",
    type=float,
    metavar="P",
    help="Also show from which confidence on P percent of answers in the source languages are right.",
)
@click.option("--untested", metavar="A,B|all", help="Languages to predict, as people write them.")
@in_forms("language")
def verdict(
    folders: tuple[Path, ...],
    base: Path | None,
    baseline: str,
    margin: float,
    calibration: str | None,
    accuracy: float | None,
    untested: str | None,
) -> Forms:
    """Say for each language of the finished runs in RUN...: clearly above base and chance, not clear, or do not use."""
    from polyprefix.languages import find_each
    from polyprefix.report import verdicts as shown
    from polyprefix.results.table import read_table
    from polyprefix.settings import listed_names
    from polyprefix.statistics.abstention import abstentions
    from polyprefix.statistics.verdicts import verdicts

    wanted = () if untested in (None, "all") else find_each(listed_names(untested), "--untested")
    raw = read_table([*folders, *([base] if base else [])])
    table = raw.with_calibration(calibration) if calibration and not raw.runs.empty else raw
    found = verdicts(table, baseline, margin=margin / 100, untested="all" if untested == "all" else wanted)
    thresholds = () if accuracy is None else abstentions(raw, accuracy / 100, calibration)[0]
    return Forms(partial(shown.as_dict, found, thresholds), found.to_pandas, partial(shown.render, found, thresholds))
