"""The command. It reads options, calls one function, and shows what came back; heavy libraries load when a command needs them.

Exit status: 0 done, 2 a mistake in what was asked (one line), 1 anything else, 130 interrupted.
"""

from __future__ import annotations

import os
import sys
from typing import Any

import click

from polyprefix.commands.completion import completion
from polyprefix.commands.convert import export, import_
from polyprefix.commands.hub import card, push
from polyprefix.commands.lighteval import lighteval
from polyprefix.commands.lm_eval import lm_eval
from polyprefix.commands.look import doctor, list_
from polyprefix.commands.predict import predict
from polyprefix.commands.results import compare, report
from polyprefix.commands.run import evaluate, quickstart, run
from polyprefix.commands.runs import diff
from polyprefix.commands.tasks import check, new_task
from polyprefix.errors import ConfigError, UserError, nearest
from polyprefix.report.trust_commands import calibrate, verdict
from polyprefix.serving.command import serve
from polyprefix.sources.command import sources
from polyprefix.study.commands import study
from polyprefix.terminal import protect_streams


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


for one in (
    quickstart, run, evaluate, predict, compare, report, study, export, import_, list_, doctor, serve, sources, calibrate, verdict,
    new_task, check, diff, card, push, completion, lm_eval, lighteval,
):  # fmt: skip
    command.add_command(one)


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
