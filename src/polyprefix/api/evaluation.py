"""`pp.evaluate`: predictions and scores of an adapted or a base model, in any languages of a task."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach
from polyprefix.api.result import Result
from polyprefix.api.training import TrainingRecord, configure
from polyprefix.config import RunConfig
from polyprefix.data.hub import hub_from_environment
from polyprefix.engine.cost import start_measuring_memory
from polyprefix.evaluation.predictions import predict
from polyprefix.methods.none import NoAdapter
from polyprefix.models.load import BaseModel
from polyprefix.progress import interactive
from polyprefix.recipe import Inputs, label_priors, result_of, tokens_for
from polyprefix.settings import validate
from polyprefix.tasks import registry as tasks
from polyprefix.tasks._source_languages import languages_of_adapter
from polyprefix.tasks.base import Source, Task, stopping_rule
from polyprefix.text.prepare import load_examples
from polyprefix.training.report import TrainReport


def evaluate(
    model: AdaptedModel | BaseModel,
    task: Task,
    languages: Sequence[str] | str = "all",
    *,
    eval_size: int | None = None,
    hub: Path | None = None,
    progress: bool = True,
    **settings: Any,
) -> Result:
    """Predictions and scores in these languages and in the source languages.

    The result of a trained adapter belongs to its training run. Evaluating it again in other languages adds languages to that run.

    Args:
        model: an adapted model, from `train` or `load_adapter`, or a base model, which is evaluated as it is.
        task: the one that it was trained on, or another.
        languages: as people write them (`sw`, `swh_Latn`, `Swahili`); `all` means all of the task. The source languages
            are always among them.
        eval_size: test examples per language; None means all.
        hub: a local mirror of the Hub; None means POLYPREFIX_HUB, or the Hub itself.
        progress: whether a bar is shown in a notebook or a terminal.
        settings: others of `RunConfig` that an evaluation has: `eval_ids`, `eval_until`, `shots`, `shot_language`, `eval`, `text`; for a
            base model with shots also `seed`.

    Returns:
        The result; nothing is written until `Result.save`.

    Raises:
        ConfigError, LanguageError, DataError, ModelError: a mistake in what was asked.
    """
    given = {
        "languages": languages if isinstance(languages, str) else list(languages),
        "eval_size": eval_size,
        **settings,
    }
    if isinstance(model, AdaptedModel):
        return _evaluate(model, task, given, hub, progress)
    adapted = attach(model, NoAdapter())
    try:
        return _evaluate(adapted, task, given, hub, progress)
    finally:
        adapted.detach()


def _evaluate(adapted: AdaptedModel, task: Task, given: dict[str, Any], hub: Path | None, progress: bool) -> Result:
    adapted.require_attached()
    record: TrainingRecord | None = adapted.training_record
    config = _config(adapted, record, task, given)
    inputs = test_inputs(adapted.base, task, config, hub)
    as_read = inputs.made_for
    start_measuring_memory(adapted.device)
    title = f"test {adapted.method.name}"
    answers = predict(
        adapted,
        inputs.examples.test,
        inputs.tokens.test,
        config.eval.token_budget,
        interactive(progress),
        title,
        None,
        task.score,
        stopping_rule(task, config.eval_until),
    )
    report = record.report if record else TrainReport()
    result = result_of(inputs, as_read, adapted, report, answers, None)
    result = replace(result, run_id=config.run_id(), config=config.model_dump(mode="json"))
    found = Result.of(result, task, answers.predictions, adapted if adapted.trainable() else None)
    return replace(found, calibration=label_priors(inputs, as_read, adapted, answers, report, interactive(progress)))


def test_inputs(base: BaseModel, task: Task, config: RunConfig, hub: Path | None) -> Inputs:
    """The test examples of a run and their tokens; its training data is not read.

    Raises:
        LanguageError, DataError: a language that the task lacks, or rows that are missing or wrong.
    """
    start, source = time.perf_counter(), Source(hub_from_environment(hub))
    as_read = config.model_copy(update={"adapter": "in memory"})
    examples = load_examples(task, as_read, source)
    tokens = tokens_for(base, task, examples, config)
    return Inputs(task, source, examples, base, tokens, as_read, time.perf_counter() - start)


def _config(adapted: AdaptedModel, record: TrainingRecord | None, task: Task, given: dict[str, Any]) -> RunConfig:
    """The settings of the run that this evaluation belongs to."""
    method = {"name": adapted.method.name, **adapted.method.model_dump(mode="json")}
    if record is None:
        place = {"adapter": adapted.place, **languages_of_adapter(adapted.learned)} if adapted.place else {}
        return configure(adapted.base, task, method, {**given, **place})
    trained = record.config.model_dump(mode="json")
    kept = {key: value for key, value in trained.items() if key not in ("task", "task_digest", "protocol")}
    config = validate(RunConfig, {**kept, **tasks.reference(task), **given}, "run")
    adapted.run_id = adapted.run_id or config.run_id()
    return config if config.run_id() == adapted.run_id else config.model_copy(update={"adapter": adapted.run_id})
