"""What commands that show figures share: the options of reports and what is written, and the forms in which figures are printed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import click

from polyprefix.errors import ConfigError
from polyprefix.serialize import to_json

Command = TypeVar("Command", bound=Callable[..., Any])
FIGURES = ("svg", "png", "pdf")
FORMATS = ("html", "md", "csv", "tex", *FIGURES)


def report_options(command: Command) -> Command:
    """Add `--format`, `--width`, `--baseline`, `--across-shots` and `--no-texts`."""
    for option in (
        click.option(
            "--width", metavar="POINTS", type=click.FloatRange(100, 2000),
            help="Of figures (svg, png, pdf): 219 is a column of an ACL paper, 455 its page.  [default: as on the page]",
        ),
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


class Forms(NamedTuple):
    """What a command found, in each form that it can be printed in; none is made before it is asked for."""

    plain: Callable[[], Any]
    """Dictionaries, lists, strings and numbers."""
    frame: Callable[[], Any]
    """A data frame."""
    render: Callable[[Any], None]
    """Prints it on a console."""


def in_forms(row: str) -> Callable[[Callable[..., Forms]], Callable[..., None]]:
    """Add `--json` and `--csv` to a command that gives `Forms`, and print the one that is asked for; by default tables.

    Args:
        row: what a line of the CSV is, for the help.
    """

    def with_options(command: Callable[..., Forms]) -> Callable[..., None]:
        @click.option("--json", "as_json", is_flag=True, help="Print JSON.")
        @click.option("--csv", "as_csv", is_flag=True, help=f"Print one line a {row}, as CSV.")
        @wraps(command)
        def printing(as_json: bool, as_csv: bool, **given: Any) -> None:
            if as_json and as_csv:
                raise ConfigError("--json and --csv: both were given; choose one")
            found = command(**given)
            if as_json:
                click.echo(to_json(found.plain()))
            elif as_csv:
                click.echo(found.frame().to_csv(index=False, lineterminator="\n"), nl=False)
            else:
                from polyprefix.terminal import console

                found.render(console())

        return printing

    return with_options


def default_name(form: str) -> str:
    """Of the page, or of the folder of other files."""
    return "report.html" if form == "html" else "report"


def write_report(
    folders: Sequence[Path], form: str, out: Path, *, texts: bool, width: float | None, **options: Any
) -> None:
    """Write the report of the runs in some folders, and print its finding and averages.

    Args:
        folders: of runs, or of folders of runs.
        form: one of `FORMATS`.
        out: the page, or the folder of other files.
        texts: whether examples show texts of the benchmark.
        width: of figures, in points; None means as on the page.
        options: as `grid_of`.

    Raises:
        OutputError: if there is no run that can be read, or a file cannot be written.
        ConfigError: if no run has the baseline, or a width is given for what is no figure.
    """
    if width is not None and form not in FIGURES:
        raise ConfigError(f"--width {width:g}: is of figures; ask for --format {', '.join(FIGURES)}")
    from polyprefix.report.grid import read_grid

    grid = read_grid(folders, **options)
    if form == "html":
        from polyprefix.report.page import write_page

        write_page(grid, out, texts=texts)
        click.echo(f"wrote {out}")
    else:
        from polyprefix.report.paper import write_paper

        click.echo(f"wrote {len(write_paper(grid, form, out, width=width))} files into {out}")
    _show(grid)


def show_figures(folders: Sequence[Path], **options: Any) -> None:
    """Print what the report of these runs would print."""
    from polyprefix.report.grid import read_grid

    _show(read_grid(folders, **options))


def _show(grid: Any) -> None:
    from polyprefix.report.overview import show
    from polyprefix.terminal import console

    show(grid, console())
