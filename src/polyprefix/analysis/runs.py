"""From folders of runs to answers that can be compared.

Runs belong together in a *setting* where task, model and shots are the same. Within it, a *system* is everything else
that was chosen (method, its settings, training), apart from the seed. Only languages and examples that all runs of a
setting have are compared; whatever is left out for it is said.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyprefix.analysis.answers import Answers, stack
from polyprefix.config import DEFAULT_PROTOCOL, task_title
from polyprefix.errors import ConfigError, OutputError, nearest
from polyprefix.records import Prediction, RunResult
from polyprefix.results.files import PREDICTIONS, find_results, read_correctness, read_predictions, read_result
from polyprefix.scoring.comparison import ByLanguage

CONTEXT = ("task", "protocol", "task_digest", "model", "shots")
NOT_OF_THE_SYSTEM = {*CONTEXT, "seed", "eval_size", "languages", "eval", "runtime"}
UNADAPTED = "none"


@dataclass(frozen=True, slots=True)
class Run:
    """One finished run with the metric of each answer."""

    folder: Path
    result: RunResult
    metric: str
    correctness: ByLanguage

    @property
    def context(self) -> tuple[str, str, int]:
        """Task with its protocol and its files, model, shots."""
        config = self.result.config
        files = f" [{config['task_digest']}]" if config.get("task_digest") else ""
        return task_title(config) + files, str(config["model"]), int(config.get("shots", 0))

    @property
    def method(self) -> str:
        """Name of the method."""
        return str(self.result.config["method"]["name"])

    @property
    def seed(self) -> int:
        """Its seed."""
        return int(self.result.config.get("seed", 0))

    @property
    def system(self) -> dict[str, Any]:
        """The settings that make the system, flat: `method.length` -> 10."""
        config = {key: value for key, value in self.result.config.items() if key not in NOT_OF_THE_SYSTEM}
        return dict(_flat(config))


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything that can be compared with each other."""

    task: str
    model: str
    shots: int
    metric: str
    answers: Answers
    runs: Mapping[str, tuple[Run, ...]]
    """System -> its runs, in the order of the answers' seeds; a system that does not train may have one for all."""
    notes: tuple[str, ...]
    """What was left out."""

    @property
    def name(self) -> str:
        """Task and model, for people."""
        return f"{self.task}, {self.model}" + (f", {self.shots} shots" if self.shots else "")

    def methods(self) -> dict[str, str]:
        """System -> name of its method."""
        return {system: runs[0].method for system, runs in self.runs.items()}


def read_settings(folder: Path, metric: str | None = None) -> list[Setting]:
    """All settings of which the folder holds at least two systems.

    Args:
        folder: holds the folders of runs.
        metric: one that has a value for each answer; None is each task's main metric.

    Raises:
        OutputError: if there are fewer than two runs or systems to compare, if nothing is common to them, or a file is
            damaged.
        ConfigError: if a run has no such metric, or the metric has no value for a single answer.
    """
    folders = find_results(folder)
    if not folders:
        raise OutputError(f"{folder}: no finished runs; give a folder that holds some (polyprefix run --out {folder})")
    if len(folders) == 1:
        raise OutputError(f"{folder}: one finished run ({folders[0].name}); a comparison needs two, run another method")
    by_context: dict[tuple[str, str, int], list[Run]] = {}
    for path in folders:
        run = read_run(path, metric)
        by_context.setdefault(run.context, []).append(run)
    systems = {context: _systems(runs) for context, runs in by_context.items()}
    comparable = {context: found for context, found in systems.items() if len(found) > 1}
    if not comparable:
        found = "; ".join(
            f"{', '.join(map(str, context[:2]))}: {', '.join(names)}" for context, names in systems.items()
        )
        raise OutputError(f"{folder}: no two systems on the same task and model ({found}); run another method there")
    return [_setting(folder, context, found) for context, found in sorted(comparable.items())]


def read_run(folder: Path, metric: str | None = None) -> Run:
    """A finished run; its answers must give the scores of its result.

    Raises:
        OutputError: if a file is missing or damaged, or the two disagree.
        ConfigError: if there is no such metric, or it has no value for a single answer.
    """
    result = read_result(folder)
    for key in ("task", "model", "method"):
        if key not in result.config:
            raise OutputError(f"{folder}: the config in result.json lacks '{key}'; run it again")
    metrics = list(next(iter(result.scores.values()), {}))
    if not metrics:
        raise OutputError(f"{folder}: result.json has no scores; run it again with at least one language")
    if metric is not None and metric not in metrics:
        raise ConfigError(f"metric '{metric}': {folder} has none of that name, {nearest(metric, metrics)}")
    chosen = metric or metrics[0]
    if chosen == metrics[0]:
        correctness: ByLanguage = read_correctness(folder / PREDICTIONS)
    else:
        correctness = _by_answer(folder, result, chosen)
    for code, scores in result.scores.items():
        answers = correctness.get(code, {}).values()
        mean = sum(answers) / len(answers) if answers else float("nan")
        if not abs(mean - scores[chosen].value) <= 1e-6:
            if chosen != metrics[0]:
                raise ConfigError(
                    f"metric '{chosen}': {folder} has {scores[chosen].value:.4f} in {code}, the mean over its answers is "
                    f"{mean:.4f}, so it has no value for a single answer; choose {metrics[0]}"
                )
            raise OutputError(
                f"{folder}: {chosen} of {code} is {scores[chosen].value:.4f} in result.json, but {mean:.4f} in "
                f"{PREDICTIONS}; run it again"
            )
    return Run(folder, result, chosen, correctness)


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


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, tuple(value) if isinstance(value, list) else value


