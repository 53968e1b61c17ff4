"""The long table of results: one row per run, language and example, and one row per run. Everything that analyses results reads it.

| frame      | one row per                | columns                                                                             |
|------------|----------------------------|-------------------------------------------------------------------------------------|
| `runs`     | finished run               | `RUN_COLUMNS`, indexed by `run_id`                                                  |
| `examples` | run, language and example  | `EXAMPLE_COLUMNS`, then one float column for each metric, NaN for runs without it   |

Runs come from folders (`read_table`) or from memory (`table_of`). Each run counts once: copies are left out, and an evaluation of a saved
adapter becomes more languages of the run that trained it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from polyprefix.calibration.record import CalibrationRecord, read_record
from polyprefix.config import ADDED_LATER, TESTED
from polyprefix.errors import ConfigError, OutputError, nearest
from polyprefix.names import DEFAULT_PROTOCOL, task_title
from polyprefix.results.examples import EXAMPLE_COLUMNS, as_frame, examples_of, read_examples
from polyprefix.results.files import PREDICTIONS, find_results, read_result
from polyprefix.results.merge import Loaded, merge
from polyprefix.results.trained_in import TrainedIn
from polyprefix.types import Prediction, RunResult

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["BASE_METHOD", "EXAMPLE_COLUMNS", "RUN_COLUMNS", "ResultsTable", "flatten", "read_table", "table_of"]

BASE_METHOD = "none"
"""The method of a base model's run."""
NOT_OF_THE_SYSTEM = (
    *TESTED, "task", "protocol", "model", "shots", "seed", "eval.", "runtime.", "train.token_budget",
    "train.gradient_checkpointing", "train.cache_lower_layers", "train.whole_pass",
)  # fmt: skip
"""Settings, or the first letters of them, that make no other system: the cell itself, what is averaged over, how it is computed."""
OF_TRAINED_SYSTEMS = ("source_", "target_")
"""Settings that say nothing of a system that trains nothing."""
RUN_COLUMNS = (
    "task", "model", "method", "settings", "shots", "shot_language", "source_languages", "target_languages", "target_size", "seed", "metric",
    "trainable_parameters", "total_parameters", "learned",
    "scores", "cost", "notes", "baselines", "fertility", "training", "origins", "answers", "config", "provenance", "folder",
    "calibration",
)  # fmt: skip
"""`task` and `model` end in the first digits of a digest where two of one name have different content. `settings` are those of the
system, flat (`method.length`). `source_languages` are empty where nothing is trained. `learned` says whether validation was better than
chance, None where that was not measured. `scores` maps language -> metric -> `Score`, as `result.json` does; `folder` is None for results in
memory; `calibration` is the `CalibrationRecord` of `calibration.json`, None where a run kept none."""


@dataclass(frozen=True, slots=True)
class ResultsTable:
    """Finished runs and their predictions as two frames."""

    runs: pd.DataFrame
    """One row per run, indexed by `run_id`: `RUN_COLUMNS`."""
    examples: pd.DataFrame
    """One row per run, language and example: `EXAMPLE_COLUMNS`, then a float column per metric."""
    notes: tuple[str, ...] = ()
    """One line for each folder that was left out or merged into another run."""

    def with_metric(self, metric: str) -> ResultsTable:
        """The same runs with another main metric, computed by their tasks where the predictions were stored without it.

        Raises:
            ConfigError: if a run has no such metric, or its score is not the mean over examples.
        """
        runs, examples = self.runs.assign(metric=metric), self.examples.copy()
        for run_id, run in self.runs.iterrows():
            known = list(next(iter(run["scores"].values())))
            if metric not in known:
                where = run["folder"] or run_id
                raise ConfigError(f"metric '{metric}': {where} has none of that name, {nearest(metric, known)}")
            mine = examples["run_id"] == run_id
            if metric not in examples or examples.loc[mine, metric].isna().any():
                examples.loc[mine, metric] = _by_example(run, examples[mine], metric)
            _require_mean(run, examples[mine], metric)
        return replace(self, runs=runs, examples=examples)

    def with_calibration(self, calibration: str) -> ResultsTable:
        """The runs whose answers are chosen labels, with calibrated accuracy as main metric: `accuracy, batch-calibrated`.

        Raw scores and answers stay beside it. `notes` names runs that cannot be calibrated.

        Args:
            calibration: one of `polyprefix.calibration.answers.CALIBRATIONS`.

        Raises:
            ConfigError: if there is no such calibration, or no run that can be calibrated.
        """
        from polyprefix.calibration.answers import check_calibration
        from polyprefix.calibration.table import with_calibration

        return with_calibration(self, check_calibration(calibration))


def read_table(folders: Sequence[Path], metric: str | None = None, calibration: str | None = None) -> ResultsTable:
    """The table of every finished run in some folders.

    Runs that were tested in no language, such as those that choose settings in a study, are passed over. A run that cannot be read is
    named in `notes`.

    Args:
        folders: of runs, or of folders of runs.
        metric: the main metric of every run, one with a value for each example; None means the task's own.
        calibration: as `ResultsTable.with_calibration`; None means raw answers.

    Raises:
        OutputError: if a folder is missing.
        ConfigError: as `ResultsTable.with_metric` and `with_calibration`.
    """
    loaded: list[Loaded] = []
    unread: list[str] = []
    for folder in dict.fromkeys(found for place in folders for found in find_results(place)):
        try:
            result = read_result(folder)
            if result.scores:
                main = _main_metric(result, str(folder))
                examples = read_examples(folder / PREDICTIONS, result, main)
                loaded.append(Loaded(result, examples, main, folder, read_record(folder)))
        except OutputError as error:
            unread.append(str(error))
    table = _table(loaded, unread)
    table = table if metric is None else table.with_metric(metric)
    return table if calibration is None else table.with_calibration(calibration)


