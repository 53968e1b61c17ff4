"""Finished runs in a tracking service, by name: `trackio`, `wandb` or `mlflow`. None is needed, and none is asked before a run is finished.

A service gets the settings, the learning curves by step, the final scores and costs, the table of languages, and as files the report and
`result.json`. Everything is read from the folder of the run, so that tracking can neither slow nor break one, and can be done later.
"""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from polyprefix.errors import ConfigError, OutputError, UserError, first_line, nearest
from polyprefix.results.files import RESULT, TRAIN_LOG, read_result
from polyprefix.results.log import read_jsonl
from polyprefix.results.table import flatten
from polyprefix.results.trained_in import TrainedIn
from polyprefix.types import RunResult

if TYPE_CHECKING:
    import pandas as pd

Tracker = Callable[[Path], None]
REPORT = "report.html"
PROJECT = "polyprefix"
"""What runs outside a study are filed under."""
TABLE = "languages"
LONGEST_PARAMETER = 500
"""Characters of a parameter that every version of mlflow takes."""
LONGEST_NAME = 128
"""Characters of an artefact's name that Weights & Biases takes."""


def tracker(name: str, project: str = PROJECT) -> Tracker:
    """A function that sends the folder of a finished run to a service.

    Args:
        name: `trackio`, `wandb` or `mlflow`; where it writes is its own setting (`WANDB_MODE`, `MLFLOW_TRACKING_URI`, `TRACKIO_DIR`).
        project: of `trackio` and `wandb`; the experiment of `mlflow`.

    Raises:
        ConfigError: if the service is unknown, or its package is missing.
    """
    if name not in _SEND:
        raise ConfigError(f"--track {name}: no such service, {nearest(name, _SEND)}")
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError:
        raise ConfigError(f"--track {name}: its package is not installed; run: pip install {name}") from None

    def send(folder: Path) -> None:
        run = _Finished(folder)
        try:
            with redirect_stdout(sys.stderr):  # services talk while they work; standard output is the command's own
                _SEND[name](module, project, run)
        except UserError:
            raise
        except Exception as error:  # whatever a service that is not ours may raise
            raise OutputError(
                f"--track {name}: {first_line(error)}; the result is whole in {folder}: correct the service's settings and send it again"
            ) from error

    return send


@dataclass(frozen=True)
class _Finished:
    """The folder of a run as a service takes it."""

    folder: Path

    @cached_property
    def result(self) -> RunResult:
        return read_result(self.folder)

    @property
    def artefact_name(self) -> str:
        """The end of the run's id, which has its hash, in the letters that every service takes."""
        return re.sub(r"[^A-Za-z0-9._-]+", "-", self.result.run_id)[-LONGEST_NAME:]

    def steps(self) -> Iterator[tuple[int, dict[str, float]]]:
        """(step, figures of it) in the order of training; of a step that an interruption repeated, the later figures."""
        file = self.folder / TRAIN_LOG
        found: dict[int, dict[str, float]] = {}
        for record in read_jsonl(file) if file.exists() else ():
            numbers = {
                key: float(value)
                for key, value in flatten(record).items()
                if isinstance(value, int | float) and not isinstance(value, bool)
            }
            if "step" in numbers:
                found.setdefault(int(numbers.pop("step")), {}).update(numbers)
        yield from sorted(found.items())

    def final(self) -> dict[str, float]:
        """Every score and every cost."""
        scores = {
            f"{code}/{metric}": score.value
            for code, metrics in self.result.scores.items()
            for metric, score in metrics.items()
        }
        costs = {f"cost/{name}": value for name, value in self.result.cost.items() if value is not None}
        return {**scores, **costs}

    def languages(self) -> pd.DataFrame:
        """One row a language and metric: name, training, value, n and interval."""
        import pandas as pd

        from polyprefix.languages import get

        trained = TrainedIn.of(self.result.config)
        rows = [
            {
                "language": code, "name": get(code).name, "training": trained.described(code), "metric": metric,
                "value": score.value, "n": score.n, "ci95_low": score.ci95[0], "ci95_high": score.ci95[1],
            }
            for code, metrics in self.result.scores.items() for metric, score in metrics.items()
        ]  # fmt: skip
        return pd.DataFrame(rows)

    @contextmanager
    def files(self) -> Iterator[list[Path]]:
        """The report, which is made where there is none yet, and the result."""
        from polyprefix.report.grid import read_grid
        from polyprefix.report.page import write_page

        with TemporaryDirectory() as place:
            report = self.folder / REPORT
            if not report.is_file():
                report = Path(place) / REPORT
                write_page(read_grid([self.folder]), report)
            yield [report, self.folder / RESULT]


def _weights_and_biases(module: Any, project: str, run: _Finished) -> None:
    """trackio has the same interface."""
    options = {"auto_log_cpu": False, "auto_log_gpu": False} if module.__name__ == "trackio" else {}  # the run is over
    made = module.init(project=project, name=run.result.run_id, config=dict(run.result.config), **options)
    for step, figures in run.steps():
        module.log(figures, step=step)
    module.log({**run.final(), TABLE: module.Table(dataframe=run.languages())})
    artefact = module.Artifact(run.artefact_name, type="result")
    with run.files() as files:
        for file in files:
            artefact.add_file(str(file))
        module.log_artifact(artefact)
        getattr(made, "finish", module.finish)()


def _mlflow(module: Any, project: str, run: _Finished) -> None:
    module.set_experiment(project)
    with module.start_run(run_name=run.result.run_id):
        module.log_params({path: str(value)[:LONGEST_PARAMETER] for path, value in flatten(run.result.config).items()})
        for step, figures in run.steps():
            module.log_metrics(figures, step=step)
        module.log_metrics(run.final())
        module.log_table(run.languages(), f"{TABLE}.json")
        with run.files() as files:
            for file in files:
                module.log_artifact(str(file))


_SEND: Mapping[str, Callable[[Any, str, _Finished], None]] = {
    "trackio": _weights_and_biases,
    "wandb": _weights_and_biases,
    "mlflow": _mlflow,
}
