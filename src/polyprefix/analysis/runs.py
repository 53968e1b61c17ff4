"""A finished run as comparisons and reports need it: its result, and how right each answer was."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyprefix.analysis.answers import ByLanguage
from polyprefix.config import DEFAULT_PROTOCOL
from polyprefix.errors import ConfigError, OutputError, nearest
from polyprefix.records import Prediction, RunResult, Score
from polyprefix.results.files import PREDICTIONS, find_results, read_correctness, read_predictions, read_result

UNADAPTED = "none"
NOT_OF_THE_SYSTEM = (
    "task", "protocol", "model", "shots", "seed", "languages", "eval_size", "eval_ids", "eval.", "runtime.", "train.token_budget",
    "train.gradient_checkpointing", "train.cache_lower_layers", "train.whole_pass",
)  # fmt: skip
"""Settings, or beginnings of them, that make no other system: the setting itself, what is averaged over, how it is computed."""


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run with one metric of each answer."""

    folder: Path
    result: RunResult
    metric: str
    correctness: ByLanguage
    more: tuple[Path, ...] = ()
    """Folders of other runs with the same adapter, which have more of its languages (polyprefix.analysis.joined)."""

    @property
    def predictions(self) -> tuple[Path, ...]:
        """The files of its answers."""
        return tuple(folder / PREDICTIONS for folder in (self.folder, *self.more))

    @property
    def scores(self) -> dict[str, Score]:
        """Language -> value of the metric, as in `result.json`."""
        return {code: scores[self.metric] for code, scores in self.result.scores.items() if self.metric in scores}

    @property
    def method(self) -> str:
        """Name of the method."""
        return str(self.result.config["method"]["name"])

    @property
    def seed(self) -> int:
        """Its seed."""
        return int(self.result.config.get("seed", 0))

    @property
    def settings(self) -> dict[str, Any]:
        """The settings that make the system, flat: `method.length` -> 10."""
        return {key: value for key, value in flat(self.result.config).items() if not key.startswith(NOT_OF_THE_SYSTEM)}


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level.

    >>> flat({"seed": 0, "train": {"epochs": 4}})
    {'seed': 0, 'train.epochs': 4}
    """
    found: dict[str, Any] = {}
    for key, value in values.items():
        found |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return found


def read_runs(folders: Sequence[Path], metric: str | None = None) -> tuple[list[Run], list[str]]:
    """All finished runs in some folders, each once, and a line for each folder that is left out or joined to another.

    Runs that were tested in no language, such as those that choose settings in a study, are passed over.

    Args:
        folders: of runs, or of folders of runs.
        metric: as in `read_run`.

    Raises:
        OutputError: if a folder is missing.
        ConfigError: as `read_run`.
    """
    runs: list[Run] = []
    unread: list[str] = []
    for folder in dict.fromkeys(found for place in folders for found in find_results(place)):
        try:
            result = read_result(folder)
            if result.scores:
                runs.append(_run(folder, result, metric))
        except OutputError as error:
            unread.append(str(error))
    from polyprefix.analysis.joined import joined

    once, notes = joined(runs)
    return once, [*unread, *notes]


def read_run(folder: Path, metric: str | None = None) -> Run:
    """A finished run; its answers must give the scores of its result.

    Args:
        folder: that of the run.
        metric: one that has a value for each answer; None is the main metric, the first in `result.json`.

    Raises:
        OutputError: if a file is missing or damaged, two of them disagree, or there is no score.
        ConfigError: if there is no such metric, or it has no value for a single answer.
    """
    result = read_result(folder)
    if not result.scores:
        raise OutputError(f"{folder}: result.json has no scores; run it again with at least one language")
    return _run(folder, result, metric)


def _run(folder: Path, result: RunResult, metric: str | None) -> Run:
    for key in ("task", "model", "method"):
        if key not in result.config:
            raise OutputError(f"{folder}: the config in result.json lacks '{key}'; run it again")
    metrics = list(next(iter(result.scores.values())))
    if not metrics:
        raise OutputError(f"{folder}: result.json has no scores of its first language; run it again")
    if metric is not None and metric not in metrics:
        raise ConfigError(f"metric '{metric}': {folder} has none of that name, {nearest(metric, metrics)}")
    main = metric in (None, metrics[0])
    correctness: ByLanguage = (
        read_correctness(folder / PREDICTIONS) if main else _by_answer(folder, result, str(metric))
    )
    run = Run(folder, result, metric or metrics[0], correctness)
    _require_agreement(run, main)
    return run


def _by_answer(folder: Path, result: RunResult, metric: str) -> ByLanguage:
    """What a metric says of each answer alone."""
    from polyprefix.tasks import registry

    task = registry.get(str(result.config["task"]), str(result.config.get("protocol", DEFAULT_PROTOCOL)))
    found: dict[str, dict[str, float]] = {}
    predictions: Iterable[Prediction] = read_predictions(folder / PREDICTIONS)[0]
    for prediction in predictions:
        value = task.score([prediction])[metric].value
        found.setdefault(prediction.language, {})[prediction.example_id] = value
    return found


def _require_agreement(run: Run, main: bool) -> None:
    """The mean over answers is the score of `result.json`, in the same languages and over as many examples."""
    if run.scores.keys() != run.correctness.keys():
        odd = ", ".join(sorted(run.scores.keys() ^ run.correctness.keys()))
        raise OutputError(f"{run.folder}: only one of result.json and {PREDICTIONS} has {odd}; run it again")
    for code, score in run.scores.items():
        answers = run.correctness[code].values()
        mean = sum(answers) / len(answers)
        if abs(mean - score.value) <= 1e-6 and (len(answers) == score.n or not main):
            continue
        if not main:
            raise ConfigError(
                f"metric '{run.metric}': {run.folder} has {score.value:.4f} in {code}, the mean over its answers is "
                f"{mean:.4f}, so it has no value for a single answer; choose {next(iter(run.result.scores[code]))}"
            )
        raise OutputError(
            f"{run.folder}: {run.metric} of {code} is {score.value:.4f} over {score.n} in result.json, but {mean:.4f} "
            f"over {len(answers)} in {PREDICTIONS}; run it again"
        )
