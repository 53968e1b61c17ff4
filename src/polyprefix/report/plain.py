"""A summary as plain values, for `--json`."""

from __future__ import annotations

import dataclasses
from typing import Any

from polyprefix.languages import Language
from polyprefix.report.summary import Summary


def as_dict(summary: Summary) -> dict[str, Any]:
    """All of a summary in dictionaries, lists, strings and numbers; a language is its code, name, family and script."""
    values: dict[str, Any] = _plain(summary)
    return values


def _plain(value: Any) -> Any:
    if isinstance(value, Language):
        return {key: getattr(value, key) for key in ("code", "name", "family", "script", "direction")}
    if dataclasses.is_dataclass(value):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
