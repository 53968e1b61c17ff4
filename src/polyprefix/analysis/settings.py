"""From runs to answers that can be compared.

Runs belong together in a *setting* where task, model and shots are the same. Within it, a *system* is everything else
that was chosen (method, its settings, training), apart from the seed. Only languages and examples that all systems of a
setting have are compared, and only seeds that both sides of a comparison have; whatever is left out for it is said.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from polyprefix.analysis.answers import Answers, Layout, layout
from polyprefix.analysis.runs import UNADAPTED, Run, read_runs
from polyprefix.config import task_title
from polyprefix.errors import OutputError
from polyprefix.scoring.bootstrap import Floats

FEW = 4
"""A run with fewer answers than a FEW-th of what another has is left out, rather than all that it lacks."""


@dataclass(frozen=True, slots=True)
class Context:
    """The runs of one setting, by system: the name of a method, with the settings that tell it from others."""

    task: str
    model: str
    shots: int
    systems: Mapping[str, tuple[Run, ...]]
    """The unadapted model first; one run a seed, seeds in rising order."""
    notes: tuple[str, ...]

    @property
    def name(self) -> str:
        """Task, model and shots, for people."""
        return f"{self.task}, {self.model}" + (f", {self.shots} shots" if self.shots else "")

    @property
    def title(self) -> str:
        """Task and shots, for people."""
        return self.task + (f", {self.shots} shots" if self.shots else "")


@dataclass(frozen=True)
class Setting:
    """Everything that can be compared with each other: the same languages and examples of every system."""

    context: Context
    metric: str
    runs: Mapping[str, tuple[Run, ...]]
    """System -> its runs, one a seed."""
    places: Layout
    values: Mapping[Path, Floats]
    """Folder of a run -> its answers, `[L, I]`."""
    notes: tuple[str, ...]
    """What was left out."""

    @property
    def name(self) -> str:
        """Task, model and shots, for people."""
        return self.context.name

    @property
    def systems(self) -> tuple[str, ...]:
        """The unadapted model first."""
        return tuple(self.runs)

    @property
    def languages(self) -> tuple[str, ...]:
        """Those of all systems."""
        return self.places.languages

    @cached_property
    def seeds(self) -> Mapping[str, frozenset[int]]:
        """System -> its seeds. The unadapted model has none of its own: one run of it has the seeds of all others."""
        found = {system: frozenset(run.seed for run in runs) for system, runs in self.runs.items()}
        fixed = [system for system, runs in self.runs.items() if len(runs) == 1 and runs[0].method == UNADAPTED]
        others = frozenset[int]().union(*(found[system] for system in self.runs if system not in fixed))
        return found | {system: others or found[system] for system in fixed}

    @cached_property
    def main_seeds(self) -> tuple[int, ...]:
        """The seeds that most systems have, all of them; of several such sets the largest."""
        trained = [self.seeds[system] for system, method in self.methods().items() if method != UNADAPTED]
        counts = Counter(trained or self.seeds.values())
        most = max(counts.items(), key=lambda item: (item[1], len(item[0]), sorted(item[0])))
        return tuple(sorted(most[0]))

    def methods(self) -> dict[str, str]:
        """System -> name of its method."""
        return {system: runs[0].method for system, runs in self.runs.items()}

    def answers(self, seeds: Sequence[int], systems: Sequence[str] | None = None) -> Answers:
        """The answers of some systems with some seeds, which they must have.

        Args:
            seeds: at least one.
            systems: None means all that have these seeds.
        """
        if systems is None:
            systems = [system for system in self.runs if self.seeds[system] >= set(seeds)]
        values = np.array([[self.values[self._run(system, seed).folder] for seed in seeds] for system in systems])
        places = self.places
        return Answers(tuple(systems), tuple(seeds), places.languages, values, places.present, places.ids)

    def _run(self, system: str, seed: int) -> Run:
        runs = self.runs[system]
        return next((run for run in runs if run.seed == seed), runs[0])


def read_settings(folder: Path, metric: str | None = None) -> list[Setting]:
    """All settings of which the folder holds at least two systems.

    Args:
        folder: holds the folders of runs.
        metric: one that has a value for each answer; None is each task's main metric.

    Raises:
        OutputError: if there are fewer than two runs or systems to compare, if nothing is common to them, or too few
            can be read; what else cannot be read is noted.
        ConfigError: if a run has no such metric, or the metric has no value for a single answer.
    """
    runs, notes = read_runs([folder], metric)
    if len(runs) < 2 and notes:
        raise OutputError(f"{folder}: {len(runs)} finished runs that can be compared; {notes[0]}")
    if not runs:
        raise OutputError(f"{folder}: no finished runs; give a folder that holds some (polyprefix run --out {folder})")
    if len(runs) == 1:
        name = runs[0].folder.name
        raise OutputError(f"{folder}: one finished run ({name}); a comparison needs two, run another method")
    contexts = group_runs(runs)
    comparable = [context for context in contexts if len(context.systems) > 1]
    if not comparable:
        found = "; ".join(f"{context.name}: {', '.join(context.systems)}" for context in contexts)
        raise OutputError(f"{folder}: no two systems on the same task and model ({found}); run another method there")
    settings = [setting_of(context) for context in comparable]
    return [
        replace(setting, notes=(*setting.notes, *notes)) if n == 0 else setting for n, setting in enumerate(settings)
    ]


def group_runs(
    runs: Sequence[Run], *, names: Mapping[str, str] | None = None, across_shots: bool = False
) -> list[Context]:
    """The settings of some runs, in alphabetical order.

    A method's name is its system's, and that of all systems of the method carries the settings in which any two of them
    differ within a setting: `prefix (length=32)`.

    Args:
        names: run id -> what somebody calls its system, such as the label in a study; a name that two systems of a setting
            would have tells nothing apart and is not used.
        across_shots: whether the number of shots tells systems of one setting apart, so that they can be compared.
    """
    groups: dict[tuple[str, str, int], dict[str, list[Run]]] = {}
    for run, task, model in zip(runs, _tasks(runs), _models(runs), strict=True):
        shots = int(run.result.config.get("shots", 0))
        settings = run.settings | ({"shots": shots} if across_shots else {})
        key = task, model, 0 if across_shots else shots
        groups.setdefault(key, {}).setdefault(json.dumps(settings, sort_keys=True), []).append(run)
    kept = {key: _with_enough(systems) for key, systems in groups.items()}
    telling = _telling(systems for systems, _ in kept.values())
    return [_context(key, systems, telling, notes, names or {}) for key, (systems, notes) in sorted(kept.items())]


def setting_of(context: Context) -> Setting:
    """The answers of all systems to the same examples.

    Raises:
        OutputError: if the systems have no language or example in common, or different metrics.
    """
    notes, systems = list(context.notes), context.systems
    every = [run for runs in systems.values() for run in runs]
    if len(metrics := {run.metric for run in every}) > 1:
        raise OutputError(f"{context.name}: the runs have different main metrics ({', '.join(sorted(metrics))})")
    places = layout(_common_ids(context.name, every, notes))
    values = {run.folder: places.values(run.correctness) for run in every}
    return Setting(context, every[0].metric, systems, places, values, tuple(notes))


def _tasks(runs: Sequence[Run]) -> list[str]:
    """The task of each run; of task files with one name and different content, the name and the start of the digest."""
    return _by_content(
        [(task_title(run.result.config), str(run.result.config.get("task_digest") or "")) for run in runs]
    )


def _models(runs: Sequence[Run]) -> list[str]:
    """The model of each run; of models with one name and other weights, the name and the start of the weights' digest."""
    known = [run.result.provenance.get("model") for run in runs]
    weights = [str(model.get("weights") or "") if isinstance(model, Mapping) else "" for model in known]
    return _by_content(list(zip((str(run.result.config["model"]) for run in runs), weights, strict=True)))


