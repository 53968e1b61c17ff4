"""The command reference of the documentation site, made from the click commands, so that it says what `--help` says.

A Python-Markdown extension: the line `<!-- commands -->` becomes a section for each command.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator

import click
from markdown import Markdown
from markdown.extensions import Extension
from markdown.preprocessors import Preprocessor

from polyprefix.cli import command

MARK = "<!-- commands -->"


def commands(group: click.Group, context: click.Context) -> Iterator[click.Context]:
    """The context of every command that does something, in the order of `--help`."""
    for name in group.list_commands(context):
        found = group.commands[name]
        inside = click.Context(found, info_name=name, parent=context)
        if isinstance(found, click.Group):
            yield from commands(found, inside)
        else:
            yield inside


def section(context: click.Context) -> Iterator[str]:
    """One command in Markdown: heading, what it does, usage, a table of options."""
    usage = " ".join(context.command.collect_usage_pieces(context))
    yield from (f"## {context.command_path}", "", inspect.cleandoc(context.command.help or ""), "")
    yield from ("```text", f"{context.command_path} {usage}", "```", "")
    yield from ("| option | |", "| --- | --- |")
    for parameter in context.command.get_params(context):
        if isinstance(parameter, click.Option) and (record := parameter.get_help_record(context)):
            names, says = (cell.replace("|", "\\|") for cell in record)
            yield f"| `{names}` | {says.replace('<', '&lt;')} |"
    yield ""


class Commands(Preprocessor):
    """Puts all sections in the place of the mark."""

    def run(self, lines: list[str]) -> list[str]:
        written: list[str] = []
        for line in lines:
            if line.strip() != MARK:
                written.append(line)
                continue
            for context in commands(command, click.Context(command, info_name="polyprefix")):
                written.extend(line for part in section(context) for line in part.split("\n"))
        return written


class DocsCommands(Extension):
    """Sections of commands."""

    def extendMarkdown(self, md: Markdown) -> None:
        md.preprocessors.register(Commands(md), "commands", 100)  # before raw HTML (20) and fences (25)


def makeExtension() -> Extension:
    return DocsCommands()