def table_of(
    results: Iterable[tuple[RunResult, pd.DataFrame]], records: Mapping[str, CalibrationRecord] | None = None
) -> ResultsTable:
    """The table of results in memory.

    Args:
        results: each with its predictions, a frame with the columns of `predictions.parquet`.
        records: run id -> what calibration may use beside the predictions.

    Raises:
        OutputError: if a frame lacks a column, or its examples do not give the scores of the result.
    """
    loaded = []
    for result, frame in results:
        main = _main_metric(result, result.run_id)
        record = (records or {}).get(result.run_id)
        loaded.append(Loaded(result, examples_of(frame, result, main), main, None, record))
    return _table(loaded, [])


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level.

    >>> flatten({"seed": 0, "train": {"epochs": 4}})
    {'seed': 0, 'train.epochs': 4}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flatten(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found


def _main_metric(result: RunResult, where: str) -> str:
    """The first metric of a result."""
    for key in ("task", "model", "method"):
        if key not in result.config:
            raise OutputError(f"{where}: the config in result.json lacks '{key}'; run it again")
    if not (metrics := list(next(iter(result.scores.values()), {}))):
        raise OutputError(f"{where}: result.json has no scores of its first language; run it again")
    return metrics[0]


def _table(loaded: Sequence[Loaded], unread: Sequence[str]) -> ResultsTable:
    import pandas as pd

    once, notes = merge(loaded)
    results = [one.result for one in once]
    rows = [_row(one, task, model) for one, task, model in zip(once, _tasks(results), _models(results), strict=True)]
    index = pd.Index([result.run_id for result in results], name="run_id", dtype=object)
    runs = pd.DataFrame(rows, index=index, columns=list(RUN_COLUMNS))
    return ResultsTable(runs, as_frame([(one.result, one.examples) for one in once]), (*unread, *notes))


def _row(one: Loaded, task: str, model: str) -> dict[str, Any]:
    result, config = one.result, one.result.config
    trained = TrainedIn.of(config)
    settings = {
        key: value
        for key, value in flatten(config).items()
        if not key.startswith(NOT_OF_THE_SYSTEM) and value not in ADDED_LATER.get(key, ())  # absent in earlier results
        if trained.trains or not key.startswith(OF_TRAINED_SYSTEMS)
    }
    return {
        "task": task, "model": model, "method": str(config["method"]["name"]), "settings": settings,
        "shots": int(config.get("shots", 0)), "shot_language": config.get("shot_language"),
        "source_languages": trained.sources if trained.trains else (), "target_languages": trained.targets,
        "target_size": trained.target_size, "seed": int(config.get("seed", 0)),
        "metric": one.metric, "trainable_parameters": int(result.parameters.get("trainable", 0)),
        "total_parameters": int(result.parameters.get("total", 0)), "folder": one.folder, "calibration": one.calibration,
         "learned": result.training.get("learned"),
        **{key: getattr(result, key) for key in (
            "scores", "cost", "notes", "baselines", "fertility", "training", "origins", "answers", "config", "provenance",
        )},
    }  # fmt: skip


def _tasks(results: Sequence[RunResult]) -> list[str]:
    """The task of each run; of task files with one name and different content, the name and the start of the digest."""
    return by_content([(task_title(result.config), str(result.config.get("task_digest") or "")) for result in results])


def _models(results: Sequence[RunResult]) -> list[str]:
    """The model of each run; of models with one name and other weights, the name and the start of the weights' digest."""
    known = [result.provenance.get("model") for result in results]
    weights = [str(model.get("weights") or "") if isinstance(model, Mapping) else "" for model in known]
    return by_content(list(zip((str(result.config["model"]) for result in results), weights, strict=True)))


def by_content(named: Sequence[tuple[str, str]]) -> list[str]:
    """Names with digests: the name alone where it has one digest, or none that is known.

    >>> by_content([("m", "a" * 64), ("m", "b" * 64), ("n", "c" * 64), ("n", "")])
    ['m [aaaaaaaa]', 'm [bbbbbbbb]', 'n', 'n']
    """
    digests = {(name, digest) for name, digest in named if digest}
    several = {name for name, _ in digests if sum(name == other for other, _ in digests) > 1}
    return [f"{name} [{digest[:8]}]" if name in several and digest else name for name, digest in named]


def _by_example(run: Mapping[str, Any], examples: pd.DataFrame, metric: str) -> list[float]:
    """What a metric says of each prediction alone."""
    from polyprefix.tasks import registry

    task = registry.get(str(run["config"]["task"]), str(run["config"].get("protocol", DEFAULT_PROTOCOL)))
    columns = (examples[name] for name in ("example_id", "language", "references", "prediction", "log_likelihoods"))
    return [
        task.score([Prediction(key, language, tuple(references), prediction, tuple(likelihoods))])[metric].value
        for key, language, references, prediction, likelihoods in zip(*columns, strict=True)
    ]


def _require_mean(run: Mapping[str, Any], examples: pd.DataFrame, metric: str) -> None:
    """The metric's score in each language is the mean over its examples."""
    for code, mean in examples.groupby("language")[metric].mean().items():
        score = run["scores"][code][metric].value
        if abs(mean - score) > 1e-6:
            main = next(iter(run["scores"][code]))
            raise ConfigError(
                f"metric '{metric}': {run['folder']} has {score:.4f} in {code}, the mean over its examples is {mean:.4f}, so it has no "
                f"value for a single example; choose {main}"
            )
