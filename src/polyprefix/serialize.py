"""JSON as its standard has it: what is written here can be read by any program."""

from __future__ import annotations

import base64
import dataclasses
import datetime
import json
import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any


def to_json(value: Any, *, indent: int | None = None) -> str:
    """The JSON text of a value.

    Numbers that are not finite are null, since JSON has no word for them. Bytes are text where they are UTF-8, else base64. Dates are ISO
    8601, decimals numbers as text; mappings and data classes are objects, other collections arrays.
    """
    return json.dumps(_plain(value), ensure_ascii=False, allow_nan=False, indent=indent)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, bytes | bytearray | memoryview):
        return _text(bytes(value))
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: _plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if hasattr(value, "model_dump"):  # settings
        return _plain(value.model_dump(mode="json"))
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(_plain(key)): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_plain(item) for item in value]
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value) if value.is_finite() else None
    if hasattr(value, "tolist"):  # a number or an array of numpy
        return _plain(value.tolist())
    return str(value)


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return base64.b64encode(value).decode("ascii")
