"""The command. It reads options, calls one function, and shows what came back; heavy libraries load when a command needs them.

Exit status: 0 done, 2 a mistake in what was asked (one line), 1 anything else, 130 interrupted.
"""

from __future__ import annotations

import logging
import os
import shutil
import sys
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import click

from polyprefix.commands.completion import complete_methods, complete_models, complete_tasks, completion
from polyprefix.commands.hub import card, push
from polyprefix.commands.lighteval import lighteval
from polyprefix.commands.lm_eval import lm_eval
from polyprefix.commands.runs import diff, show_plan_of_run
from polyprefix.commands.settings_help import CommandWithSettings
from polyprefix.commands.tasks import check, new_task
from polyprefix.errors import ConfigError, UserError, nearest
from polyprefix.interruption import loading
from polyprefix.report.command import Forms, default_name, in_forms, report_options, write_report
from polyprefix.report.trust_commands import calibrate, verdict
from polyprefix.serialize import to_json
from polyprefix.serving.command import serve
from polyprefix.sources.command import sources
from polyprefix.study.commands import study
from polyprefix.terminal import protect_streams

if TYPE_CHECKING:
    from polyprefix.config import RunConfig

QUICKSTART: dict[str, Any] = {"model": "gemma-3-270m", "task": "terms", "method": "prefix", "eval_size": 60}
"""What the first command runs: the embedded model and task, 20 test items of each class."""
QUICKSTART_LEVELS = ("medium", "high")
"""In the languages with that much data in the world: a model of 270M parameters hardly reads the others (README.md says how hardly)."""


IMPORTED = {"lm-eval": "lm_eval_files", "lighteval": "lighteval_files", "inspect": "inspect_files"}
"""Format of runs -> the module of `integrations` that reads them."""


class Commands(click.Group):
    """Names the nearest command when one is mistyped."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """Find the command, or say which was probably meant."""
        known = (
            ctx.resilient_parsing or not args or self.get_command(ctx, args[0]) is not None
        )  # a shell completes what is not there yet
        if not known and not args[0].startswith("-"):
            raise ConfigError(f"command '{args[0]}': no such command, {nearest(args[0], self.list_commands(ctx))}")
        return super().resolve_command(ctx, args)


@click.group(
    cls=Commands,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
)
@click.version_option(package_name="polyprefix", prog_name="polyprefix")
@click.pass_context
def command(context: click.Context) -> None:
    """Adapt a language model with English data, and see what carries over to other languages."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


for other in (
    study,
    calibrate,
    verdict,
    sources,
    serve,
    new_task,
    check,
    diff,
    completion,
    lm_eval,
    lighteval,
    card,
    push,
):
    command.add_command(other)


