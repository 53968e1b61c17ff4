"""The command `sources`: which language to train in."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from polyprefix.errors import ConfigError
from polyprefix.report.command import Forms, in_forms

SHOWN = 8
"""Candidates of a target that the terminal shows."""


@click.command()
@click.option("--task", required=True, help="A name from `polyprefix list tasks`, or a task file.")
@click.option(
    "--targets", required=True, metavar="A,B", help="Languages that the adapter is for, as people write them."
)
@click.option(
    "--candidates",
    metavar="A,B|all",
    help="Languages to choose from.  [default: those that transfer was measured from, as far as the task has training data in them]",
)
@click.option("--model", metavar="M", help="The model at hand: its tokenizer counts, and its scores in --results.")
@click.option(
    "--results",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="Finished runs: scores of the base model, and transfer matrices to fit on.",
)
@click.option("--own", is_flag=True, help="Rank a target among its own candidates too.")
@click.option(
    "--top", type=click.IntRange(1), default=SHOWN, show_default=True, metavar="N", help="Candidates to show."
)
@click.option("--hub", type=click.Path(path_type=Path), metavar="DIR", help="A local mirror of the Hub.")
@in_forms("target and candidate")
def sources(
    task: str,
    targets: str,
    candidates: str | None,
    model: str | None,
    results: Path | None,
    own: bool,
    top: int,
    hub: Path | None,
) -> Forms:
    """Rank languages to train in for each target, before anything is trained, and say whether to follow the ranking."""
    from polyprefix.settings import listed_names

    wanted = listed_names(targets)
    if not wanted:
        raise ConfigError("--targets: none; give at least one language, such as quy")
    from polyprefix.sources import show
    from polyprefix.sources.ranking import rank_sources

    asked = candidates if candidates in (None, "all") else listed_names(candidates)
    found = rank_sources(task, wanted, asked, model=model, results=results, hub=hub, own=own)
    return Forms(partial(show.plain, found), found.to_pandas, partial(show.render, found, top))
