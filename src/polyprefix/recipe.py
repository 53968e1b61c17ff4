"""One run, on one page:

hub data -> Example -> Prompt -> tokens -> batches -> adapted model -> train -> predict -> metrics -> result
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from polyprefix.config import RunConfig
from polyprefix.data.hub import hub_from_environment
from polyprefix.engine.cost import Stopwatch, cost
from polyprefix.engine.evaluate import predict
from polyprefix.engine.train import train
from polyprefix.engine.work import Work
from polyprefix.methods import registry as methods
from polyprefix.methods.adapted import attach
from polyprefix.methods.files import load_adapter, save_adapter
from polyprefix.models.load import BaseModel, load_model
from polyprefix.progress import SILENT, Reporter
from polyprefix.records import RunResult
from polyprefix.results.files import write_predictions
from polyprefix.results.folder import RunFolder, finished_folder
from polyprefix.results.log import JsonlLog
from polyprefix.results.provenance import provenance
from polyprefix.tasks import registry as tasks
from polyprefix.tasks.base import Source, Task, score_all
from polyprefix.text.fertility import fertilities
from polyprefix.text.prepare import Examples, Tokens, load_examples, tokenise


@dataclass(frozen=True, slots=True)
class Inputs:
    """What one or more runs on the same examples and the same base model share."""

    task: Task
    source: Source
    examples: Examples
    base: BaseModel
    tokens: Tokens
    seconds: float
    """What it took to have them."""


def run(
    config: RunConfig,
    *,
    hub: Path | None = None,
    out: Path = Path("runs"),
    reporter: Reporter = SILENT,
    beside_base: bool = False,
) -> tuple[Path, ...]:
    """Train with English data, evaluate in every language, and write the results.

    Args:
        config: what to run; with `config.adapter`, a saved adapter is evaluated and nothing is trained.
        hub: a local mirror of the Hub; None means POLYPREFIX_HUB, or the Hub itself.
        out: the folder of all runs.
        beside_base: also evaluate the base model on the same examples, unless that result is already there.

    Returns:
        The folder of the finished run, and of the base model's where it was asked for.

    Raises:
        UserError: a mistake in what was asked; nothing that looks like a result is left.
    """
    config = tasks.settle(methods.settle(config))
    inputs = _inputs(config, Source(hub_from_environment(hub)))
    beside: tuple[Path, ...] = ()
    zero_shot = methods.settle(config.model_copy(update={"method": {"name": "none"}, "adapter": None}))
    if beside_base and config != zero_shot:
        beside = (finished_folder(out, zero_shot.run_id()) or _run(zero_shot, inputs, out, reporter),)
    return (_run(config, inputs, out, reporter), *beside)


def _inputs(config: RunConfig, source: Source) -> Inputs:
    with Stopwatch() as clock:
        task = tasks.get(config.task, config.protocol)
        examples = load_examples(task, config, source)
        base = load_model(config.model, **config.runtime.model_dump())
        limit = min(base.max_length, config.text.max_length or base.max_length)
        tokens = tokenise(task, examples, base.tokenizer, limit)
    return Inputs(task, source, examples, base, tokens, clock.seconds)


def _run(config: RunConfig, inputs: Inputs, out: Path, reporter: Reporter) -> Path:
    task, examples, base, tokens = inputs.task, inputs.examples, inputs.base, inputs.tokens
    start = time.perf_counter()
    method = methods.build(config.method)
    folder = RunFolder(out, config.run_id())
    folder.write_config(config)

    if config.adapter:
        model = load_adapter(base, config.adapter)
    else:
        model = attach(base, method, init_text=tokens.instruction, seed=config.seed)
    report = train(
        model, tokens.train, tokens.validation, config, reporter=reporter, log=JsonlLog(folder.train_log).write
    )
    if report.steps:
        save_adapter(model, folder.adapter, task={**tasks.saved(config, task), "shots": tokens.shots})

    work = Work()
    with Stopwatch() as clock:
        predictions = predict(
            model, examples.test, tokens.test, config.eval.token_budget, reporter, f"test {method.name}", work
        )
    flat = [p for items in predictions.values() for p in items]
    write_predictions(folder.predictions, flat, [task.correctness(p) for p in flat])

    return folder.finish(
        RunResult(
            run_id=config.run_id(),
            config=config.model_dump(mode="json"),
            provenance=provenance(model=base.identity, data=task.info.source, device=str(model.device)),
            parameters=model.parameter_counts(),
            scores=score_all(task, examples.test, predictions),
            cost=cost(
                train=(report.examples, report.seconds, report.work),
                evaluation=(len(flat), clock.seconds, work),
                device=model.device,
                dtype=model.seam.dtype,
                first_step=inputs.seconds + report.first_step - start if report.first_step else None,
            ),
            notes=(*examples.notes, *tokens.notes),
            baselines=task.baselines(inputs.source, examples.test) if not report.steps else {},
            fertility=fertilities(base.tokenizer, examples.test),
        )
    )
