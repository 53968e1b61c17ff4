"""`polyprefix completion`, and what a shell may complete: names are listed, no library is loaded for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Literal, cast

import click
from click.shell_completion import CompletionItem, get_completion_class

from polyprefix.errors import ConfigError

VARIABLE = "_POLYPREFIX_COMPLETE"
"""Set by the shell while it asks."""
WHERE = {
    "bash": "~/.local/share/bash-completion/completions/polyprefix",
    "zsh": "~/.zfunc/_polyprefix",
    "fish": "~/.config/fish/completions/polyprefix.fish",
}
"""Shell -> a file that it reads for the completion of this command."""
Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def complete_names(names: Callable[[], Iterable[str]], files: Literal["file", "dir"] | None = None) -> Complete:
    """What completes a value that is one of several names.

    Args:
        names: asked only while a shell completes.
        files: the value may also be the path of a file or a folder.
    """

    def complete(context: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
        found = [CompletionItem(name) for name in names() if name.startswith(incomplete)]
        return found or ([CompletionItem(incomplete, type=files)] if files else [])

    return complete


def _tasks() -> Iterable[str]:
    from polyprefix.tasks import registry

    return (*registry.names(), *registry.ready())


def _methods() -> Iterable[str]:
    from polyprefix.adapters import registry

    return registry.names()


def _models() -> Iterable[str]:
    from polyprefix.models import embedded

    return embedded.EMBEDDED


complete_tasks = complete_names(_tasks, "file")
complete_methods = complete_names(_methods)
complete_models = complete_names(_models, "dir")


@click.command()
@click.argument("shell", required=False, type=click.Choice(list(WHERE)))
@click.pass_context
def completion(context: click.Context, shell: str | None) -> None:
    """Print what SHELL (bash, zsh or fish; by default yours) runs to complete commands, options and names.

    For bash: polyprefix completion bash > ~/.local/share/bash-completion/completions/polyprefix. For zsh: a file _polyprefix in a folder
    of $fpath. For fish: ~/.config/fish/completions/polyprefix.fish. Or for this shell alone: source <(polyprefix completion bash)
    """
    name = shell or Path(os.environ.get("SHELL", "")).name
    if name not in WHERE:
        raise ConfigError(f"completion: cannot tell your shell from $SHELL ('{name}'); give one of {', '.join(WHERE)}")
    kind = cast("type[click.shell_completion.ShellComplete]", get_completion_class(name))
    click.echo(kind(context.find_root().command, {}, "polyprefix", VARIABLE).source(), nl=False)
