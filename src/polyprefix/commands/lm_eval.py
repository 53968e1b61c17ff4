"""`polyprefix lm-eval`: lm-evaluation-harness with our model class known to it."""

from __future__ import annotations

import sys

import click

from polyprefix.extras import require


@click.command(
    "lm-eval", context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False
)
@click.argument("words", nargs=-1, type=click.UNPROCESSED, metavar="[ARGUMENT OF lm-eval]...")
def lm_eval(words: tuple[str, ...]) -> None:
    """Run lm-evaluation-harness with --model polyprefix known to it; all arguments are its own.

    Such as: polyprefix lm-eval run --model polyprefix --model_args adapter=runs/RUN_ID --tasks belebele_swh_Latn --log_samples
    --output_path out
    """
    require("lm_eval", "lm-eval", "polyprefix lm-eval")
    from lm_eval.__main__ import cli_evaluate

    from polyprefix.integrations import lm_eval_model  # noqa: F401  which registers it

    before, sys.argv = sys.argv, ["lm-eval", *words]
    try:
        cli_evaluate()
    finally:
        sys.argv = before
