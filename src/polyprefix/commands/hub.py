"""`polyprefix card` and `polyprefix push`: a run on the Hugging Face Hub."""

from __future__ import annotations

from pathlib import Path

import click

PATH = click.Path(path_type=Path)
base_option = click.option(
    "--base", metavar="ORG/NAME", help="The base model's id on the Hub, where the run does not say it."
)
licence_option = click.option(
    "--licence", metavar="L", help="As the Hub calls it.  [default: that of an embedded base model]"
)


@click.command()
@click.argument("run", type=PATH)
@click.option("--out", type=PATH, metavar="FILE", help="The file to write.  [default: README.md in RUN]")
@click.option(
    "--repository", metavar="ORG/NAME", help="Where the adapter will be, for the lines that show how to load it."
)
@base_option
@licence_option
def card(run: Path, out: Path | None, repository: str | None, base: str | None, licence: str | None) -> None:
    """Write the model card of RUN: metadata for the Hub, a score a language with its interval, training data, licences and limits."""
    from polyprefix.atomic import write_text
    from polyprefix.integrations.card import card_of

    path = out or run / "README.md"
    write_text(path, card_of(run, repository=repository, base=base, licence=licence))
    click.echo(f"wrote {path}")


@click.command()
@click.argument("run", type=PATH)
@click.argument("repository", metavar="ORG/NAME")
@click.option("--private", is_flag=True, help="Of a repository that is created.")
@base_option
@licence_option
def push(run: Path, repository: str, private: bool, base: str | None, licence: str | None) -> None:
    """Upload the adapter of RUN with its model card to the Hub; ORG/NAME is created where it is missing. Safetensors only."""
    from polyprefix.integrations.hub import push as upload

    click.echo(f"pushed {upload(run, repository, private=private, base=base, licence=licence)}")
