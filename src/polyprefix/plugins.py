"""Methods and tasks of other packages, found by their entry points. None is imported before it is used.

[project.entry-points."polyprefix.methods"]
my-method = "my_package.method:MyMethod"
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any, TypeVar

from polyprefix.errors import ConfigError

METHODS, TASKS = "polyprefix.methods", "polyprefix.tasks"
Found = TypeVar("Found")


@cache
def found(group: str) -> dict[str, EntryPoint]:
    """Name -> entry point of every installed plugin of a group; of two with one name the first counts."""
    plugins: dict[str, EntryPoint] = {}
    for entry in entry_points(group=group):
        plugins.setdefault(entry.name, entry)
    return plugins


def load(entry: EntryPoint) -> Any:
    """What an entry point names.

    Raises:
        ConfigError: if the plugin fails when it is imported; names its package.
    """
    try:
        return entry.load()
    except Exception as error:  # code of others can raise anything
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise ConfigError(
            f"plugin '{entry.name}' of the package '{package(entry)}': fails when imported ({type(error).__name__}: {reason}); "
            "update or uninstall it"
        ) from error


def package(entry: EntryPoint) -> str:
    """The package that brings a plugin."""
    return entry.dist.name if entry.dist else entry.module


def working(names: Iterable[str], get: Callable[[str], Found]) -> dict[str, Found]:
    """Name -> what `get` gives, without plugins that are broken: each of those is a warning of one line."""
    known: dict[str, Found] = {}
    plugins = {**found(METHODS), **found(TASKS)}
    for name in names:
        try:
            known[name] = get(name)
        except ConfigError as error:
            if name not in plugins:
                raise
            warnings.warn(f"{error}", stacklevel=2)
    return known
