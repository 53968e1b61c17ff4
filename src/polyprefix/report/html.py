"""The summary of a run as one HTML file that needs nothing else: no network, no fonts, no pictures; readable without JavaScript.

All text is escaped by the template engine; the page also forbids itself every request and every script
but its own (Content-Security-Policy with the script's hash).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from polyprefix.atomic import output_errors, write_text
from polyprefix.report import format as figures
from polyprefix.report.summary import Summary


def write_html(summary: Summary, path: Path) -> None:
    """Write the report of a run, whole or not at all; missing folders are made.

    Raises:
        OutputError: if the file cannot be written.
    """
    environment = _environment()
    script = environment.get_template("report.js").render()
    page = environment.get_template("report.html.j2").render(
        summary=summary,
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(f"\n{script}\n".encode()).digest()).decode(),
    )
    with output_errors(path):
        path.parent.mkdir(parents=True, exist_ok=True)
    write_text(path, page)


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("polyprefix.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    for helper in (
        figures.percent,
        figures.signed,
        figures.interval,
        figures.costs,
        figures.trained_share,
        flatten,
    ):
        environment.globals[helper.__name__] = helper
    environment.globals["ABSENT"] = figures.ABSENT
    return environment


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings as one list: `train.epochs` -> `4`; what is not set is left out.

    >>> flatten({"task": "terms", "train": {"epochs": 4, "schedule": None}, "languages": ["a", "b"]})
    {'task': 'terms', 'train.epochs': '4', 'languages': 'a, b'}
    """
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple):
            flat[prefix + key] = ", ".join(map(str, value))
        elif value is not None:
            flat[prefix + key] = str(value)
    return flat
