"""`--help` of a command that takes `--set`: every setting with its default, and those of the method that is named."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import click

GIVEN = "polyprefix.given"
"""Key of a context: the words of the command line, before they are parsed."""


class CommandWithSettings(click.Command):
    """A command whose help lists the settings of a run."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Keep the words: `--help` ends parsing before `--method` has its value."""
        ctx.meta[GIVEN] = list(args)
        return super().parse_args(ctx, args)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Sections of settings after the options."""
        from polyprefix.config import EvalConfig, RuntimeConfig, TextConfig, TrainConfig

        method = _method(ctx.meta.get(GIVEN, []))
        sections = {"train": TrainConfig, "eval": EvalConfig, "text": TextConfig, "runtime": RuntimeConfig}
        for name, kind in sections.items():
            with formatter.section(f"Settings of {name} (--set {name}.KEY=VALUE)"):
                formatter.write_dl(list(_rows(kind)))
        if method is None:
            formatter.write_paragraph()
            formatter.write_text("With --method NAME --help also those of the method.")
            return
        from polyprefix.adapters import registry

        kind_of_method: Any = registry.kind(method)
        rate = kind_of_method().tuned().learning_rate
        rows = [("train.learning_rate", f"Of this method.  [default: {rate:g}]")] if rate else []
        if rows := [*rows, *_rows(kind_of_method)]:
            with formatter.section(f"Settings of {method} (--set method.KEY=VALUE)"):
                formatter.write_dl(rows)


def _method(words: list[str]) -> str | None:
    """The method that a command line names."""
    for word, following in zip(words, [*words[1:], ""], strict=True):
        if word == "--method":
            return following or None
        if word.startswith("--method="):
            return word.partition("=")[2] or None
    return None


def _rows(kind: Any) -> Iterator[tuple[str, str]]:
    """Each setting with the first sentence of what it is, and its default where it is not what the sentence says of None."""
    for name, field in kind.model_fields.items():
        sentence = re.split(r"(?<![.])[.] ", " ".join((field.description or "").split()))[0].rstrip(":;")
        value = field.get_default(call_default_factory=True)
        told = sentence if sentence.endswith(".") else f"{sentence}."
        yield name, told if value is None else f"{told}  [default: {_written(value)}]"


def _written(value: Any) -> str:
    """As it would be given."""
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
