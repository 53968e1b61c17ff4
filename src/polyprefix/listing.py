"""What `polyprefix list` and `polyprefix doctor` show: rows of plain values, as a table that fits the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

Rows = list[dict[str, Any]]


def tasks() -> Rows:
    """The tasks, with what a person needs to choose."""
    from polyprefix.tasks import registry

    return [
        {
            "task": info.name,
            "asks": info.title,
            "languages": len(registry.get(name).languages()),
            "metric": info.metrics[0],
            "chance": round(info.chance, 3),
            "other protocols": ", ".join(registry.protocols(name)),
            "source": info.source,
            "licence": info.licence,
        }
        for name in registry.names()
        for info in [registry.get(name).info]
    ]


def methods() -> Rows:
    """The methods with their settings and defaults."""
    from polyprefix.methods import registry

    return [
        {
            "method": name,
            "trains": kind.title,
            "settings": ", ".join(f"{key}={field.default}" for key, field in kind.model_fields.items()),
            "learning rate": kind.defaults.learning_rate,
            "source": kind.source,
        }
        for name in registry.names()
        for kind in [registry.kind(name)]
    ]


def models() -> Rows:
    """The embedded models; any Hub id, folder or GGUF file of a causal decoder works too."""
    from polyprefix.models import embedded

    return [
        {
            "model": model.name,
            "parameters": model.parameters,
            "languages": model.languages,
            "licence": model.licence,
            "ready": "converted"
            if embedded.cached(model)
            else "installed"
            if embedded.installed(model)
            else model.install,
            "source": model.source,
        }
        for model in embedded.EMBEDDED.values()
    ]


def languages(script: str | None, family: str | None) -> Rows:
    """The languages that benchmarks use.

    Raises:
        LanguageError: if no language has such a script or family.
    """
    from polyprefix.languages import select

    shown = ("code", "name", "script", "family", "branch", "resource_level", "genetic_distance", "syntactic_distance")
    return [{key: asdict(language)[key] for key in shown} for language in select(script=script, family=family)]


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table; columns without a value are left out, and cells wrap where the terminal is narrow."""
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = [key for key in rows[0] if any(row[key] not in (None, "") for row in rows)]
    for key in columns:
        table.add_column(key.replace("_", " "), overflow="fold")
    for row in rows:
        table.add_row(*("" if row[key] is None else str(row[key]) for key in columns))
    Console(markup=False).print(table)  # what rows say in brackets is no markup
