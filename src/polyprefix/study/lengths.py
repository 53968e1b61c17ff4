"""How many tokens the tasks' prompts have, so that a plan needs neither data nor tokenizer: measured by tools/measure_lengths.py."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from statistics import fmean

from polyprefix.text.tokens import TokenizedPrompt, common_prefix_length

FILE = Path(__file__).with_name("lengths.csv")
COLUMNS = (
    "tokenizer", "task", "split", "language", "examples", "prompt", "shared", "answer", "choices", "choice_tokens", "new_tokens",
    "together", "saved",
)  # fmt: skip
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


def measure(items: Sequence[TokenizedPrompt], examples: int) -> Lengths:
    """Of prompts in tokens.

    Args:
        items: at least one; a sample will do.
        examples: how many the split has.
    """
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
