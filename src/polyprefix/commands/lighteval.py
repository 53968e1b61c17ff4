"""`polyprefix lighteval`: lighteval with our model class as its custom model."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from polyprefix.extras import require


@click.command(
    "lighteval", context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False
)
@click.argument("model")
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="TASKS [ARGUMENT OF lighteval custom]...")
def lighteval(model: str, words: tuple[str, ...]) -> None:
    """Run lighteval on MODEL: the folder of a run or an adapter, or a base model. All other arguments are its own.

    Such as: polyprefix lighteval runs/RUN_ID "belebele_swh_Latn_cf|0" --load-tasks-multilingual --save-details --output-dir out
    """
    require("lighteval", "lighteval", "polyprefix lighteval")
    from lighteval.__main__ import app

    file = Path(__file__).parents[1] / "integrations" / "lighteval_model.py"
    before, sys.argv = sys.argv, ["lighteval", "custom", model, str(file), *words]
    try:
        app()
    finally:
        sys.argv = before