def _by_content(named: Sequence[tuple[str, str]]) -> list[str]:
    """Names with digests: the name alone where it has one digest, or none that is known."""
    digests = {(name, digest) for name, digest in named if digest}
    several = {name for name, _ in digests if sum(name == other for other, _ in digests) > 1}
    return [f"{name} [{digest[:8]}]" if name in several and digest else name for name, digest in named]


def _telling(groups: Iterable[Mapping[str, list[Run]]]) -> dict[str, list[str]]:
    """Method -> the settings in which systems of it differ in some setting; groups map settings, as JSON, to runs."""
    found: dict[str, set[str]] = {}
    for systems in groups:
        of_method: dict[str, list[dict[str, Any]]] = {}
        for settings, runs in systems.items():
            of_method.setdefault(runs[0].method, []).append(json.loads(settings))
        for method, found_settings in of_method.items():
            keys = {key for one in found_settings for key in one}
            differing = {key for key in keys if len({json.dumps(one.get(key)) for one in found_settings}) > 1}
            found.setdefault(method, set()).update(differing)
    return {method: sorted(keys) for method, keys in found.items()}


def _context(
    key: tuple[str, str, int],
    systems: Mapping[str, list[Run]],
    telling: Mapping[str, Sequence[str]],
    left_out: Sequence[str],
    names: Mapping[str, str],
) -> Context:
    notes = list(left_out)
    given = {told: names.get(runs[0].result.run_id) for told, runs in systems.items()}
    uses = Counter(given.values())
    named = {}
    for told, runs in systems.items():
        method, settings = runs[0].method, json.loads(told)
        changes = [f"{name.split('.')[-1]}={settings.get(name, 'not set')}" for name in telling[method]]
        computed = f"{method} ({', '.join(changes)})" if changes else method
        label = name if (name := given[told]) and uses[name] == 1 else computed
        named[label] = _one_per_seed(label, runs, notes)
    order = sorted(named, key=lambda label: (named[label][0].method != UNADAPTED, label))
    return Context(*key, {label: named[label] for label in order}, tuple(notes))


