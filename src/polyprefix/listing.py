"""What `polyprefix list` and `polyprefix doctor` show: rows of plain values, as a table that fits the terminal."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from polyprefix.errors import LanguageError

if TYPE_CHECKING:
    from rich.console import Console

    from polyprefix.tasks.base import TaskInfo

Rows = list[dict[str, Any]]


def tasks() -> Rows:
    """The tasks, with what a person needs to choose."""
    from polyprefix import plugins
    from polyprefix.tasks import registry

    built_in = plugins.working(registry.names(), registry.get)
    return [
        {
            "task": info.name,
            "asks": info.title,
            "languages": len(task.languages()),
            "metric": info.metrics[0],
            "chance": round(info.chance, 3),
            "other protocols": ", ".join(registry.protocols(name)),
            "test texts": origins(info, task.languages()),
            "source": info.source,
            "licence": info.licence,
            "status": "" if name in built_in else "a ready task file over the Hub, not run here",
        }
        for name, task in {**built_in, **{name: registry.get(name) for name in registry.ready()}}.items()
        for info in [task.info]
    ]


def origins(info: TaskInfo, codes: Sequence[str]) -> str:
    """Where the test texts of a task come from."""
    from polyprefix.results.origins import origins_told

    return origins_told({code: info.origin_of(code) for code in codes})


def methods() -> Rows:
    """The methods with their settings and defaults."""
    from polyprefix import plugins
    from polyprefix.adapters import registry

    return [
        {
            "method": name,
            "trains": kind.title,
            "settings": ", ".join(f"{key}={field.default}" for key, field in kind.model_fields.items()),
            "learning rate": kind.defaults.learning_rate,
            "source": kind.source,
        }
        for name, kind in plugins.working(registry.names(), registry.kind).items()
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


def languages(
    name: str | None = None,
    script: str | None = None,
    family: str | None = None,
    area: str | None = None,
    *,
    every: bool = False,
) -> Rows:
    """The languages that benchmarks use; of all languages those that match, where anything is asked for.

    Args:
        name: a part of a name or of a code.
        area: a macro-area of Glottolog.
        every: all languages.

    Raises:
        LanguageError: if no language matches.
    """
    from polyprefix.languages import select

    every = every or any((name, script, family, area))
    found = select(script=script, family=family, name=name, area=area, every=every)
    if not found:
        asked = {"name": name, "script": script, "family": family, "area": area}
        raise LanguageError(
            f"no language with {', '.join(f'{key} {value!r}' for key, value in asked.items() if value)}; ask for less"
        )
    shown = (
        "code",
        "name",
        "script",
        "family",
        "branch",
        "area",
        "resource_level",
        "genetic_distance",
        "syntactic_distance",
    )
    return [{key: getattr(language, key) for key in shown} for language in found]


def show(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print rows as a table; where the terminal is too narrow for one, each row as a paragraph. No line is cut."""
    from polyprefix.terminal import console as safe_console

    console = safe_console(markup=False, highlight=False)  # what rows say in brackets is no markup
    columns = [key for key in rows[0] if any(row[key] not in (None, "") for row in rows)]
    texts = [{key: "" if row[key] is None else _text(row[key]) for key in columns} for row in rows]
    if _fits(texts, columns, console.width):
        _table(texts, columns, console)
    else:
        _paragraphs(texts, columns, console)


def _text(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def _fits(texts: Sequence[Mapping[str, str]], columns: Sequence[str], width: int) -> bool:
    """Whether a table breaks no word and makes no cell of more than three lines."""
    needed = 2 * len(columns)
    for key in columns:
        cells = [key.replace("_", " "), *(text[key] for text in texts)]
        longest_word = max(len(word) for cell in cells for word in cell.split() or [""])
        needed += max(longest_word, -(-max(map(len, cells)) // 3))
    return needed <= width


def _table(texts: Sequence[Mapping[str, str]], columns: Sequence[str], console: Console) -> None:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for key in columns:
        number = all(re.fullmatch(r"[\d,.]*", text[key]) for text in texts)
        table.add_column(key.replace("_", " "), overflow="fold", justify="right" if number else "left")
    for text in texts:
        table.add_row(*(text[key] for key in columns))
    console.print(table)


def _paragraphs(texts: Sequence[Mapping[str, str]], columns: Sequence[str], console: Console) -> None:
    from rich.padding import Padding
    from rich.text import Text

    for text in texts:
        console.print(Text(text[columns[0]], style="bold"))
        for key in columns[1:]:
            if text[key]:
                line = Text.assemble((f"{key.replace('_', ' ')}: ", "dim"), text[key], overflow="fold")
                console.print(Padding(line, (0, 0, 0, 2)))
