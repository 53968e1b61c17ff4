"""`train.jsonl`: one JSON object a line, appended as training goes."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from polyprefix.atomic import output_errors
from polyprefix.serialize import to_json


class JsonlLog:
    """Appends records to a file. A record is on the disk of the process when `write` returns, so a crash loses none."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def write(self, record: Mapping[str, Any]) -> None:
        """Append one record, such as `{"step": 10, "loss": 1.2}`.

        Raises:
            OutputError: if the file cannot be written.
        """
        with output_errors(self.path), self.path.open("a", encoding="utf-8") as file:
            file.write(to_json(record) + "\n")


def read_jsonl(path: Path) -> Iterator[dict[str, Any]]:
    """The records of a log. A last line without its end, which a killed run leaves, is not a record."""
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.endswith("\n"):
                yield json.loads(line)
