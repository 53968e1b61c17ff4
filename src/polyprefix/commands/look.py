"""`list` and `doctor`: what there is, and what this machine can do."""

from __future__ import annotations

from typing import Any

import click

from polyprefix.errors import ConfigError
from polyprefix.serialize import to_json


@click.command(name="list")
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


@click.command()
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
