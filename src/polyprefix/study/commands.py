"""`polyprefix study ...`: reads options, calls one function, shows what came back."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from polyprefix.report.command import default_name, report_options, show_figures, write_report
from polyprefix.serialize import to_json

if TYPE_CHECKING:
    from polyprefix.study.file import Study
    from polyprefix.study.grid import Cell
    from polyprefix.study.run import Outcomes

PATH = click.Path(path_type=Path)


def _checked(context: click.Context, parameter: click.Parameter, file: Path) -> Path:
    """The file, once it was read as a study: a mistake in it is said before anything heavy is imported."""
    from polyprefix.study.file import read_study

    read_study(file)
    return file


file_argument = click.argument("file", type=PATH, metavar="STUDY.yaml", callback=_checked)
out_option = click.option("--out", type=PATH, metavar="DIR", help="Folder of the results.  [default: runs/NAME]")
part_option = click.option(
    "--part", "parts", multiple=True, metavar="PART", help="Of the study; main is its own axes; may be repeated."
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.group()
def study() -> None:
    """Plan and run a grid of runs; interrupt it, resume it, distribute it over processes."""


@study.command()
@file_argument
@part_option
@out_option
@click.option(
    "--device", "name", default="here", show_default=True, help="here, rtx-4090, l4, a100-40, a100-80, h100 or h200."
)
@click.option("--power", is_flag=True, help="Say which differences the study can see, and which design sees more.")
@click.option("--variances", type=PATH, metavar="DIR", help="Finished runs whose variances --power takes.")
@json_option
def plan(
    file: Path, parts: tuple[str, ...], out: Path | None, name: str, power: bool, variances: Path | None, as_json: bool
) -> None:
    """Count what every cell of STUDY.yaml trains, needs and takes on a device; loads no weights, needs no network.

    Where cells are finished in the folder of results, estimates are checked against them. With --power: the difference
    that each contrast finds in 80% of studies, and the cheapest design that finds 2, 4 and 6 points; variances are those
    of --variances, else of the study's own finished runs, else of the project's.
    """
    from polyprefix.errors import ConfigError

    if variances is not None and not power:
        raise ConfigError("--variances: give --power with it")
    if power:
        _plan_power(file, parts, out, name, variances, as_json)
        return
    from polyprefix.study.devices import device, here
    from polyprefix.study.locks import Bookkeeping
    from polyprefix.study.plan import check
    from polyprefix.study.plan import plan as count
    from polyprefix.study.show import show_plan

    definition, cells = _read(file, parts)
    found = count(cells, device(name))
    books = Bookkeeping(_out(definition, out))
    checks = check(cells, books, here()) if books.out.is_dir() else []
    if as_json:
        click.echo(to_json({**asdict(found), "seconds": found.seconds, "checks": list(checks)}))
    else:
        show_plan(found, checks)


@study.command()
@file_argument
@part_option
@out_option
@click.option("--hub", type=PATH, metavar="DIR", help="A local mirror of the Hub.")
@click.option(
    "--checkpoint-every", type=float, default=60.0, show_default=True, metavar="SECONDS", help="While training."
)
@click.option("--workers", type=int, metavar="N", help="Cells at a time on this machine, by Ray.  [default: measured]")
@click.option("--ray", metavar="ADDRESS", help="A running Ray cluster: auto, ray://HOST:10001.")
@click.option(
    "--activations", "activation_gb", type=click.FloatRange(min=0), metavar="GB",
    help="Of hidden states that cells share on disk while they run, at most; 0 for none.  "
    "[default: a quarter of the free space]",
)  # fmt: skip
@click.option(
    "--track", metavar="SERVICE", help="Send finished cells, with their reports, to trackio, wandb or mlflow."
)
def run(
    file: Path,
    parts: tuple[str, ...],
    out: Path | None,
    hub: Path | None,
    checkpoint_every: float,
    workers: int | None,
    ray: str | None,
    activation_gb: float | None,
    track: str | None,
) -> int:
    """Run every cell of STUDY.yaml that has no result.

    Exit status 1 where a cell failed; the same command tries it again.
    """
    click.echo(f"{file}: loading libraries", err=True)
    definition, cells = _read(file, parts)
    out = _out(definition, out)
    send = _tracker(track, definition)
    most = None if activation_gb is None else int(activation_gb * 1e9)
    outcomes = _run(definition, cells, out, hub, checkpoint_every, most, workers, ray)
    click.echo(f"{len(outcomes.done)} run, {outcomes.found} there already, {len(outcomes.failed)} failed")
    if outcomes.undecided:
        click.echo(f"{outcomes.undecided} not run: the runs that choose their settings failed")
    for run_id, error in outcomes.failed.items():
        click.echo(f"failed  {run_id}: {error}")
    for run_id in outcomes.done:
        send(out / run_id)
    return 0 if outcomes.complete else 1


@study.command()
@file_argument
@part_option
@out_option
@json_option
def status(file: Path, parts: tuple[str, ...], out: Path | None, as_json: bool) -> None:
    """Show how far STUDY.yaml is, also while it runs elsewhere, and the figures that its report would have now."""
    from polyprefix.study.locks import Bookkeeping
    from polyprefix.study.show import show_status
    from polyprefix.study.status import status as look
    from polyprefix.study.table import results

    definition, cells = _read(file, parts)
    books = Bookkeeping(_out(definition, out))
    found = look(cells, books)
    if as_json:
        click.echo(to_json(found.as_dict()))
        return
    show_status(found)
    finished = results(cells, books)
    if finished.folders:
        click.echo()
        show_figures(
            finished.folders, unfinished=finished.unfinished, planned=True, names=finished.names, contrasts=definition.contrasts
        )  # fmt: skip


@study.command()
@file_argument
@part_option
@out_option
@report_options
@click.option(
    "--to", type=PATH, metavar="PATH", help="The page, or the folder of other files.  [default: in the folder]"
)
def report(
    file: Path,
    parts: tuple[str, ...],
    out: Path | None,
    to: Path | None,
    form: str,
    baseline: str | None,
    across_shots: bool,
    no_texts: bool,
    width: float | None,
) -> None:
    """Write the report of the finished cells of STUDY.yaml, which names the others.

    Prints what English validation says of each cell, then the finding and the averages of the report.
    """
    from polyprefix.study.locks import Bookkeeping
    from polyprefix.study.show import show_cells
    from polyprefix.study.table import results, validation_table

    definition, cells = _read(file, parts)
    books = Bookkeeping(_out(definition, out))
    show_cells(validation_table(cells, books))
    found = results(cells, books, across_shots=across_shots)
    to = to or books.out / default_name(form)
    write_report(
        found.folders, form, to, texts=not no_texts, width=width, baseline=baseline, across_shots=across_shots,
        unfinished=found.unfinished, planned=True, names=found.names, contrasts=definition.contrasts,
    )  # fmt: skip


@study.command()
@file_argument
@part_option
@out_option
@click.option("--to", type=PATH, required=True, metavar="DIR", help="Where to; kept runs there are replaced.")
@click.option("--texts", multiple=True, metavar="TASK", help="Keep the examples' texts of this task; may be repeated.")
def keep(file: Path, parts: tuple[str, ...], out: Path | None, to: Path, texts: tuple[str, ...]) -> None:
    """Copy the finished cells of STUDY.yaml without adapters and benchmark texts, so that they may be published.

    Reports, comparisons and study run take the copies for the runs themselves.
    """
    from polyprefix.errors import ConfigError, nearest
    from polyprefix.results.publish import keep as copy
    from polyprefix.study.locks import Bookkeeping
    from polyprefix.study.table import finished

    definition, cells = _read(file, parts)
    books = Bookkeeping(_out(definition, out))
    tasks = {config.run_id(): config.task for _, config in finished(cells, books)}
    known = sorted({cell.config.task for cell in cells})
    if unknown := set(texts) - set(known):
        raise ConfigError(f"--texts {min(unknown)}: no such task in this study, {nearest(min(unknown), known)}")
    copies = [copy(books.out / run_id, to, texts=task in texts) for run_id, task in tasks.items()]
    for cell in cells:
        books.copy_diverged(cell.config.run_id(), Bookkeeping(to))
    size = sum(path.stat().st_size for folder in copies for path in folder.iterdir())
    click.echo(f"{to}: {len(copies)} runs, {size / 1e6:.1f} MB")


def _plan_power(
    file: Path, parts: tuple[str, ...], out: Path | None, name: str, variances: Path | None, as_json: bool
) -> None:
    from polyprefix.study.devices import device
    from polyprefix.study.grid import MAIN
    from polyprefix.study.locks import Bookkeeping
    from polyprefix.study.plan_power import power_plan
    from polyprefix.study.show import show_power
    from polyprefix.study.table import results
    from polyprefix.study.variances import source

    definition, cells = _read(file, parts or ((MAIN,) if _has_main(file) else ()))
    books = Bookkeeping(_out(definition, out))
    finished = results(cells, books) if books.out.is_dir() else None
    found = source(variances, finished.folders if finished else (), finished.names if finished else {})
    plan = power_plan(cells, definition.contrasts, device(name), found)
    if as_json:
        click.echo(to_json(plan))
    else:
        show_power(plan)


def _has_main(file: Path) -> bool:
    from polyprefix.study.file import read_study

    return bool(read_study(file).axes)


def _tracker(name: str | None, definition: Study) -> Callable[[Path], None]:
    if name is None:
        return lambda folder: None
    from polyprefix.integrations.tracking import tracker

    return tracker(name, str(definition.name))


def _run(
    definition: Study,
    cells: tuple[Cell, ...],
    out: Path,
    hub: Path | None,
    checkpoint_seconds: float,
    activation_bytes: int | None,
    workers: int | None,
    ray: str | None,
) -> Outcomes:
    def tell(line: str) -> None:
        click.echo(line, err=True)

    if workers is None and ray is None:
        from polyprefix.study.throughput import choose_workers

        if chosen := choose_workers(cells, out):
            tell(chosen.line)
            workers = chosen.workers
    if ray is None and (workers is None or workers == 1):
        from polyprefix.progress import Terminal
        from polyprefix.study.run import run_study

        return run_study(
            cells, out, hub=hub, reporter=Terminal(), tell=tell, checkpoint_seconds=checkpoint_seconds,
            activation_bytes=activation_bytes,
        )  # fmt: skip
    from polyprefix.study.distribute import run_distributed
    from polyprefix.study.grid import needs

    return run_distributed(
        cells, out, needs=partial(needs, definition), hub=hub, tell=tell, checkpoint_seconds=checkpoint_seconds,
        activation_bytes=activation_bytes, workers=workers, address=ray,
    )  # fmt: skip


def _read(file: Path, parts: tuple[str, ...]) -> tuple[Study, tuple[Cell, ...]]:
    from polyprefix.study.file import read_study
    from polyprefix.study.grid import cells

    definition = read_study(file)
    return definition, cells(definition, str(file), parts)


def _out(definition: Study, out: Path | None) -> Path:
    return out or Path("runs") / str(definition.name)
