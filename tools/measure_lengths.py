"""Measure how many tokens the tasks' prompts have, for `polyprefix study plan`: src/polyprefix/study/lengths.csv.

python tools/measure_lengths.py --hub ../shared/hub [--task terms]...        rows of other tasks stay as they are
"""

from __future__ import annotations

import argparse
import csv
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from polyprefix.config import ENGLISH
from polyprefix.engine.memory import MOST
from polyprefix.errors import DataError
from polyprefix.models import embedded, gguf
from polyprefix.prefix import TokenTree
from polyprefix.study.lengths import COLUMNS, FILE, UNBOUNDED, Lengths, measure
from polyprefix.tasks import registry
from polyprefix.tasks.base import Source, Task
from polyprefix.text.batches import group_by_common_prefix
from polyprefix.text.tokens import common_prefix_length, encode
from polyprefix.types import Example


def rows(name: str, task: Task, source: Source, tokenizers: dict[str, Any]) -> Iterator[tuple[object, ...]]:
    for split in ("train", "test"):
        for language in task.languages() if split == "test" else (ENGLISH,):
            try:
                examples = task.examples(split, language, source)
            except DataError as error:
                print(f"{name} {split} {language}: left out ({error})")
                continue
            for tokenizer, reader in tokenizers.items():
                middle = figures(measure(task, examples, split, reader, len(examples)))
                trees = beginnings(task, examples, reader) if split == "test" else (1.0, 0.0)
                yield tokenizer, name, split, language, len(examples), *middle, *trees


def figures(found: Lengths) -> tuple[object, ...]:
    """The middle columns of the table."""
    means = round(found.prompt, 1), found.shared, round(found.answer, 1)
    return (*means, found.choices, round(found.choice_tokens, 1), found.new_tokens)


def beginnings(task: Task, examples: Sequence[Example], tokenizer: Any) -> tuple[float, float]:
    """How many prompts stand together on average, and the share of their own tokens that is saved by it: as evaluation does it on a CPU."""
    ids = [item.ids for item in encode([task.prompt(example) for example in examples], tokenizer, UNBOUNDED)]
    shared = common_prefix_length(ids)
    own = [tuple(row[shared:]) for row in ids]
    groups = group_by_common_prefix(own, list(map(len, own)), MOST["cpu", False])
    computed = sum(TokenTree.joined([TokenTree(own[n]) for n in group]).size for group in groups)
    together = sum(len(group) ** 2 for group in groups) / len(own)
    return round(together, 2), round(1 - computed / max(1, sum(map(len, own))), 3)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--hub", type=Path, required=True)
    parser.add_argument("--task", action="append", help="measure only these")
    given = parser.parse_args()
    chosen = given.task or list(registry.names())
    kept = (
        [line for line in FILE.read_text().splitlines()[1:] if line.split(",")[1] not in chosen]
        if FILE.exists()
        else []
    )
    tokenizers = {name: gguf.read_tokenizer(embedded.folder_of(model)) for name, model in embedded.EMBEDDED.items()}
    with FILE.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(csv.reader(kept))
        for name in chosen:
            for row in rows(name, registry.get(name), Source(given.hub), tokenizers):
                writer.writerow(row)


if __name__ == "__main__":
    main()