def _systems(runs: list[Run]) -> dict[str, list[Run]]:
    """Label -> runs. A method's name is its label; several systems of one method are told apart by what differs."""
    by_settings: dict[str, list[Run]] = {}
    for run in runs:
        by_settings.setdefault(repr(sorted(run.system.items(), key=lambda item: item[0])), []).append(run)
    by_method: dict[str, list[list[Run]]] = {}
    for members in by_settings.values():
        by_method.setdefault(members[0].method, []).append(members)
    labelled: dict[str, list[Run]] = {}
    for method, systems in by_method.items():
        settings = [members[0].system for members in systems]
        keys = sorted({key for one in settings for key in one if len({repr(other.get(key)) for other in settings}) > 1})
        for members, values in zip(systems, settings, strict=True):
            differing = ", ".join(f"{key.removeprefix('method.')}={values[key]}" for key in keys if key in values)
            labelled[f"{method} ({differing})" if differing else method] = members
    return dict(sorted(labelled.items(), key=lambda item: (item[1][0].method != UNADAPTED, item[0])))


def _setting(folder: Path, context: tuple[str, str, int], systems: Mapping[str, list[Run]]) -> Setting:
    task, model, shots = context
    notes: list[str] = []
    chosen = {label: _one_per_seed(label, runs, notes) for label, runs in systems.items()}
    seeds = _common_seeds(f"{folder}: {task}, {model}", chosen, notes)
    by_seed = {
        label: {seed: runs[seed] if seed in runs else next(iter(runs.values())) for seed in seeds}
        for label, runs in chosen.items()
    }
    every = [run for runs in by_seed.values() for run in runs.values()]
    if len(metrics := {run.metric for run in every}) > 1:
        raise OutputError(f"{folder}: runs of {task} have different main metrics ({', '.join(sorted(metrics))})")
    ids = _common_ids(f"{folder}: {task}, {model}", every, notes)
    correctness = {
        label: {
            seed: {code: {key: run.correctness[code][key] for key in keys} for code, keys in ids.items()}
            for seed, run in runs.items()
        }
        for label, runs in by_seed.items()
    }
    runs_of = {label: tuple({run.folder: run for run in runs.values()}.values()) for label, runs in by_seed.items()}
    return Setting(task, model, shots, every[0].metric, stack(correctness), runs_of, tuple(notes))


def _one_per_seed(label: str, runs: list[Run], notes: list[str]) -> dict[int, Run]:
    """Of several runs with one seed (other test sizes, other machines), the one with the most answers."""
    found: dict[int, Run] = {}
    for run in sorted(runs, key=lambda run: (-sum(map(len, run.correctness.values())), run.folder.name)):
        if run.seed in found:
            notes.append(
                f"{label}, seed {run.seed}: {run.folder.name} left out, {found[run.seed].folder.name} stands for it"
            )
        found.setdefault(run.seed, run)
    return dict(sorted(found.items()))


def _common_seeds(where: str, systems: Mapping[str, Mapping[int, Run]], notes: list[str]) -> tuple[int, ...]:
    """Seeds of all systems. The unadapted model has no seed of its own: one run of it stands beside every seed."""
    fixed = {
        label for label, runs in systems.items() if len(runs) == 1 and next(iter(runs.values())).method == UNADAPTED
    }
    seeded = {label: set(runs) for label, runs in systems.items() if label not in fixed} or {
        label: set(runs) for label, runs in systems.items()
    }
    common = set.intersection(*seeded.values())
    if not common:
        listed = "; ".join(f"{label}: {', '.join(map(str, sorted(seeds)))}" for label, seeds in seeded.items())
        raise OutputError(f"{where}: the systems have no seed in common ({listed}); run the same seeds")
    for label, seeds in seeded.items():
        if extra := sorted(seeds - common):
            notes.append(f"{label}: seeds {', '.join(map(str, extra))} left out, not every system has them")
    return tuple(sorted(common))


def _common_ids(where: str, runs: list[Run], notes: list[str]) -> dict[str, list[str]]:
    """Language -> example ids that every run has, languages in the order of the first run."""
    everywhere = [code for code in runs[0].correctness if all(code in run.correctness for run in runs)]
    ids = {code: sorted(set.intersection(*(set(run.correctness[code]) for run in runs))) for code in everywhere}
    found = {code: keys for code, keys in ids.items() if keys}
    if not found:
        raise OutputError(f"{where}: the runs have no test example in common; evaluate them on the same examples")
    all_codes = {code for run in runs for code in run.correctness}
    if missing := sorted(all_codes - found.keys()):
        notes.append(
            f"{len(missing)} of {len(all_codes)} languages left out, not every run has them: {', '.join(missing)}"
        )
    short = {code: max(len(run.correctness[code]) for run in runs) for code in found}
    if dropped := sum(short[code] - len(keys) for code, keys in found.items()):
        notes.append(
            f"compared on the {sum(map(len, found.values()))} examples that every run has; {dropped} others left out"
        )
    return found
