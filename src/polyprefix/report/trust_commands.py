"""The commands `calibrate` and `verdict`: what can be said of the answers of kept runs without a model."""

from __future__ import annotations

from pathlib import Path

import click

from polyprefix.errors import ConfigError, OutputError
from polyprefix.serialize import to_json


@click.command()
@click.argument("folders", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN...")
@click.option(
    "--calibration", default="batch", show_default=True, metavar="C",
    help="batch, batch-unshrunken, prior, content-free or pmi.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--csv", "as_csv", is_flag=True, help="Print one line a language, as CSV.")
def calibrate(folders: tuple[Path, ...], calibration: str, as_json: bool, as_csv: bool) -> None:
    """Show what calibration changes in the finished runs in RUN...: scores, confidences, labels. No model is asked."""
    if as_json and as_csv:
        raise ConfigError("--json and --csv: both were given; choose one")
    from polyprefix.calibration.answers import check_calibration

    check_calibration(calibration)
    from polyprefix.report import calibration as shown
    from polyprefix.results.table import read_table
    from polyprefix.statistics.calibration import calibrations

    table = read_table(folders)
    if table.runs.empty:
        raise OutputError(f"{', '.join(map(str, folders))}: no finished runs; give the folder of one, or of several")
    found = calibrations(table, calibration)
    if as_json:
        click.echo(to_json(shown.as_dict(found)))
    elif as_csv:
        click.echo(found.to_pandas().to_csv(index=False, lineterminator="\n"), nl=False)
    else:
        from polyprefix.terminal import console

        shown.render(found, console())
