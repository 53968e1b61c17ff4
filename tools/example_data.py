"""The data of examples/things, from the embedded task `emoji`: python -m tools.example_data

Names of four of its groups, English to train on and a hundred test names in each of some languages, as somebody's own CSV files look.
"""

from __future__ import annotations

import csv

from benchmarks.rounds import ROOT
from polyprefix.tasks import registry
from polyprefix.tasks.base import ENGLISH, Source
from polyprefix.types import Example

OUT = ROOT / "examples" / "things"
GROUPS = ("food", "nature", "place", "object")
LANGUAGES = {
    "en": ENGLISH, "de": "deu_Latn", "fi": "fin_Latn", "hi": "hin_Deva", "sw": "swh_Latn", "th": "tha_Thai", "ur": "urd_Arab",
    "vi": "vie_Latn", "yo": "yor_Latn",
}  # fmt: skip
ROWS = 100
"""Test rows of a language at most."""


def write(name: str, rows: list[Example]) -> None:
    """A CSV file with a heading."""
    with (OUT / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["id", "name", "kind"])
        writer.writerows([row.id.partition(":")[2], row.inputs["name"], row.references[0]] for row in rows)


def main() -> None:
    """Write all of it."""
    task, source = registry.get("emoji"), Source(None)

    def rows(split: str, code: str) -> list[Example]:
        return [row for row in task.examples(split, code, source) if row.references[0] in GROUPS]  # type: ignore[arg-type]

    OUT.mkdir(exist_ok=True)
    write("train.csv", [*rows("train", ENGLISH), *rows("validation", ENGLISH)])
    for short, code in LANGUAGES.items():
        write(f"test.{short}.csv", rows("test", code)[:ROWS])


if __name__ == "__main__":
    main()