def shared_options(function: Any) -> Any:
    """Options of every command that evaluates."""
    options = (
        click.option("--languages", metavar="A,B|all", help="Test languages as people write them: sw, swh_Latn, Swahili."),
        click.option("--eval-size", type=int, metavar="N", help="Test examples per language."),
        click.option("--eval-ids", metavar="same|disjoint", help="The same test ids in every language, or disjoint subsets."),
        click.option("--shots", type=int, metavar="K", help="Few-shot examples in front of each question."),
        click.option("--shot-language", metavar="L|target", help="Their language: English, that of each question, or another."),
        click.option("--protocol", metavar="NAME", help="Prompts and scoring: default, or lm-eval for those of that tool."),
        click.option("--seed", type=int, metavar="S", help="Seed of samples, order and initial values."),
        click.option("--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="Any other setting."),
        click.option("--hub", type=click.Path(path_type=Path), metavar="DIR", help="A local mirror of the Hub."),
        click.option("--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of all runs."),
        click.option("--json", "as_json", is_flag=True, help="Print the summary as JSON."),
        click.option("--verbose", is_flag=True, help="Print every language, group, note and cost, not one screen of them."),
        click.option("--allow-pickle", is_flag=True, help="Also read pickled weights (.bin), a form that can run code."),
    )  # fmt: skip
    for option in reversed(options):
        function = option(function)
    return function


@command.command()
@click.option(
    "--out", type=click.Path(path_type=Path), default=Path("runs"), show_default=True, help="Folder of all runs."
)
@click.option("--verbose", is_flag=True, help="Print every language, group, note and cost, not one screen of them.")
def quickstart(out: Path, verbose: bool) -> None:
    """Run the embedded model on the embedded task, in the languages that it reads; needs no network."""
    from polyprefix.languages import get
    from polyprefix.tasks.terms import languages_with

    enough = languages_with(QUICKSTART["eval_size"])
    languages = [code for code in enough if get(code).resource_level in QUICKSTART_LEVELS]
    _run({**QUICKSTART, "languages": languages}, hub=None, out=out, as_json=False, verbose=verbose)


@command.command(cls=CommandWithSettings)
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
    from polyprefix.config import override, read_yaml

    assignments += ("runtime.allow_pickle=true",) if allow_pickle else ()

    given = {key: value for key, value in flags.items() if value is not None}
    for settings in [read_yaml(path) for path in configs] or [{}]:
        settings = override({**settings, **given}, assignments)
        if dry_run:
            show_plan_of_run(checked(settings, hub), hub=hub, out=out, as_json=as_json, base=base)
        else:
            _run(settings, hub=hub, out=out, as_json=as_json, verbose=verbose, base=base, track=track)


@command.command()
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
    from polyprefix.config import override
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


@command.command()
@click.argument("adapter", type=click.Path(path_type=Path))
@click.option(
    "--text", "texts", multiple=True, metavar="TEXT", help="A question to a task with one input; may be repeated."
)
@click.option(
    "--input", "inputs", multiple=True, metavar="NAME=TEXT", help="One input of a question to a task with several."
)
@click.option(
    "--file", type=click.Path(path_type=Path), help="Questions: JSONL, CSV or Parquet, a column for each input."
)
@click.option("--task", help="A name or a task file; by default what ADAPTER was trained on.")
@click.option("--model", help="The base model, where it is not found under the name that it was trained with.")
@click.option("--language", default="en", show_default=True, help="Of the questions, as people write it.")
@click.option(
    "--calibration",
    type=click.Choice(["none", "batch", "prior"]),
    default="none",
    show_default=True,
    help="Divide a prior out of the probabilities: that of these questions, or the one that the run kept.",
)
@click.option("--set", "assignments", multiple=True, metavar="SECTION.KEY=VALUE", help="A setting of eval or runtime.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    help="The file to write: JSONL, CSV or Parquet, by its name; by default JSONL to standard output.",
)
@click.option("--allow-pickle", is_flag=True, help="Also read pickled weights (.bin), a form that can run code.")
def predict(
    adapter: Path,
    texts: tuple[str, ...],
    inputs: tuple[str, ...],
    file: Path | None,
    assignments: tuple[str, ...],
    out: Path | None,
    allow_pickle: bool,
    **flags: Any,
) -> None:
    """Ask a saved ADAPTER (its folder, or that of its run).

    With --file and --out the file may be larger than memory, and an interrupted command goes on where it was.
    """
    from polyprefix.config import PredictConfig, override, validate

    pickled = ("runtime.allow_pickle=true",) if allow_pickle else ()
    settings = validate(PredictConfig, override({}, (*assignments, *pickled)), "predict")
    if sum(map(bool, (texts, inputs, file))) != 1:
        raise ConfigError("predict: give questions with one of --text, --input and --file")
    named = dict(pair.partition("=")[::2] for pair in inputs)
    if not all("=" in pair for pair in inputs) or len(named) != len(inputs):
        raise ConfigError(f"--input {' '.join(inputs)}: expected NAME=TEXT, each name once")

    from polyprefix.data.write import check_output
    from polyprefix.prediction import Predictor
    from polyprefix.progress import Terminal

    if out is not None:
        check_output(out)
    ask = Predictor(adapter, settings=settings, reporter=Terminal(), task=flags["task"], model=flags["model"])
    asked = {"language": flags["language"], "calibration": flags["calibration"]}
    questions = file or (list(texts) if texts else [named])
    from polyprefix.prediction.file import as_file, predict_file

    with as_file(ask, questions) as path, TemporaryDirectory() as folder:
        rows = predict_file(ask, path, out or Path(folder) / "answers.jsonl", **asked)
        if out is None:
            with (Path(folder) / "answers.jsonl").open(encoding="utf-8") as answers:
                shutil.copyfileobj(answers, sys.stdout)
        else:
            click.echo(f"wrote {out}: {rows} rows")


@command.command()
@click.argument("adapters", metavar="ADAPTER...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    required=True,
    help="transformers, kv-cache, peft, prompt-embeds for vLLM, or polyprefix; of runs csv, parquet or sqlite.",
)
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The folder to write; of runs, the file.")
@click.option("--model", help="The base model, where it is not found under the name that it was trained with.")
def export(adapters: tuple[Path, ...], form: str, out: Path, model: str | None) -> None:
    """Write a saved ADAPTER in another tool's format; the prefixes of several are joined to one. Of folders of runs, write the long table."""
    from polyprefix.adapters.formats import check_format, export_adapter
    from polyprefix.adapters.saved import find_adapter, read_settings
    from polyprefix.results.export import TABLE_FORMATS, export_table

    if form in TABLE_FORMATS:
        from polyprefix.results.table import read_table

        click.echo(f"wrote {export_table(read_table(adapters), form, out)}")
        return
    dtype = "float32" if check_format(form).float32 else "auto"
    folders = [find_adapter(adapter) for adapter in adapters]
    trained_on = [read_settings(folder)["base"]["name"] for folder in folders]
    name = model or trained_on[0]
    with loading():
        from polyprefix.adapters.adapted import attach
        from polyprefix.adapters.files import load_adapter
        from polyprefix.models.load import load_model
        from polyprefix.models.locate import check_name

    check_name(name)
    base = load_model(name, dtype=dtype)
    parts = [load_adapter(base, folder) for folder in folders]
    click.echo(f"wrote {export_adapter(attach(base, parts) if len(parts) > 1 else parts[0], form, out)}")


@command.command(name="import")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "form",
    default="peft",
    show_default=True,
    help="peft; or lm-eval, lighteval or inspect for runs of these tools.",
)
@click.option("--model", help="The base model of the adapter; of runs, what to call the model.")
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    required=True,
    help="The folder to write; of runs, the folder of all runs.",
)
@click.option("--allow-pickle", is_flag=True, help="Also read pickled tensors (.bin), a form that can run code.")
@click.option(
    "--method", metavar="NAME", help="Of runs: what `compare` compares.  [default: the adapter's name, or none]"
)
@click.option("--metric", metavar="M", help="Of runs: the main metric.  [default: each task's first]")
@click.option("--filter", metavar="F", help="Of runs: the harness's filter of answers.  [default: each task's first]")
@click.option("--parallel", is_flag=True, help="Of runs: a document's number means the same item in every language.")
def import_(folder: Path, form: str, model: str | None, out: Path, allow_pickle: bool, **of_runs: Any) -> None:
    """Read an adapter that another tool saved in FOLDER, or runs of lm-evaluation-harness (--log_samples),
    lighteval (--save-details) or inspect."""
    from polyprefix.adapters.formats import check_format, import_adapter
    from polyprefix.models.locate import check_name

    if not folder.exists():
        raise ConfigError(f"{folder}: no such folder; give one that holds an adapter, or runs")
    if form in IMPORTED:
        from importlib import import_module

        from polyprefix.integrations.imported import Chosen

        reader = import_module(f"polyprefix.integrations.{IMPORTED[form]}")
        for written in reader.import_runs(folder, out, Chosen(model=model, **of_runs)):
            click.echo(f"wrote {written}")
        return
    check_format(form, to_read=True)
    if given := [key for key, value in of_runs.items() if value]:
        raise ConfigError(f"--{given[0]}: belongs to runs of {', '.join(IMPORTED)}; leave it out")
    if model is None:
        raise ConfigError("--model: missing; name the base model of the adapter")
    check_name(model)
    with loading():
        from polyprefix.adapters.files import save_adapter
        from polyprefix.models.load import load_model

    base = load_model(model, allow_pickle=allow_pickle)
    click.echo(f"wrote {save_adapter(import_adapter(base, form, folder, allow_pickle=allow_pickle), out)}")


