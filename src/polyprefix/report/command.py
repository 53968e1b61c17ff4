"""What `polyprefix report` and `polyprefix study report` share: their options, and what is written and shown."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

Command = TypeVar("Command", bound=Callable[..., Any])
FORMATS = ("html", "md", "csv", "tex", "svg", "png", "pdf")


def report_options(command: Command) -> Command:
    """Add `--format`, `--baseline`, `--across-shots` and `--no-texts`."""
    for option in (
        click.option(
            "--no-texts", is_flag=True, help="Leave out texts of the benchmarks, for a page that is published."
        ),
        click.option(
            "--across-shots", is_flag=True, help="Compare runs with different numbers of few-shot examples with each other."
        ),
        click.option(
            "--baseline", metavar="METHOD", help="What others are compared with.  [default: the base model]"
        ),
        click.option(
            "--format", "form", type=click.Choice(FORMATS), default="html", show_default=True,
            help="A page, tables, or figures.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def default_name(form: str) -> str:
    """Of the page, or of the folder of other files."""
    return "report.html" if form == "html" else "report"


def write_report(
    folders: Sequence[Path],
    form: str,
    out: Path,
    baseline: str | None,
    *,
    texts: bool,
    across_shots: bool = False,
    unfinished: Sequence[str] = (),
    planned: bool = False,
    names: Mapping[str, str] | None = None,
    contrasts: Sequence[tuple[str, str]] = (),
) -> None:
    """Write the report of many runs, and print its finding and averages.

    Args:
        folders: of runs, or of folders of runs.
        form: one of `FORMATS`.
        out: the page, or the folder of other files.
        baseline, across_shots, unfinished, planned, names, contrasts: as `grid_of`.
        texts: whether examples show texts of the benchmark.

    Raises:
        OutputError: if there is no run that can be read, or a file cannot be written.
        ConfigError: if no run has the baseline.
    """
    from polyprefix.report.grid import read_grid

    grid = read_grid(
        folders, baseline, unfinished=unfinished, planned=planned, names=names, across_shots=across_shots, contrasts=contrasts
    )  # fmt: skip
    if form == "html":
        from polyprefix.report.page import write_page

        write_page(grid, out, texts=texts)
        click.echo(f"wrote {out}")
    else:
        from polyprefix.report.paper import write_paper

        click.echo(f"wrote {len(write_paper(grid, form, out))} files into {out}")
    _show(grid)


def show_figures(
    folders: Sequence[Path],
    unfinished: Sequence[str],
    names: Mapping[str, str],
    contrasts: Sequence[tuple[str, str]] = (),
) -> None:
    """Print what the report of these runs would print."""
    from polyprefix.report.grid import read_grid

    _show(read_grid(folders, unfinished=unfinished, planned=True, names=names, contrasts=contrasts))


def _show(grid: Any) -> None:
    from polyprefix.report.overview import show
    from polyprefix.terminal import console

    show(grid, console())
