"""Optional libraries: one that is missing is named together with the extra that brings it."""

from __future__ import annotations

from importlib import import_module
from types import ModuleType

from polyprefix.errors import ConfigError


def require(module: str, extra: str, purpose: str) -> ModuleType:
    """An optional library.

    Args:
        module: its name in Python.
        extra: of this package (docs/dependencies.md).
        purpose: what needs it, as an error begins.

    Raises:
        ConfigError: if it is not installed.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        if error.name is not None and error.name.partition(".")[0] != module.partition(".")[0]:
            raise  # it is there, and something that it needs is not
        raise ConfigError(f"{purpose}: {module} is not installed; run: pip install 'polyprefix[{extra}]'") from None
