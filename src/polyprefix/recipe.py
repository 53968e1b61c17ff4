"""One run, on one page:

hub data -> Example -> Prompt -> tokens -> batches -> adapted model -> train -> predict -> metrics -> result
"""

from __future__ import annotations

import gc
import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from polyprefix.adapters import registry as methods
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.adapters.attach import attach, is_changed
from polyprefix.adapters.files import load_adapter, save_adapter
from polyprefix.calibration.record import CalibrationRecord, Validation, write_record
from polyprefix.config import RunConfig
from polyprefix.data.hub import hub_from_environment
from polyprefix.engine.cost import cost, start_measuring_memory
from polyprefix.engine.processes import processes
from polyprefix.evaluation.answer_checks import answer_checks
from polyprefix.evaluation.label_priors import calibration_record
from polyprefix.evaluation.predictions import Answers, predict
from polyprefix.evaluation.shared_activations import ActivationStore, sharing
from polyprefix.methods.base import Method
from polyprefix.models.digest import with_digests
from polyprefix.models.generation import ignored_note
from polyprefix.models.load import BaseModel, load_model
from polyprefix.models.runtime import gpu_name
from polyprefix.progress import SILENT, Reporter
from polyprefix.results.files import write_predictions
from polyprefix.results.folder import RunFolder, finished_folder, require_same
from polyprefix.results.log import JsonlLog
from polyprefix.results.provenance import made_by, processor, provenance
from polyprefix.results.trained_once import TrainedOnce, any_trained, once_note
from polyprefix.scoring.stopping import stopping_note
from polyprefix.tasks import registry as tasks
from polyprefix.tasks._source_languages import languages_learned
from polyprefix.tasks.base import Source, Task, score_all, stopping_rule
from polyprefix.text.fertility import fertilities
from polyprefix.text.prepare import Examples, Tokens, load_examples, tokenise
from polyprefix.training.checkpoint import Checkpoint
from polyprefix.training.loop import train
from polyprefix.training.report import TrainReport
from polyprefix.types import RunResult


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one or more runs on the same examples and the same base model share."""

    task: Task
    source: Source
    examples: Examples
    base: BaseModel
    tokens: Tokens
    made_for: RunConfig
    seconds: float
    """What it took to have them."""

    def data_digest(self, config: RunConfig) -> str:
        """Of all examples that a run reads."""
        return self.examples.digest(training=config.trains)


def run(
    config: RunConfig,
    *,
    hub: Path | None = None,
    out: Path = Path("runs"),
    reporter: Reporter = SILENT,
    beside_base: bool = False,
) -> tuple[Path, ...]:
    """Train in the source languages, evaluate in every language, and write the results.

    A run that was interrupted goes on from its last checkpoint and its last finished language.

    Args:
        config: what to run; with `config.adapter`, a saved adapter is evaluated and nothing is trained.
        hub: a local mirror of the Hub; None means POLYPREFIX_HUB, or the Hub itself.
        out: the folder of all runs.
        beside_base: also evaluate the base model on the same examples, unless that result is already there.

    Returns:
        The folder of the finished run, and of the base model's where it was asked for.

    Raises:
        UserError: a mistake in what was asked; no partial result is written.
    """
    config = with_digests(tasks.resolve(methods.resolve(config)))
    inputs = load_inputs(config, Source(hub_from_environment(hub)))
    base_folders: tuple[Path, ...] = ()
    alone = config.model_copy(update={"method": {"name": "none"}, "adapter": None, "adapter_digest": None})
    zero_shot = tasks.resolve(methods.resolve(alone))
    if beside_base and config != zero_shot:
        base_folders = (
            _found(inputs, zero_shot, out, inputs.data_digest(zero_shot)) or run_on(inputs, zero_shot, out, reporter),
        )
    return (run_on(inputs, config, out, reporter), *base_folders)


def _found(inputs: Inputs, config: RunConfig, out: Path, data: str) -> Path | None:
    """The folder of a finished run, checked to be one with the same weights and data.

    Args:
        data: the digest of what the run reads.

    Raises:
        OutputError: if it was made with others.
    """
    if folder := finished_folder(out, config.run_id()):
        require_same(folder, inputs.base.identity.weights, data)
    return folder


def load_inputs(config: RunConfig, source: Source, earlier: Inputs | None = None) -> Inputs:
    """Read the examples and load the model, or take what is the same from an earlier run in this process.

    What is not taken from `earlier` is freed before the next model is loaded, if nobody else holds it.
    """
    start = time.perf_counter()
    task = tasks.get(config.task, config.protocol)
    same = earlier if earlier and source == earlier.source and _reads(config) == _reads(earlier.made_for) else None
    examples, tokens = (same.examples, same.tokens) if same else (load_examples(task, config, source), None)
    tokenised_for = earlier.base.identity if earlier else None
    base = earlier.base if earlier and _loads(config) == _loads(earlier.made_for) else None
    base = None if base and is_changed(base) else base
    earlier = same = None
    if base is None:
        # an earlier model may hang in a cycle; else nothing is to be freed, and looking takes half a second
        if tokenised_for is not None:
            gc.collect()
        base = load_model(config.model, **_loading(config))
    if tokens is None or base.identity != tokenised_for:
        tokens = tokens_for(base, task, examples, config)
    return Inputs(task, source, examples, base, tokens, config, time.perf_counter() - start)


def tokens_for(base: BaseModel, task: Task, examples: Examples, config: RunConfig) -> Tokens:
    """The examples as tokens of a base model, no longer than it reads and the settings allow.

    Raises:
        DataError: as `tokenise`.
    """
    limit = min(base.max_length, config.text.max_length or base.max_length)
    return tokenise(task, examples, base.tokenizer, limit, base.vocabulary)


def learned(config: RunConfig, task: Task, tokens: Tokens) -> dict[str, Any]:
    """What an adapter keeps of the task that it was trained on."""
    return {**tasks.saved(config, task), **languages_learned(config), "shots": tokens.shots, "end": tokens.end}


def _loading(config: RunConfig) -> dict[str, Any]:
    """The runtime settings; a model that is sharded is loaded where no device needs to hold all of it."""
    return config.runtime.model_dump() | ({"device": "cpu"} if processes().sharded else {})


def _reads(config: RunConfig) -> dict[str, object]:
    """What decides which examples are read, and how they are worded."""
    size = config.train.validation_size if config.trains else 0
    others = {"model", "model_digest", "method", "adapter", "adapter_digest", "train", "eval", "runtime"}
    return {**config.model_dump(exclude=others), "trains": config.trains, "validation": size}


def _loads(config: RunConfig) -> dict[str, object]:
    """What decides which model is loaded and how; recomputing activations stays switched on in it."""
    checkpointing = config.trains and config.train.gradient_checkpointing
    return {**config.model_dump(include={"model", "model_digest", "runtime"}), "checkpointing": checkpointing}


def run_on(
    inputs: Inputs,
    config: RunConfig,
    out: Path,
    reporter: Reporter,
    checkpoint_seconds: float = 60,
    *,
    trained_again: bool | None = None,
    activations: ActivationStore | None = None,
) -> Path:
    """One run on what is loaded; `config` is resolved. Returns the folder of the finished run.

    Of several processes that accelerate started, all compute and the main one writes.

    Args:
        trained_again: whether other runs here are to train the same (`RunConfig.training_id`): they take what this one trained, as it
            takes what one of them did (polyprefix.results.trained_once). None means that nobody was asked: each trains its own.
        activations: what it shares with other runs of the same model and task.
    """
    group, start = processes(), time.perf_counter()
    task, method, data = inputs.task, methods.build(config.method), inputs.data_digest(config)
    with group.main_first():
        _found(inputs, config, out, data)
        folder = RunFolder(
            out, config.run_id(), made_by() | {"weights": inputs.base.identity.weights, "data": data},
            alone=group.main,
        )  # fmt: skip
        folder.write_config(config)
    shared = _shared(inputs, config, folder, trained_again)
    trained_with = shared.fetch(folder) if shared and group.main else None
    model, report = _trained(inputs, config, method, folder, reporter, checkpoint_seconds)
    if shared and group.main and trained_again:
        shared.keep(folder)

    shared_states = activations.open(model, _computed_by(inputs, config)) if activations else None
    with sharing(model, shared_states):
        answers = predict(
            model, inputs.examples.test, inputs.tokens.test, config.eval.token_budget, reporter, f"test {method.name}",
            folder.unfinished, task.score, stopping_rule(task, config.eval_until),
        )  # fmt: skip
        spared = shared_states.note() if shared_states else None
        record = label_priors(inputs, config, model, answers, report, reporter)
    if not group.main:
        return out / group.agree(config.run_id())
    flat = [p for items in answers.predictions.values() for p in items]
    write_predictions(folder.predictions, flat, [task.correctness(p) for p in flat])
    if record is not None:
        write_record(folder.path, record)

    first_step = inputs.seconds + report.first_step - start if report.first_step else None
    result = result_of(inputs, config, model, report, answers, first_step)
    of_others = [once_note(trained_with) if trained_with else None, spared]
    finished = folder.finish(replace(result, notes=(*result.notes, *filter(None, of_others))))
    if shared and not trained_again:
        shared.forget()
    group.agree(config.run_id())  # the others go on when everything is written
    return finished


def _computed_by(inputs: Inputs, config: RunConfig) -> dict[str, object]:
    """All that decides the numbers of a forward pass of the base model, beside its tokens."""
    machine = gpu_name(str(inputs.base.model.device)) or processor()
    loaded = {"weights": inputs.base.identity.weights, "runtime": config.runtime.model_dump(mode="json")}
    return {**made_by(), **loaded, "machine": machine}


def _trained(
    inputs: Inputs, config: RunConfig, method: Method, folder: RunFolder, reporter: Reporter, checkpoint_seconds: float
) -> tuple[AdaptedModel, TrainReport]:
    """The adapter of a run, trained and saved, or loaded where the run evaluates a saved one."""
    group, base, tokens = processes(), inputs.base, inputs.tokens
    if config.adapter:
        model = load_adapter(base, config.adapter, restorable=False)
    else:
        model = attach(base, method, init_text=tokens.instruction, seed=config.seed, restorable=False)
    group.shard(model)
    start_measuring_memory(model.device)
    log = JsonlLog(folder.train_log).write if group.main else lambda record: None
    report = train(
        model, tokens.train, tokens.validation, config, reporter=reporter, log=log,
        checkpoint=Checkpoint(folder.unfinished.checkpoint, folder.train_log if group.main else None, checkpoint_seconds),
        watched=tokens.watched,
    )  # fmt: skip
    if report.steps:
        save_adapter(model, folder.adapter, task=learned(config, inputs.task, tokens), write=group.main)
    return model, report


def _shared(inputs: Inputs, config: RunConfig, folder: RunFolder, trained_again: bool | None) -> TrainedOnce | None:
    """Where the training of a run is kept for others; None for one that trains nothing, and where no other run needs or left one."""
    if not config.trains or trained_again is None or not (trained_again or any_trained(folder.out)):
        return None
    data = inputs.examples.digest_of_training()
    return TrainedOnce(
        folder.out, config.training_id(), made_by() | {"weights": inputs.base.identity.weights, "data": data}
    )


def label_priors(
    inputs: Inputs, config: RunConfig, model: AdaptedModel, answers: Answers, report: TrainReport, reporter: Reporter
) -> CalibrationRecord | None:
    """What calibration needs beside the test answers: answers to validation examples, by the final weights, and to prompts that ask
    nothing.

    Args:
        report: of training, which measured its kept weights; of a base model and of averaged weights it is measured now.

    Returns:
        None where answers are generated, or labels are not the same in every example.
    """
    examples, tokens, budget = inputs.examples, inputs.tokens, config.eval.token_budget
    validated = report.answers
    if inputs.task.info.labels and examples.validation and not validated.targets:
        rows, encoded = {"validation": examples.validation}, {"validation": tokens.validation}
        found = predict(model, rows, encoded, budget, reporter, "validation").predictions["validation"]
        validated = Validation(
            tuple(answer.log_likelihoods for answer in found),
            tuple(example.choices.index(example.references[0]) for example in examples.validation),
            tuple(example.language for example in examples.validation),
        )
    return calibration_record(model, inputs.task, examples, tokens, answers.predictions, validated, budget)


def result_of(
    inputs: Inputs,
    config: RunConfig,
    model: AdaptedModel,
    report: TrainReport,
    answers: Answers,
    first_step: float | None,
) -> RunResult:
    """The result of what was trained and answered.

    Args:
        report: of training; a new one where nothing was trained.
        first_step: seconds until the first optimiser step was done.
    """
    task, examples, base = inputs.task, inputs.examples, inputs.base
    flat = [p for items in answers.predictions.values() for p in items]
    checks, told = answer_checks(task, answers)
    rule = stopping_rule(task, config.eval_until)
    available = {code: len(rows) for code, rows in examples.test.items()} if rule else {}
    stopped = [stopping_note(config.eval_until, available, answers.asked)] if config.eval_until else []
    written = [note for note in [ignored_note(base.model)] if note and not all(p.log_likelihoods for p in flat)]
    return RunResult(
        run_id=config.run_id(),
        config=config.model_dump(mode="json"),
        provenance=provenance(
            threads=torch.get_num_threads(),
            gpu=gpu_name(str(model.device)),
            model=asdict(base.identity),
            data=task.info.source,
            data_digest=inputs.data_digest(config),
            device=str(model.device),
            resumed_at=report.resumed_at,
        ),
        parameters=model.parameter_counts(),
        scores=score_all(task, answers.asked, answers.predictions, rule, available),
        cost=cost(
            train=(report.examples, report.seconds, report.work),
            evaluation=(len(flat), answers.seconds, answers.work),
            memory=max(report.memory, answers.memory),
            device=model.device,
            dtype=model.hook.dtype,
            first_step=first_step,
            validation=(
                (report.validation_size + report.watched_size) * len(report.validation),
                report.validation_seconds,
            ),
        ),
        notes=(*examples.notes, *inputs.tokens.notes, *report.notes(), *written, *told, *stopped),
        baselines=task.baselines(inputs.source, answers.asked) if not report.steps else {},
        fertility=fertilities(base.tokenizer, examples.test),
        training=report.figures(),
        answers=checks,
        available=available,
        origins={code: found for code in examples.test if (found := task.info.origin_of(code)) != "not stated"},
    )