def _one_per_seed(label: str, runs: list[Run], notes: list[str]) -> tuple[Run, ...]:
    """Of several runs with one seed (other test sizes, other machines), the one with the most answers."""
    found: dict[int, Run] = {}
    for run in sorted(runs, key=lambda run: (-_answers(run), run.folder.name)):
        if run.seed in found:
            notes.append(
                f"{label}, seed {run.seed}: {run.folder.name} left out, {found[run.seed].folder.name} stands for it"
            )
        found.setdefault(run.seed, run)
    return tuple(found[seed] for seed in sorted(found))


def _answers(run: Run) -> int:
    return sum(map(len, run.correctness.values()))


def _with_enough(systems: Mapping[str, list[Run]]) -> tuple[dict[str, list[Run]], list[str]]:
    """Without runs that would take most languages or examples from two other systems, such as trials; and what they were."""
    most = max(_answers(run) for runs in systems.values() for run in runs)
    kept = {key: found for key, runs in systems.items() if (found := [r for r in runs if _answers(r) * FEW >= most])}
    if len(kept) < 2:
        return dict(systems), []
    small = [run for runs in systems.values() for run in runs if _answers(run) * FEW < most]
    listed = ", ".join(f"{run.folder.name} ({_answers(run):,})" for run in small)
    return kept, [f"left out, with few answers where others have up to {most:,}: {listed}"] if small else []


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
    most = {code: max(len(run.correctness[code]) for run in runs) for code in found}
    if dropped := sum(most[code] - len(keys) for code, keys in found.items()):
        notes.append(
            f"compared on the {sum(map(len, found.values()))} examples that every run has; {dropped} others left out"
        )
    return found
