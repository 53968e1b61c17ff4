"""`polyprefix new-task` and `polyprefix check`: a task file from a table, and what a task asks."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from polyprefix.commands.completion import complete_models, complete_tasks
from polyprefix.errors import DataError
from polyprefix.serialize import to_json

if TYPE_CHECKING:
    from polyprefix.data.table import Table
    from polyprefix.tasks._check import TaskCheck
    from polyprefix.tasks._new_task import Proposal

PATH = click.Path(path_type=Path)
QUESTIONS = {
    "answer": "Which column holds the right answer?",
    "task_type": "What is the answer: classification, multiple-choice, span or generation?",
    "question": "Which columns make the question (with commas between them)?",
    "language": "Which column says the language, or which language are the rows in?",
}
"""Part of a proposal -> how a person is asked for it."""


@click.command("new-task")
@click.argument("file", type=PATH)
@click.option("--answer", metavar="COLUMN", help="The column of the right answer.")
@click.option("--type", "task_type", metavar="TYPE", help="classification, multiple-choice, span or generation.")
@click.option("--question", metavar="A,B", help="The columns that the prompt shows, in this order.")
@click.option("--language", metavar="COLUMN|L", help="The column of the language, or the language of all rows.")
@click.option(
    "--out", type=PATH, metavar="DIR", help="The folder to write.  [default: the name of FILE without its suffix]"
)
@click.option("--ask/--no-ask", default=None, help="Ask for what is not given.  [default: where a person can answer]")
def new_task(file: Path, out: Path | None, ask: bool | None, **given: str | None) -> None:
    """Make a task of the rows in FILE (CSV, JSONL or Parquet): four questions, and a folder with task.yaml and its data.

    Every question has a guess, taken from the names and values of the columns, which Enter accepts. A column named 'split' divides the
    rows; otherwise half of the items train and half test, the same items in every language.
    """
    from polyprefix.data.files import read_table
    from polyprefix.data.validation_errors import ValidationErrors
    from polyprefix.tasks._new_task import propose, write_task

    errors = ValidationErrors()
    table = read_table(file, errors)
    errors.check(DataError)
    known = {key: value for key, value in given.items() if value}
    proposal = propose(table, **known)
    if sys.stdin.isatty() if ask is None else ask:
        for key, text in QUESTIONS.items():
            if key not in known:
                known[key] = click.prompt(text, default=_shown(getattr(proposal, key)), err=True)
                proposal = propose(table, **known)
    written = write_task(table, proposal, out or Path(file.stem))
    click.echo("\n".join(_said(table, proposal, written)))


def _said(table: Table, proposal: Proposal, written: Path) -> list[str]:
    from polyprefix.tasks import registry
    from polyprefix.tasks.base import ENGLISH

    folder = written.parent
    task = registry.get(str(folder))
    sources = task.train_languages()
    source = "" if ENGLISH in sources else f" --source-languages {sources[0]}" if sources else " --method none"
    parts = [f"question {', '.join(proposal.question)}", f"answer {proposal.answer} ({proposal.task_type})"]
    parts += [f"{what} {value}" for what, value in (("id", proposal.id), ("split", proposal.split)) if value]
    return [
        f"wrote   {written}: {', '.join([*parts, f'language {proposal.language}'])}; {len(table.rows):,} rows",
        f"look    polyprefix check {folder}",
        f"run     polyprefix run --task {folder} --model gemma-3-270m{source}",
    ]


def _shown(value: Any) -> str:
    return ",".join(value) if isinstance(value, tuple) else str(value)


@click.command()
@click.argument("task", shell_complete=complete_tasks)
@click.option(
    "--model",
    shell_complete=complete_models,
    help="Show the tokens of labels and the lengths of prompts for its tokenizer.",
)
@click.option("--languages", metavar="A,B", help="Only these test languages.")
@click.option(
    "--protocol",
    metavar="NAME",
    default="default",
    help="Prompts and scoring: default, or lm-eval for those of that tool.",
)
@click.option("--hub", type=PATH, metavar="DIR", help="A local mirror of the Hub.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def check(task: str, model: str | None, languages: str | None, protocol: str, hub: Path | None, as_json: bool) -> None:
    """Read all of TASK (a name, or a task file): its counts, three prompts as a model reads them, and what is wrong; loads no model."""
    from polyprefix.data.hub import hub_from_environment
    from polyprefix.models.locate import check_name
    from polyprefix.settings import listed_names
    from polyprefix.tasks import registry
    from polyprefix.tasks._check import check_task, with_tokens
    from polyprefix.tasks.base import Source

    if model is not None:
        check_name(model)
    found, source = registry.get(task, protocol), Source(hub_from_environment(hub))
    checked = check_task(found, source, listed_names(languages) if languages else None)
    if model is not None:
        from polyprefix.models.load import load_tokenizer

        checked = with_tokens(checked, found, source, load_tokenizer(model))
    if as_json:
        click.echo(to_json(asdict(checked), indent=1))
    else:
        show_check(checked)


def show_check(found: TaskCheck) -> None:
    """Counts as a table, then prompts, tokens and notes."""
    from polyprefix import listing
    from polyprefix.languages import get
    from polyprefix.report.format import percent
    from polyprefix.terminal import console as safe_console

    console = safe_console(markup=False, highlight=False)
    console.print(f"{found.task}: {found.title}", style="bold")
    console.print(
        f"source {found.source}; licence {found.licence}; metrics {', '.join(found.metrics)}; chance {percent(found.chance)}%\n",
        soft_wrap=True,
    )
    splits = ("train", "validation", "test")
    listing.show([
        {"language": get(code).name, "code": code, **{split: counts.get(split) for split in splits}}
        | ({"longest prompt, tokens": found.longest.get(code)} if found.longest else {})
        for code, counts in found.counts.items()
    ])  # fmt: skip
    for split, counts in found.answers.items():
        console.print(f"{split}: {', '.join(f'{label} {count:,}' for label, count in counts.items())}")
    for prompt in found.prompts:
        console.print(f"\n{get(prompt.language).name}, {prompt.example_id}", style="bold")
        console.print(prompt.text, soft_wrap=True, end="")
        console.print(prompt.target, style="green", soft_wrap=True)
        if prompt.choices:
            console.print(f"ranked: {' |'.join(prompt.choices)}", soft_wrap=True)
    if found.tokens:
        console.print("\ntokens of the labels", style="bold")
    for choice, tokens in found.tokens.items():
        console.print(f"{choice}: {len(tokens)} ({' '.join(tokens)})", soft_wrap=True)
    if found.missing:
        console.print(f"\nno data here: {', '.join(found.missing)}", soft_wrap=True)
    for note in found.notes:
        console.print(f"note: {note}", soft_wrap=True)
