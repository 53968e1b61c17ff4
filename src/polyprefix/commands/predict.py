"""`predict`: ask an adapter."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click

from polyprefix.errors import ConfigError


@click.command()
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
    from polyprefix.config import PredictConfig
    from polyprefix.settings import override, validate

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
