"""Finished cells in a tracking service, by name: `trackio`, `wandb` or `mlflow`. None is needed, and none is asked before a cell is finished.

Everything is read from the files of the result, so that tracking can neither slow nor break a run, and can be done later.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from polyprefix.errors import ConfigError, nearest
from polyprefix.results.files import TRAIN_LOG, read_result
from polyprefix.results.log import read_jsonl
from polyprefix.results.table import flatten
from polyprefix.types import RunResult

Tracker = Callable[[Path], None]


def tracker(name: str, project: str) -> Tracker:
    """A function that sends the folder of a finished run to a service.

    Raises:
        ConfigError: if the service is unknown, or its package is missing.
    """
    if name not in _SEND:
        raise ConfigError(f"--track {name}: no such service, {nearest(name, _SEND)}")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError:
        raise ConfigError(f"--track {name}: its package is not installed; run: pip install {name}") from None
    return lambda folder: _SEND[name](module, project, read_result(folder), folder)


def _weights_and_biases(module: Any, project: str, result: RunResult, folder: Path) -> None:
    """trackio has the same interface."""
    run = module.init(project=project, name=result.run_id, config=dict(result.config))
    for record in _steps(folder):
        module.log(record)
    module.log(_final(result))
    getattr(run, "finish", module.finish)()


def _mlflow(module: Any, project: str, result: RunResult, folder: Path) -> None:
    module.set_experiment(project)
    with module.start_run(run_name=result.run_id):
        module.log_params({path: str(value)[:500] for path, value in flatten(result.config).items()})
        for record in _steps(folder):
            module.log_metrics({k: v for k, v in record.items() if k != "step"}, step=record["step"])
        module.log_metrics(_final(result))


_SEND: Mapping[str, Callable[[Any, str, RunResult, Path], None]] = {
    "trackio": _weights_and_biases,
    "wandb": _weights_and_biases,
    "mlflow": _mlflow,
}


def _steps(folder: Path) -> list[dict[str, Any]]:
    file = folder / TRAIN_LOG
    return list(read_jsonl(file)) if file.exists() else []


def _final(result: RunResult) -> dict[str, float]:
    scores = {f"{code}/{metric}": s.value for code, metrics in result.scores.items() for metric, s in metrics.items()}
    return {**scores, **{f"cost/{name}": value for name, value in result.cost.items()}}
