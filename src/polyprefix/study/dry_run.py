"""One run before it is run: its examples, steps and validations, and what it takes on this machine. No weights are loaded."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyprefix.adapters import registry as methods
from polyprefix.config import RunConfig
from polyprefix.errors import ModelError
from polyprefix.models.digest import with_digests
from polyprefix.models.load import load_tokenizer
from polyprefix.results.folder import is_finished
from polyprefix.study.devices import Device
from polyprefix.study.estimate import Estimate, Known, estimate
from polyprefix.study.lengths import Lengths, measure
from polyprefix.study.plan import MARGIN, remedy
from polyprefix.tasks import registry as tasks
from polyprefix.tasks.base import Source, Task
from polyprefix.text.prepare import Examples, load_examples
from polyprefix.training.length import Length
from polyprefix.types import Split


@dataclass(frozen=True, slots=True)
class PlannedRun:
    """What one run would do."""

    run_id: str
    method: str
    finished: bool
    """Whether its result is there already, so that it would be found and not run."""
    train: int
    """Training examples; 0 where nothing is trained, as the next four."""
    validation: int
    steps: int
    """Optimiser steps; the most, unless `fixed`."""
    fixed: bool
    """Whether exactly so many are made; otherwise training ends when validation no longer improves."""
    first_cycle: int
    """Steps before that is asked for the first time; all, if `fixed`."""
    validations: int
    """How often validation is measured at most, that before the first step included."""
    epochs: float
    """Passes over the training examples in `steps`."""
    test: dict[str, int]
    """Language -> test examples."""
    cost: Estimate | None
    """None where the model's shape or tokenizer is not here."""
    fits: bool
    remedy: str
    """What makes it fit, if it does not."""
    notes: tuple[str, ...]
    """Those of the data, as the result would have them, and why there is no estimate."""


def plan_run(config: RunConfig, hub: Path | None, out: Path, device: Device, *, beside_base: bool) -> list[PlannedRun]:
    """The run that a configuration asks for, and that of its base model.

    Args:
        out: the folder of all runs, where finished ones are found.

    Raises:
        UserError: as the run itself, for settings and data.
    """
    config = with_digests(tasks.resolve(methods.resolve(config)))
    alone = config.model_copy(update={"method": {"name": "none"}, "adapter": None, "adapter_digest": None})
    base = tasks.resolve(methods.resolve(alone))
    wanted = (config, base) if beside_base and base != config else (config,)
    return [_planned(one, Source(hub), out, device) for one in wanted]


def _planned(config: RunConfig, source: Source, out: Path, device: Device) -> PlannedRun:
    task = tasks.get(config.task, config.protocol)
    examples = load_examples(task, config, source)
    train, validation = len(examples.train), len(examples.validation)
    length = Length.of(config.train, train, validation) if config.trains else None
    notes = list(examples.notes)
    try:
        cost = estimate(config, device, _lengths_of(task, config, examples))
    except ModelError as error:
        cost = None
        notes.append(f"no estimate of time and memory: {error}")
    fits = cost is None or cost.memory <= MARGIN * device.memory
    per_step = min(config.train.batch_size, train)
    return PlannedRun(
        config.run_id(), str(config.method["name"]), is_finished(out, config.run_id()), train, validation,
        length.total if length else 0, length.fixed if length else True, length.ends[0] if length else 0,
        len(length.validated) if length and validation else 0, length.total * per_step / train if length else 0.0,
        {code: len(rows) for code, rows in examples.test.items()}, cost, fits, "" if fits else remedy(config, device), tuple(notes),
    )  # fmt: skip


def _lengths_of(task: Task, config: RunConfig, examples: Examples) -> Known:
    """Lengths of the prompts of this run, by the model's own tokenizer."""
    tokenizer: Any = load_tokenizer(config.model)

    def known(split: Split | str, language: str) -> Lengths | None:
        rows = examples.test.get(language, ())
        if split == "test":
            return measure(task, rows, "test", tokenizer, len(rows)) if rows else None
        few = len(config.target_languages) * (config.target_size or 0)
        each = round((len(examples.train) - few) / max(1, len(config.source_languages)))
        learned = examples.train or next(iter(examples.test.values()))  # of a run that trains nothing, nobody asks
        return measure(task, learned, "train", tokenizer, max(1, each))

    return known
