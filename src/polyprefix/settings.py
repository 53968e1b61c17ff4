"""Settings from plain values: typed, frozen and strict; from YAML files and `section.key=value`; all mistakes are told at once."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from functools import reduce
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from polyprefix.errors import ConfigError, nearest
from polyprefix.safe_files import read_text
from polyprefix.yaml12 import MOST_BYTES, YamlError, load, load_written


class Settings(BaseModel):
    """Base of all settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=(), allow_inf_nan=False
    )


def _nameable(value: str) -> str:
    if any(ord(character) < 32 or "\x7f" <= character <= "\x9f" for character in value):
        raise ValueError("expected a name without control characters")
    if len(value) > 4096 or any(len(part.encode(errors="replace")) > 255 for part in re.split(r"[/\\]", value)):
        raise ValueError("expected a shorter name")
    return value


Name = Annotated[str, AfterValidator(_nameable)]
"""A name or a path: what a file system and a terminal can be given."""


def listed_names(value: Any) -> Any:
    """Names as people give them: one text with commas, or a list."""
    if isinstance(value, str):
        return tuple(part.strip() for part in value.split(",") if part.strip())
    return tuple(value) if isinstance(value, list) else value


MOST_MISTAKES = 20
"""So many are listed; of more, the number."""
AnySettings = TypeVar("AnySettings", bound=Settings)


def validate(kind: type[AnySettings], values: Mapping[str, Any], where: str) -> AnySettings:
    """Build settings from plain values.

    Raises:
        ConfigError: one line that lists every mistake with its path; an unknown key names the nearest known one.
    """
    try:
        return kind.model_validate(dict(values))
    except ValidationError as error:
        mistakes = list(dict.fromkeys(_explain(kind, item) for item in error.errors()))
        raise ConfigError(f"{where}: {listed(mistakes)}") from None


def listed(mistakes: Sequence[str]) -> str:
    """All mistakes in one line, or the first `MOST_MISTAKES` and the number of the others."""
    more = f"; ... and {len(mistakes) - MOST_MISTAKES} more" if len(mistakes) > MOST_MISTAKES else ""
    return "; ".join(mistakes[:MOST_MISTAKES]) + more


def _explain(kind: type[Settings], error: Any) -> str:
    path = [str(part)[:80] for part in error["loc"]]
    if error["type"] == "extra_forbidden":
        section = reduce(_inside, error["loc"][:-1], kind)
        inside = "".join(f"{part}." for part in path[:-1])
        hint = nearest(path[-1], section.model_fields, inside) if section is not None else "leave it out"
        return f"unknown key '{'.'.join(path)}', {hint}"
    if not path:  # settings that do not go together
        return str(error["msg"].removeprefix("Value error, "))
    if error["type"] == "missing":
        return f"'{'.'.join(path)}' is missing"
    found = repr(error["input"])
    found = found if len(found) <= 200 else found[:199] + "…"
    return f"'{'.'.join(path)}' is {found}: {error['msg'].removeprefix('Value error, ')}"


def _inside(section: Any, key: str | int) -> Any:
    """The settings class that a key of another one holds, alone, in a list or in a mapping; None where there is none."""
    field = getattr(section, "model_fields", {}).get(key)
    kinds = [section] if field is None else [field.annotation]
    for kind in kinds:  # grows while it is walked
        kinds.extend(get_args(kind))
    return next((k for k in kinds if isinstance(k, type) and issubclass(k, Settings)), None)


def read_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping.

    Raises:
        ConfigError: if it is missing, is not YAML, or holds something else.
    """
    return _mapping(path, load)


def read_yaml_as_written(path: Path) -> dict[str, Any]:
    """As `read_yaml`, with the text of every scalar as it was written.

    Raises:
        ConfigError: as `read_yaml`.
    """
    return _mapping(path, load_written)


def _mapping(path: Path, read: Callable[[str], Any]) -> dict[str, Any]:
    try:
        values = read(read_text(path, MOST_BYTES))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such file; give the path of a YAML file") from None
    except YamlError as error:
        line = f":{error.line}" if error.line else ""
        reason = error.reason if error.reason.startswith("not YAML") else f"found {error.reason}"
        raise ConfigError(f"{path}{line}: {reason}; correct that line") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise ConfigError(f"{path}: cannot be read ({reason}); give the path of a YAML file") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: holds {type(values).__name__}, expected keys and values such as 'task: xnli'")
    return values


SHORT_FORMS: Mapping[str, str] = {"method": "name", "meta": "order"}
"""Section that may be given as one word -> the key that the word is the value of."""


def written_out(section: str, value: Any) -> Any:
    """The value of a section; one that may be given as one word, and is, as keys and values.

    >>> written_out("method", "lora"), written_out("train", {"steps": 3})
    ({'name': 'lora'}, {'steps': 3})
    """
    return {SHORT_FORMS[section]: value} if section in SHORT_FORMS and isinstance(value, str) else value


def override(values: Mapping[str, Any], assignments: tuple[str, ...]) -> dict[str, Any]:
    """Apply `section.key=value` assignments; values are read as YAML.

    Raises:
        ConfigError: if an assignment has no `=` or runs through something that is not a section.
    """
    result: dict[str, Any] = json.loads(json.dumps(dict(values)))
    for assignment in assignments:
        path, equals, raw = assignment.partition("=")
        if not equals or not path:
            raise ConfigError(f"--set {assignment}: expected section.key=value, such as train.epochs=3")
        *sections, key = path.split(".")
        place: Any = result
        for section in sections:
            found = written_out(section, place.get(section))
            place[section] = {} if found is None else found
            place = place[section]
            if not isinstance(place, dict):
                raise ConfigError(f"--set {assignment}: '{section}' is a value, not a section")
        place[key] = _value(raw)
    return result


def _value(raw: str) -> Any:
    try:
        return load(raw)
    except YamlError:
        return raw