@command.command(name="list")
@click.argument("what", type=click.Choice(["tasks", "methods", "models", "languages", "schema"]))
@click.option("--name", help="Languages with this in a name or code, of every language that ISO 639-3 has.")
@click.option("--script", help="Languages in this script, such as Deva.")
@click.option("--family", help="Languages of this family, such as Indo-European.")
@click.option("--area", help="Languages of this macro-area, such as Papunesia.")
@click.option("--all", "every", is_flag=True, help="Every language, not only those that benchmarks use.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def list_(what: str, as_json: bool, **asked: Any) -> None:
    """Show tasks, methods, models or languages, or print the JSON schema of result.json."""
    from polyprefix import listing

    if what != "languages" and (given := [key for key, value in asked.items() if value]):
        raise ConfigError(
            f"--{given[0].replace('every', 'all')}: chooses languages; ask for `polyprefix list languages`"
        )
    if what == "schema":
        from polyprefix.results.schema import result_schema

        click.echo(to_json(result_schema(), indent=1))
        return
    rows = listing.languages(**asked) if what == "languages" else getattr(listing, what)()
    if as_json:
        click.echo(to_json(rows, indent=1))
    else:
        listing.show(rows)


@command.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(as_json: bool) -> None:
    """Say what this machine can run, and what is missing."""
    from dataclasses import asdict

    from polyprefix import listing
    from polyprefix.doctor import examine

    rows = [asdict(check) for check in examine()]
    if as_json:
        click.echo(to_json(rows, indent=1))
    else:
        listing.show(rows)


@command.command()
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


@command.command()
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


def checked(settings: dict[str, Any], hub: Path | None) -> RunConfig:
    """The configuration of a run, with all that can be said against it without loading libraries.

    Raises:
        UserError: an unknown or impossible setting, or a task, language, method, model or folder that is not there.
    """
    from polyprefix.adapters import registry as methods
    from polyprefix.config import RunConfig, validate
    from polyprefix.data.hub import hub_from_environment
    from polyprefix.models.locate import check_name
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
    methods.check_settings(config.method)
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


def main() -> None:
    """Run the command and end with its exit status."""
    with protect_streams():
        status = _main()
    sys.exit(status if isinstance(status, int) else 0)


def _main() -> Any:
    try:
        status = command.main(prog_name="polyprefix", standalone_mode=False)
        sys.stdout.flush()
    except (UserError, click.ClickException) as error:
        _say(error.format_message() if isinstance(error, click.ClickException) else str(error))
        status = 2
    except (KeyboardInterrupt, click.Abort):
        _say("interrupted; no partial result was written; run the same command to resume")
        status = 130
    except BrokenPipeError:  # the reader of our output went away
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        status = 0
    except (
        OSError
    ) as error:  # a place that cannot be reached: no right to read, a name that is too long, a loop of links
        if error.filename is None:
            raise
        _say(f"{error.filename}: {error.strerror}; choose another place, or correct this one")
        status = 2
    return status


def _say(message: str) -> None:
    click.echo("polyprefix: " + " ".join(message.split()), err=True)
