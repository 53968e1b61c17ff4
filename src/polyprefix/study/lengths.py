"""How many tokens the tasks' prompts have, so that a plan needs neither data nor tokenizer: measured by tools/measure_lengths.py."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from statistics import fmean
from typing import Any, cast

from polyprefix.data.select import evaluation_subset
from polyprefix.errors import UserError
from polyprefix.tasks import registry as tasks
from polyprefix.tasks.base import Source, Task
from polyprefix.text.tokens import common_prefix_length, encode
from polyprefix.types import Example, Split

FILE = Path(__file__).with_name("lengths.csv")
COLUMNS = (
    "tokenizer", "task", "split", "language", "examples", "prompt", "shared", "answer", "choices", "choice_tokens", "new_tokens",
    "together", "saved",
)  # fmt: skip
UNBOUNDED = 1 << 30
"""Tokens of a prompt that is not cut."""
SAMPLE = {"train": 300, "test": 60}
"""Examples of a split and language that are tokenised where lengths are measured."""
MULTILINGUAL, ENGLISH_ONLY = "gemma-3-270m", "smollm2-135m"
"""The tokenizers that were measured; others are taken for the first."""


@dataclass(frozen=True, slots=True)
class Lengths:
    """Of one split in one language."""

    examples: int
    """In the whole split."""
    prompt: float
    """Mean tokens of a prompt, the shared ones among them."""
    shared: int
    """Tokens that all prompts begin with."""
    answer: float
    """Mean tokens of the right answer."""
    choices: int
    """0 where the answer is written."""
    choice_tokens: float
    """Mean tokens of all choices together."""
    new_tokens: int
    """The most that are written; 0 with choices."""
    together: float = 1.0
    """Prompts that stand together because they begin alike, on average over prompts, where the whole split is read."""
    saved: float = 0.0
    """Share of the prompts' own tokens that need not be computed then."""
    read: int = 0
    """How many of the examples a run asks about."""

    def saving(self, count: int) -> float:
        """That share where so many prompts are read, drawn at random.

        Of N prompts in groups of g, a fraction f meets `N / g (1 - (1 - f)^g)` groups; what a group has in common is computed once.
        """
        if self.together <= 1:
            return 0.0
        g, f = self.together, min(1.0, count / self.examples)
        return self.saved * (1 - (1 - (1 - f) ** g) / (g * f)) / (1 - 1 / g)


@cache
def table() -> dict[tuple[str, str, str, str], Lengths]:
    """(tokenizer, task, split, language) -> lengths."""
    found = {}
    with FILE.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            key = (row["tokenizer"], row["task"], row["split"], row["language"])
            found[key] = Lengths(
                int(row["examples"]), float(row["prompt"]), int(row["shared"]), float(row["answer"]),
                int(row["choices"]), float(row["choice_tokens"]), int(row["new_tokens"]),
                float(row["together"]), float(row["saved"]),
            )  # fmt: skip
    return found


def lengths(model: str, task: str, split: str, language: str) -> Lengths | None:
    """What was measured; with the multilingual tokenizer where the model's own was not. None for a task or language unknown to it."""
    known = table()
    return known.get((model, task, split, language)) or known.get((MULTILINGUAL, task, split, language))


def of_own_task(model: str, task: str, protocol: str, split: str, language: str) -> Lengths | None:
    """Of a task of one's own whose rows are in files here, with the tokenizer that `lengths` takes.

    None for another task, where it has no rows of a language, and where that tokenizer was never converted on this machine.
    """
    from polyprefix.models import embedded
    from polyprefix.tasks._custom import CustomTask

    found = tasks.get(task, protocol)
    tokenizer = model if is_measured(model) else MULTILINGUAL
    if not isinstance(found, CustomTask) or found.needs_hub or not embedded.cached(embedded.EMBEDDED[tokenizer]):
        return None
    return _read(found, tokenizer, split, language)


@lru_cache(maxsize=4096)
def _read(task: Task, tokenizer: str, split: str, language: str) -> Lengths | None:
    """Read once: the registry gives another task where a file of it changed."""
    try:
        rows = task.examples(cast("Split", split), language, Source(None))
    except UserError:
        return None
    return measure(task, rows, split, _tokenizer(tokenizer), len(rows)) if rows else None


@cache
def _tokenizer(model: str) -> Any:
    from polyprefix.models.load import load_tokenizer

    return load_tokenizer(model)


def measure(task: Task, rows: Sequence[Example], split: str, tokenizer: Any, examples: int) -> Lengths:
    """Of a sample of some examples.

    Args:
        rows: at least one.
        examples: how many the split has.
    """
    sample = evaluation_subset(rows, SAMPLE[split])
    items = encode([task.prompt(example) for example in sample], tokenizer, UNBOUNDED)
    return Lengths(
        examples,
        fmean(len(item.ids) for item in items),
        common_prefix_length([item.ids for item in items]),
        fmean(len(item.target) for item in items),
        len(items[0].choices),
        fmean(sum(map(len, item.choices)) for item in items),
        0 if items[0].choices else max(item.prompt.max_new_tokens for item in items),
    )


def is_measured(model: str) -> bool:
    """Whether the model's own tokenizer was measured."""
    return model in (MULTILINGUAL, ENGLISH_ONLY)
