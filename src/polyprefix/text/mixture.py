"""Training and validation examples of one source language or several, and a few of target languages.

Rows of a parallel item never cross: an id that is trained in any language is validated and tested in none. The same id may be trained in
several languages.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from polyprefix.config import RunConfig
from polyprefix.data.select import evaluation_subset, training_sample
from polyprefix.errors import ConfigError, DataError
from polyprefix.languages import get
from polyprefix.tasks.base import ENGLISH, Source, Task
from polyprefix.types import Example


@dataclass(frozen=True, slots=True)
class TrainingData:
    """What an adapter learns from."""

    train: list[Example]
    """Source languages in their order, then target languages; an optimiser step draws from all of them."""
    validation: list[Example]
    """Of the source languages, the same share each."""
    notes: tuple[str, ...] = ()


def training_data(task: Task, config: RunConfig, source: Source, shots: frozenset[str]) -> TrainingData:
    """The examples of a run that trains.

    English alone keeps every row that the task has in its training split. With other languages, rows whose id is a test id are left out.

    Args:
        config: resolved.
        shots: ids that stand in prompts and therefore validate nothing.

    Raises:
        ConfigError: if the training examples are fewer than give each source language one.
        DataError: if a language has too few rows; see also the task.
    """
    sources = config.source_languages
    pools = {code: task.examples("train", code, source) for code in (*sources, *config.target_languages)}
    kept_apart = shots
    several = sources != (ENGLISH,) or bool(config.target_languages)
    if several:
        tested = task.test_ids(source)
        pools = {code: _untested(task, code, pool, tested) for code, pool in pools.items()}
        kept_apart |= tested | {example.id for pool in pools.values() for example in pool}
    counts = _counts(config, {code: len(pools[code]) for code in sources})
    alone = len(sources) == 1
    train = [
        example
        for code in sources
        for example in training_sample(pools[code], counts[code], config.seed, "" if alone else code)
    ]
    for code in config.target_languages:
        train += _few(task, config, code, pools[code])
    validation = _validation(task, config, source, kept_apart)
    return TrainingData(train, validation, _notes(config, counts, validation) if several else ())


def shares(rows: Mapping[str, int], temperature: float) -> dict[str, float]:
    """Language -> its share of training, proportional to rows ** (1 / temperature); they add up to 1.

    >>> shares({"a": 900, "b": 100}, 1), shares({"a": 900, "b": 100}, 2), shares({"a": 900, "b": 100}, math.inf)
    ({'a': 0.9, 'b': 0.1}, {'a': 0.75, 'b': 0.25}, {'a': 0.5, 'b': 0.5})
    """
    powers = {code: count ** (1 / temperature) for code, count in rows.items()}
    total = sum(powers.values())
    return {code: power / total for code, power in powers.items()}


def apportion(rows: Mapping[str, int], wanted: Mapping[str, float], size: int | None) -> dict[str, int]:
    """Language -> number of examples: `wanted` shares to within one example, none repeated.

    Args:
        rows: that each language has.
        wanted: shares that add up to 1.
        size: of all together; None, or more than the shares allow, means as many as they allow without repeating a row.
    """
    most = min(math.floor(count / wanted[code] + 1e-6) for code, count in rows.items())
    total = most if size is None else min(size, most)
    exact = {code: total * share for code, share in wanted.items()}
    counts = {code: min(rows[code], math.floor(value)) for code, value in exact.items()}
    by_remainder = sorted(exact, key=lambda code: counts[code] - exact[code])
    for code in by_remainder[: total - sum(counts.values())]:
        counts[code] = min(rows[code], counts[code] + 1)
    return counts


def _counts(config: RunConfig, rows: Mapping[str, int]) -> dict[str, int | None]:
    """Language -> number of training examples; None means all."""
    if len(rows) == 1:
        return dict.fromkeys(rows, config.train_size)
    temperature = {"size": 1.0, "equal": math.inf, "temperature": config.source_temperature}[config.source_sampling]
    counts = apportion(rows, shares(rows, temperature), config.train_size)
    if without := [get(code).name for code, count in counts.items() if not count]:
        raise ConfigError(
            f"train_size {config.train_size}: with source_sampling {config.source_sampling} it gives no example of "
            f"{', '.join(without)}; ask for more"
        )
    return dict(counts)


def _untested(task: Task, code: str, pool: Sequence[Example], tested: frozenset[str]) -> list[Example]:
    kept = [example for example in pool if example.id not in tested]
    if not kept:
        raise DataError(
            f"{task.info.name}: all {len(pool)} training rows in {get(code).name} ({code}) have the ids of test rows; "
            "give rows of their own ids, or set 'parallel: false' where equal ids mean different items"
        )
    return kept


def _few(task: Task, config: RunConfig, code: str, pool: Sequence[Example]) -> list[Example]:
    size = config.target_size or 0
    if len(pool) < size:
        raise DataError(
            f"target_size {size}: {task.info.name} has {len(pool)} training rows in {get(code).name} ({code}); "
            f"ask for at most {len(pool)}"
        )
    return training_sample(pool, size, config.seed, code)


def _validation(task: Task, config: RunConfig, source: Source, apart: frozenset[str]) -> list[Example]:
    """The same share of every source language; ids in `apart` are left out."""
    sources, size = config.source_languages, config.train.validation_size
    found: list[Example] = []
    for place, code in enumerate(sources if size else ()):
        share = size // len(sources) + (place < size % len(sources))
        unused = [example for example in task.examples("validation", code, source) if example.id not in apart]
        found += evaluation_subset(unused, share, "" if len(sources) == 1 else code)
    if size and not found and sources != (ENGLISH,):
        raise DataError(
            f"{task.info.name}: no validation rows in {', '.join(get(code).name for code in sources)} whose ids are not trained; "
            "add some, or keep the last weights with --set train.validation_size=0"
        )
    return found


def _notes(config: RunConfig, counts: Mapping[str, int | None], validation: Sequence[Example]) -> tuple[str, ...]:
    def listed(items: Mapping[str, int | None]) -> str:
        return ", ".join(f"{'all' if n is None else f'{n:,}'} in {get(code).name}" for code, n in items.items())

    sampling = "" if len(counts) == 1 else f" (source_sampling {config.source_sampling})"
    targets = dict.fromkeys(config.target_languages, config.target_size)
    few = f"; few-shot training rows: {listed(targets)}" if targets else ""
    validated: dict[str, int | None] = {}
    for example in validation:
        validated[example.language] = (validated.get(example.language) or 0) + 1
    return (
        f"Training examples: {listed(counts)}{sampling}{few}. An id may be trained in several languages; it is then in no validation or "
        "test set.",
        *([f"Validation examples: {listed(validated)}."] if validated else []),
    )
