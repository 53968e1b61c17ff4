"""The JSON schema of `result.json`: made from `RunResult` and from what its reader asks of it, so that none of it is written twice."""

from __future__ import annotations

from typing import Any

from polyprefix.results.files import ADDED, CONFIG_TYPES, MOST, RESULT, SCHEMA_VERSION
from polyprefix.types import RunResult

DIALECT = "https://json-schema.org/draft/2020-12/schema"
NAMES: dict[type, str] = {
    str: "string", int: "integer", float: "number", dict: "object", list: "array", bool: "boolean", type(None): "null"
}  # fmt: skip
"""Type in Python -> what JSON schema calls it."""


def result_schema() -> dict[str, Any]:
    """JSON schema (draft 2020-12) of the `result.json` that this version writes; `docs/result.schema.json` is a copy of it.

    Keys that results of earlier versions lack are not required. Settings that a reader does not use are described by `RunConfig`
    and may hold anything here, since an imported run has others.
    """
    from pydantic import TypeAdapter

    schema = TypeAdapter(RunResult).json_schema()
    fields, score = schema["properties"], schema["$defs"]["Score"]
    for field in (*fields.values(), *score["properties"].values()):
        field.pop("title", None)
        field.pop("default", None)
    score["properties"]["n"] |= {"minimum": 0, "maximum": MOST}
    score["additionalProperties"] = False
    fields["schema_version"]["const"] = SCHEMA_VERSION
    settings: dict[str, Any] = {
        name: {"type": [NAMES[kind] for kind in kinds]} | ({"minimum": -MOST, "maximum": MOST} if int in kinds else {})
        for name, kinds in CONFIG_TYPES.items()
    }
    settings["method"] |= {"properties": {"name": {"type": "string"}}, "required": ["name"]}
    fields["config"] |= {"properties": settings, "required": ["model", "task", "method"]}
    return {
        "$schema": DIALECT,
        **schema,
        "title": f"{RESULT} of polyprefix",
        "required": [name for name in fields if name not in ADDED],
        "additionalProperties": False,
    }
