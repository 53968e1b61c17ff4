"""Validation examples in other languages than those of training: measured while an adapter is trained, and never used."""

from __future__ import annotations

from collections.abc import Sequence

from polyprefix.config import RunConfig
from polyprefix.data.select import evaluation_subset
from polyprefix.errors import DataError, LanguageError
from polyprefix.languages import find_each, get
from polyprefix.tasks.base import Source, Task
from polyprefix.types import Example

MOST_LANGUAGES = 3
"""Where a run does not name them."""
MOST_EXAMPLES = 33
"""Of each: together fewer than English validation has."""


def watched_examples(task: Task, config: RunConfig, source: Source, tested: Sequence[str]) -> dict[str, list[Example]]:
    """Language -> validation examples, the same ids in each where they are parallel.

    Args:
        tested: the test languages of the run, from which some are taken that are spread over the list where it names none.

    Raises:
        DataError: if a language that was named has no validation examples.
        LanguageError: if nobody knows it, or the task has none in it.
    """
    trained = {*config.source_languages, *config.target_languages}
    if config.train.watch is not None:
        wanted = find_each(config.train.watch, "train.watch", among=task.train_languages())
        found = {code: _subset(task, code, source) for code in wanted}
        if without := [get(code).name for code, items in found.items() if not items]:
            raise DataError(
                f"train.watch: {task.info.name} has no validation examples in {', '.join(without)}; leave it out"
            )
        return found
    own = set(task.train_languages())
    others = [code for code in tested if code in own and code not in trained]
    few = (
        [others[len(others) * n // MOST_LANGUAGES] for n in range(MOST_LANGUAGES)]
        if len(others) > MOST_LANGUAGES
        else others
    )
    there: dict[str, list[Example]] = {}
    for code in few:
        try:
            items = _subset(task, code, source)
        except (DataError, LanguageError):  # nobody asked for it
            continue
        if items:
            there[code] = items
    return there


def _subset(task: Task, code: str, source: Source) -> list[Example]:
    return evaluation_subset(task.examples("validation", code, Source(source.hub)), MOST_EXAMPLES)
