"""`pp.train`: a task, a model and a method give an adapted model with its training record."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyprefix.adapters import registry as methods
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.config import RunConfig
from polyprefix.data.hub import hub_from_environment
from polyprefix.errors import ConfigError
from polyprefix.methods.base import Method
from polyprefix.models.digest import LENGTH, with_digests
from polyprefix.models.load import BaseModel
from polyprefix.progress import interactive
from polyprefix.recipe import learned, tokens_for
from polyprefix.settings import listed_names, validate
from polyprefix.tasks import registry as tasks
from polyprefix.tasks._source_languages import with_source_languages
from polyprefix.tasks.base import ENGLISH, Source, Task
from polyprefix.text.prepare import load_examples
from polyprefix.training.loop import train as train_adapter
from polyprefix.training.report import TrainReport

if TYPE_CHECKING:
    import pandas as pd

AnyMethod = Method | str | Mapping[str, Any]
"""A method object, its name, or its settings with a `name`."""


@dataclass(frozen=True)
class TrainingRecord:
    """What training did."""

    steps: int
    """Optimiser steps."""
    examples: int
    """Training examples seen, repetitions counted."""
    seconds: float
    """Without validation."""
    kept_step: int
    """The step whose weights were kept."""
    learned: bool | None
    """Whether they are better than chance on validation examples; None without any."""
    notes: tuple[str, ...]
    """What a reader of its scores must know: that nothing was learned, or that more would have been."""
    log: pd.DataFrame
    """One row per step, and one of step 0 for the validation before the first: `step`, `loss`, `gradient_norm`, `learning_rate`; and in those
    where validation was measured `validation_log_likelihood`, `validation_accuracy`."""
    config: RunConfig
    """All settings, with every default filled in."""
    report: TrainReport
    digest: str
    """Of the examples that were read."""

    @property
    def validation(self) -> pd.DataFrame:
        """The rows of the log in which validation was measured."""
        measured = [name for name in self.log.columns if name.startswith("validation")]
        return self.log.dropna(subset=measured[:1])[["step", *measured]] if measured else self.log.iloc[:0]


def train(
    model: BaseModel,
    task: Task,
    method: AnyMethod = "prefix",
    *,
    seed: int = 0,
    train_size: int | None = None,
    source_languages: Sequence[str] | str = (ENGLISH,),
    target_languages: Sequence[str] | str = (),
    target_size: int | None = None,
    shots: int = 0,
    hub: Path | None = None,
    progress: bool = True,
    **settings: Any,
) -> AdaptedModel:
    """Train an adapter on the examples of a task in the source languages, English by default.

    Args:
        model: from `load_model` or `wrap_model`; given back as it was by `detach` of what is returned.
        task: from `load_task`, `Task.from_pandas` or `Task.from_dataset`.
        method: such as `PrefixTuning(length=16)`, its name, or its settings with a `name`.
        seed: of the sample of examples, their order, and random initial values.
        train_size: training examples, over all source languages; None means all.
        source_languages: of training and validation, as people write them (`["en", "hi"]`).
        target_languages: languages with a few training examples beside them.
        target_size: how many, in each target language.
        shots: few-shot examples in front of each prompt.
        hub: a local mirror of the Hub; None means POLYPREFIX_HUB, or the Hub itself.
        progress: whether a bar is shown in a notebook or a terminal.
        settings: `source_sampling`, `source_temperature`, and any of `TrainConfig`, such as `learning_rate=1e-3`, `steps=100`,
            `batch_size=8`; the others are the method's defaults.

    Returns:
        The adapted model with the weights that `keep` says, and `training_record` (`TrainingRecord`).

    Raises:
        ConfigError: if a setting is unknown or impossible, or the method trains nothing.
        LanguageError: if the task has no training data in a language.
        DataError: if it has too little, or a prompt is too long.
        ModelError: as `attach`.
        TrainingError: if the loss is no longer a number.
    """
    sampling: dict[str, Any] = {
        key: settings.pop(key) for key in ("source_sampling", "source_temperature") if key in settings
    }
    given: dict[str, Any] = {
        "seed": seed, "train_size": train_size, "source_languages": listed_names(source_languages),
        "target_languages": listed_names(target_languages), "target_size": target_size, "shots": shots, "train": settings, **sampling,
    }  # fmt: skip
    config = configure(model, task, method, given)
    if not config.trains:
        raise ConfigError(f"method '{config.method['name']}': trains nothing; evaluate the base model itself")
    source = Source(hub_from_environment(hub))
    # prompts of the test set train nothing, but the first shows whether a choice begins with another
    one = [code for code in config.source_languages if code in task.languages()] or task.languages()[:1]
    examples = load_examples(task, config.model_copy(update={"languages": tuple(one)}), source)
    examples = replace(examples, test={one[0]: examples.test[one[0]][:1]})
    tokens = tokens_for(model, task, examples, config)
    adapted = attach(model, methods.build(config.method), init_text=tokens.instruction, seed=seed)
    adapted.learned = learned(config, task, tokens)
    log: list[dict[str, Any]] = []
    try:
        report = train_adapter(
            adapted,
            tokens.train,
            tokens.validation,
            config,
            reporter=interactive(progress),
            log=log.append,
            watched=tokens.watched,
        )
    except BaseException:
        adapted.detach()
        raise
    adapted.training_record = TrainingRecord(
        report.steps, report.examples, report.seconds, report.kept_step, report.learned, report.notes(), _frame(log), config, report,
        examples.digest(training=True),
    )  # fmt: skip
    return adapted


def configure(model: BaseModel, task: Task, method: AnyMethod, given: Mapping[str, Any]) -> RunConfig:
    """The settings of a run with these objects, resolved: equal to those of `run` where they come from the same names.

    Raises:
        ConfigError: if a setting is unknown or impossible.
    """
    if isinstance(method, Method):
        method = {"name": method.name, **method.model_dump(mode="json")}
    values = {"model": model.name, "method": method, **tasks.reference(task), **given}
    config = with_source_languages(methods.resolve(validate(RunConfig, values, "run")), task)
    if model.wrapped:  # its weights are in memory, whatever lies under its name
        return config.model_copy(update={"model_digest": str(model.identity.weights)[:LENGTH]})
    return with_digests(config)


def _frame(log: list[dict[str, Any]]) -> pd.DataFrame:
    """One row per step; a validation joins the step that it follows."""
    import pandas as pd

    rows: dict[int, dict[str, Any]] = {}
    for record in log:
        if "watched" in record:
            continue  # a row for each language: those of `report.validation`
        rows.setdefault(record["step"], {}).update(record)
    return pd.DataFrame(list(rows.values()))
