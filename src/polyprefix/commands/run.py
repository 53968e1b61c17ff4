"""`quickstart`, `run` and `evaluate`: train, test, show."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyprefix.commands.completion import complete_methods, complete_models, complete_tasks
from polyprefix.commands.runs import show_plan_of_run
from polyprefix.commands.settings_help import CommandWithSettings
from polyprefix.interruption import loading
from polyprefix.serialize import to_json

if TYPE_CHECKING:
    from polyprefix.config import RunConfig

QUICKSTART: dict[str, Any] = {"model": "gemma-3-270m", "task": "terms", "method": "prefix", "eval_size": 60}
"""What the first command runs: the embedded model and task, 20 test items of each class."""
QUICKSTART_LEVELS = ("medium", "high")
"""In the languages with that much data in the world: a model of 270M parameters hardly reads the others (README.md says how hardly)."""


VERBOSE = click.option(
    "--verbose", is_flag=True, help="Print every language, group, note and cost, not one screen of them."
)


def shared_options(function: Any) -> Any:
    """Options of every command that evaluates."""
    options = (
        click.option("--languages", metavar="A,B|all", help="Test languages as people write them: sw, swh_Latn, Swahili."),
        click.option("--eval-size", type=int, metavar="N", help="Test examples per language."),
        click.option("--eval-ids", metavar="same|disjoint", help="The same test ids in every language, or disjoint subsets."),
        click.option("--eval-until", metavar="POINTS", help="Ask a language until its 95% interval is ±POINTS or narrower."),
        click.option("--shots", type=int, metavar="K", help="Few-shot examples in front of each question."),
        click.option("--shot-language", metavar="L|target", help="Their language: English, that of each question, or another."),
        click.option("--protocol", metavar="NAME", help="Prompts and scoring: default, or lm-eval for those of that tool."),
        click.option("--seed", type=int, metavar="S", help="Seed of samples, order and initial values."),
        click.option("--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="Any other setting."),
        click.option("--hub", type=click.Path(path_type=Path), metavar="DIR", help="A local mirror of the Hub."),
        click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of all runs."),
        click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON."),
        VERBOSE,
        click.option("--allow-pickle", is_flag=True, help="Also read pickled weights (.bin), a form that can run code."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@click.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of all runs."
)
@VERBOSE
def quickstart(out: Path, verbose: bool) -> None:
    """Run the embedded model on the embedded task, in the languages that it reads; needs no network."""
    from polyprefix.languages import get
    from polyprefix.tasks.terms import languages_with

    enough = languages_with(QUICKSTART["eval_size"])
    languages = [code for code in enough if get(code).resource_level in QUICKSTART_LEVELS]
    _run({**QUICKSTART, "languages": languages}, hub=None, out=out, as_json=False, verbose=verbose)


@click.command(cls=CommandWithSettings)
@click.argument("configs", nargs=-1, type=click.Path(path_type=Path), metavar="[CONFIG.yaml]...")
@click.option("--model", shell_complete=complete_models, help="An embedded model, a folder, a GGUF file, or a Hub id.")
@click.option("--task", shell_complete=complete_tasks, help="A name from `polyprefix list tasks`, or a task file.")
@click.option("--method", shell_complete=complete_methods, help="A name from `polyprefix list methods`.")
@click.option("--train-size", type=int, metavar="N", help="Training examples, over all source languages.")
@click.option("--source-languages", metavar="A,B", help="Languages to train in.  [default: en]")
@click.option("--source-sampling", metavar="size|equal|temperature", help="Their shares of the training examples.")
@click.option("--target-languages", metavar="A,B", help="Languages with a few training examples beside them.")
@click.option("--target-size", type=int, metavar="N", help="How many, in each target language.")
@click.option(
    "--base/--no-base", default=True, show_default=True, help="Evaluate the base model beside the adapted one."
)
@click.option(
    "--dry-run", is_flag=True, help="Show steps, validations, time and memory; nothing is trained or written."
)
@click.option("--track", metavar="SERVICE", help="Send the finished run, with its report, to trackio, wandb or mlflow.")
@shared_options
def run(
    configs: tuple[Path, ...],
    hub: Path | None,
    out: Path,
    as_json: bool,
    verbose: bool,
    base: bool,
    dry_run: bool,
    track: str | None,
    assignments: tuple[str, ...],
    allow_pickle: bool,
    **flags: Any,
) -> None:
    """Train in English or other languages, evaluate in every language."""
    from polyprefix.settings import override, read_yaml

    assignments += ("runtime.allow_pickle=true",) if allow_pickle else ()

    given = {key: value for key, value in flags.items() if value is not None}
    for settings in [read_yaml(path) for path in configs] or [{}]:
        settings = override({**settings, **given}, assignments)
        if dry_run:
            show_plan_of_run(checked(settings, hub), hub=hub, out=out, as_json=as_json, base=base)
        else:
            _run(settings, hub=hub, out=out, as_json=as_json, verbose=verbose, base=base, track=track)


@click.command()
@click.argument("adapter", type=click.Path(path_type=Path))
@click.option("--task", required=True, help="A name from `polyprefix list tasks`, or a task file.")
@click.option("--model", help="The base model, where it is not found under the name that it was trained with.")
@shared_options
def evaluate(
    adapter: Path,
    task: str,
    model: str | None,
    hub: Path | None,
    out: Path,
    as_json: bool,
    verbose: bool,
    assignments: tuple[str, ...],
    allow_pickle: bool,
    **flags: Any,
) -> None:
    """Evaluate a saved ADAPTER (its folder, or that of its run) without training."""
    from polyprefix.adapters.saved import find_adapter, read_settings
    from polyprefix.settings import override
    from polyprefix.tasks._source_languages import languages_of_adapter

    folder = find_adapter(adapter)
    saved = read_settings(folder)
    assignments += ("runtime.allow_pickle=true",) if allow_pickle else ()
    given = {key: value for key, value in flags.items() if value is not None}
    settings = {
        "model": model or saved["base"]["name"],
        "task": task,
        "method": saved["method"],
        "adapter": str(folder),
        **languages_of_adapter(saved.get("task")),
        **given,
    }
    _run(override(settings, assignments), hub=hub, out=out, as_json=as_json, verbose=verbose)


def checked(settings: dict[str, Any], hub: Path | None) -> RunConfig:
    """The configuration of a run, with all that can be said against it without loading libraries.

    Raises:
        UserError: an unknown or impossible setting, or a task, language, method, model or folder that is not there.
    """
    from polyprefix.adapters import registry as methods
    from polyprefix.config import RunConfig
    from polyprefix.data.hub import hub_from_environment
    from polyprefix.models.locate import check_name
    from polyprefix.settings import validate
    from polyprefix.tasks import registry as tasks
    from polyprefix.tasks._custom import CustomTask
    from polyprefix.tasks._source_languages import trained_languages
    from polyprefix.text.prepare import check_files, choose_languages
    from polyprefix.text.shots import choose_shot_languages

    config = validate(RunConfig, settings, "run")
    task = tasks.get(config.task, config.protocol)  # what was mistyped is said before seconds of loading
    if isinstance(task, CustomTask):
        task.hub = hub
    if config.adapter is None:
        trained_languages(config, task)
    languages = choose_languages(task, config)
    choose_shot_languages(task, languages, config)
    methods.build(config.method)
    check_name(config.model)
    hub_from_environment(hub)
    check_files(task, config, languages)
    return config


def _run(
    settings: dict[str, Any],
    *,
    hub: Path | None,
    out: Path,
    as_json: bool,
    verbose: bool,
    base: bool = True,
    track: str | None = None,
) -> None:
    config = checked(settings, hub)
    send = None
    if track:
        from polyprefix.integrations.tracking import tracker

        send = tracker(track)
    logging.basicConfig(format="%(message)s", stream=sys.stderr)
    logging.getLogger("polyprefix").setLevel(logging.INFO)
    click.echo(f"{config.task}, {config.method['name']}, {config.model}: loading libraries", err=True)

    with loading():
        from polyprefix import recipe
        from polyprefix.progress import Terminal
        from polyprefix.report.grid import read_grid
        from polyprefix.report.page import write_page
        from polyprefix.report.run import as_dict, render, view_of
        from polyprefix.report.summary import render_summary

    folders = recipe.run(config, hub=hub, out=out, reporter=Terminal(), beside_base=base)
    grid = read_grid(folders)
    write_page(grid, folders[0] / "report.html")
    shown = view_of(grid, folders[0].name)
    if as_json:
        click.echo(to_json(as_dict(shown)))
    else:
        from polyprefix.terminal import console

        if verbose:
            render(shown, console())
        else:
            render_summary(shown, console(), out)
        click.echo(f"result  {folders[0]}\nreport  {folders[0] / 'report.html'}")
    if send is not None:
        for folder in dict.fromkeys(folders):
            send(folder)
