"""From the table of results to answers that can be compared.

Runs belong together in a *setting* where task, model and shots are the same. Within it, a *system* is everything else that was chosen
(method, its settings, training), apart from the seed. Only languages and examples that all systems of a setting have are compared, and
only seeds that both sides of a comparison have; whatever is left out for it is said.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from polyprefix.config import ADDED_LATER, ENGLISH
from polyprefix.errors import OutputError
from polyprefix.results.table import BASE_METHOD, ResultsTable
from polyprefix.results.trained_in import TrainedIn, all_but, other_languages
from polyprefix.scoring.bootstrap import Floats
from polyprefix.statistics.answers import Answers, Bools
from polyprefix.statistics.groups import other_places

if TYPE_CHECKING:
    import pandas as pd

FEW = 4
"""A run with fewer predictions than a FEW-th of what another has is left out, rather than all that it lacks."""


@dataclass(frozen=True, slots=True)
class Common:
    """The examples that every run of a setting has."""

    languages: tuple[str, ...]
    ids: tuple[str, ...]
    present: Bools
    """Which ids each language has, `[L, I]`."""
    values: Mapping[str, Floats]
    """Run id -> metric of each example, `[L, I]`; 0 where a language lacks an id."""
    notes: tuple[str, ...]
    """What was left out."""


@dataclass(frozen=True)
class Setting:
    """The runs of one task, model and number of shots, by system."""

    table: ResultsTable
    task: str
    model: str
    shots: int
    systems: Mapping[str, tuple[str, ...]]
    """The name of a method, with the settings that distinguish it from others -> ids of its runs, one a seed in rising order; the base
    model first."""
    left_out: tuple[str, ...]

    @property
    def title(self) -> str:
        """Task and shots, for people."""
        return self.task + (f", {self.shots} shots" if self.shots else "")

    @property
    def name(self) -> str:
        """Task, model and shots, for people."""
        return f"{self.task}, {self.model}" + (f", {self.shots} shots" if self.shots else "")

    @cached_property
    def runs(self) -> pd.DataFrame:
        """The rows of the table of runs, in the order of the systems."""
        return self.table.runs.loc[[run for runs in self.systems.values() for run in runs]]

    @cached_property
    def methods(self) -> Mapping[str, str]:
        """System -> name of its method."""
        return {system: str(self.runs.at[runs[0], "method"]) for system, runs in self.systems.items()}

    @cached_property
    def base(self) -> str | None:
        """The system that is the base model; None if there is none, or several."""
        found = [system for system, method in self.methods.items() if method == BASE_METHOD]
        return found[0] if len(found) == 1 else None

    @cached_property
    def training(self) -> Mapping[str, TrainedIn]:
        """System -> the languages that it was trained in."""
        return {system: TrainedIn.of(self.runs.at[runs[0], "config"]) for system, runs in self.systems.items()}

    @cached_property
    def trained_languages(self) -> frozenset[str]:
        """All languages that any system was trained in: no average over other languages holds one of them."""
        found = self.training.values()
        trained = frozenset[str]().union(*(one.languages for one in found))
        return trained or frozenset(code for one in found for code in one.sources)

    def sources(self, system: str) -> tuple[str, ...]:
        """The languages that the transfer gap of a system is measured from: its source languages. A system that trains nothing has those
        of the others; none where they differ."""
        trained = [one for one in self.training.values() if one.trains]
        if self.training[system].trains or not trained:
            return self.training[system].sources
        return trained[0].sources if len({frozenset(one.sources) for one in trained}) == 1 else ()

    def others(self, codes: Sequence[str]) -> list[int]:
        """Places of the languages that averages are over: those that no system was trained in; all if there is no other."""
        return other_places(codes, self.trained_languages)

    @property
    def others_called(self) -> str:
        """What these languages are called in a sentence."""
        return other_languages(self.trained_languages)

    @cached_property
    def origins(self) -> Mapping[str, str]:
        """Language -> where its test text comes from, as far as the runs say it."""
        return {code: origin for origins in self.runs["origins"] for code, origin in origins.items()}

    @property
    def all_but_trained(self) -> str:
        """What these languages are called in a row of a table."""
        return all_but(self.trained_languages)

    @property
    def sources_called(self) -> str:
        """What transfer gaps are measured from."""
        known = {sources for system in self.systems if (sources := self.sources(system))}
        return "English" if known <= {(ENGLISH,)} else "source languages"

    @cached_property
    def seeds(self) -> Mapping[str, frozenset[int]]:
        """System -> its seeds. The base model has none of its own: one run of it has the seeds of all others."""
        found = {system: frozenset(self.runs.loc[list(runs), "seed"]) for system, runs in self.systems.items()}
        fixed = [s for s, runs in self.systems.items() if len(runs) == 1 and self.methods[s] == BASE_METHOD]
        others = frozenset[int]().union(*(found[system] for system in self.systems if system not in fixed))
        return found | {system: others or found[system] for system in fixed}

    @cached_property
    def main_seeds(self) -> tuple[int, ...]:
        """The seeds that most systems have, all of them; of several such sets the largest."""
        trained = [self.seeds[system] for system, method in self.methods.items() if method != BASE_METHOD]
        counts = Counter(trained or self.seeds.values())
        most = max(counts.items(), key=lambda item: (item[1], len(item[0]), sorted(item[0])))
        return tuple(sorted(most[0]))

    @cached_property
    def metric(self) -> str:
        """The main metric.

        Raises:
            OutputError: if the runs have different ones.
        """
        if len(metrics := sorted(set(self.runs["metric"]))) > 1:
            raise OutputError(f"{self.name}: the runs have different main metrics ({', '.join(metrics)})")
        return str(metrics[0])

    @cached_property
    def common(self) -> Common:
        """The examples that every run has, languages in the order of the first run.

        Raises:
            OutputError: if the systems have no language or example in common, or different metrics.
        """
        examples = self.table.examples
        frame = examples.loc[
            examples["run_id"].isin(self.runs.index), ["run_id", "language", "example_id", self.metric]
        ]
        wide = frame.pivot(index=["language", "example_id"], columns="run_id", values=self.metric)[
            list(self.runs.index)
        ]
        both = wide.dropna()
        if both.empty:
            raise OutputError(
                f"{self.name}: the runs have no test example in common; evaluate them on the same examples"
            )
        ids = sorted(set(both.index.get_level_values("example_id")))
        first = frame.loc[frame["run_id"] == self.runs.index[0], "language"].drop_duplicates()
        there = both.index.get_level_values("language")
        found = set(there)
        places = {code: place for place, code in enumerate(code for code in first if code in found)}
        codes, row = tuple(places), there.map(places).to_numpy()
        column = np.searchsorted(np.array(ids, dtype=object), both.index.get_level_values("example_id"))
        values_RLI = np.zeros((len(self.runs), len(codes), len(ids)))
        values_RLI[:, row, column] = both.to_numpy().T
        present = np.zeros(values_RLI.shape[1:], dtype=bool)
        present[row, column] = True
        values = dict(zip(self.runs.index, values_RLI, strict=True))
        return Common(codes, tuple(ids), present, values, _uncommon(wide, codes, len(both)))

    @property
    def languages(self) -> tuple[str, ...]:
        """Those of all systems."""
        return self.common.languages

    @property
    def notes(self) -> tuple[str, ...]:
        """What was left out."""
        return (*self.left_out, *self.unlearned, *self.common.notes)

    @property
    def unlearned(self) -> tuple[str, ...]:
        """Systems of which some run has not learned the task: what their differences say of a method is little."""
        found = []
        for system, runs in self.systems.items():
            learned = [self.runs.at[run, "learned"] for run in runs]
            if without := [one for one in learned if one is not None and not one]:
                of = f"{len(without)} of {len(runs)} seeds" if len(runs) > 1 else "its run"
                found.append(
                    f"{system}: {of} has not learned the task, validation is no better than chance; its differences say little"
                )
        return tuple(found)

    def answers(self, seeds: Sequence[int], systems: Sequence[str] | None = None) -> Answers:
        """The answers of some systems with some seeds, which they must have.

        Args:
            seeds: at least one.
            systems: None means all that have these seeds.
        """
        if systems is None:
            systems = [system for system in self.systems if self.seeds[system] >= set(seeds)]
        common = self.common
        values = np.array([[common.values[self._run(system, seed)] for seed in seeds] for system in systems])
        return Answers(tuple(systems), tuple(seeds), common.languages, values, common.present, common.ids)

    def _run(self, system: str, seed: int) -> str:
        runs = self.systems[system]
        return next((run for run in runs if self.runs.at[run, "seed"] == seed), runs[0])


def read_settings(
    table: ResultsTable, *, names: Mapping[str, str] | None = None, across_shots: bool = False
) -> list[Setting]:
    """The settings of a table, in alphabetical order.

    A method's name is its system's, and that of all systems of the method carries the settings in which any two of them differ within a
    setting: `prefix (length=32)`.

    Args:
        names: run id -> what somebody calls its system, such as the label in a study; a name that two systems of a setting would have
            distinguishes nothing and is not used.
        across_shots: whether the number of shots distinguishes systems of one setting, so that they can be compared.
    """
    groups: dict[tuple[str, str, int], dict[str, list[str]]] = {}
    for run in table.runs.itertuples():
        settings = run.settings | ({"shots": run.shots} if across_shots else {})
        key = run.task, run.model, 0 if across_shots else run.shots
        groups.setdefault(key, {}).setdefault(json.dumps(settings, sort_keys=True), []).append(run.Index)
    counts = table.examples["run_id"].value_counts().to_dict()
    kept = {key: _with_enough(table, systems, counts) for key, systems in groups.items()}
    telling = _telling(table, (systems for systems, _ in kept.values()))
    shortened = [_labels(table, systems, telling, short=True) for systems, _ in kept.values()]
    short = all(len(set(labels.values())) == len(labels) for labels in shortened)
    found = []
    for key, (systems, notes) in sorted(kept.items()):
        labels = _labels(table, systems, telling, short=short)
        named, twice = _named(table, systems, labels, names or {}, counts)
        found.append(Setting(table, *key, named, (*notes, *twice)))
    return found


def _telling(table: ResultsTable, groups: Iterable[Mapping[str, list[str]]]) -> dict[str, list[str]]:
    """Method -> the settings in which systems of it differ in some setting; groups map settings, as JSON, to runs."""
    found: dict[str, set[str]] = {}
    for systems in groups:
        of_method: dict[str, list[dict[str, Any]]] = {}
        for settings, runs in systems.items():
            of_method.setdefault(table.runs.at[runs[0], "method"], []).append(json.loads(settings))
        for method, found_settings in of_method.items():
            keys = {key for one in found_settings for key in one}
            differing = {key for key in keys if len({json.dumps(one.get(key)) for one in found_settings}) > 1}
            found.setdefault(method, set()).update(differing)
    return {method: sorted(keys) for method, keys in found.items()}


def _named(
    table: ResultsTable,
    systems: Mapping[str, list[str]],
    labels: Mapping[str, str],
    names: Mapping[str, str],
    counts: Mapping[str, int],
) -> tuple[dict[str, tuple[str, ...]], list[str]]:
    """Systems by name, the base model first, and a line for each run that another one of the same seed stands for."""
    given = {told: names.get(runs[0]) for told, runs in systems.items()}
    uses, notes = Counter(given.values()), list[str]()
    named: dict[str, tuple[str, ...]] = {}
    methods: dict[str, str] = {}
    for told, runs in systems.items():
        method = table.runs.at[runs[0], "method"]
        label = name if (name := given[told]) and uses[name] == 1 else labels[told]
        named[label], methods[label] = _one_per_seed(table, label, runs, counts, notes), method
    return {
        label: named[label] for label in sorted(named, key=lambda label: (methods[label] != BASE_METHOD, label))
    }, notes


MOST_VALUES = 3
"""Items of a list that the short name of a system holds."""


def _labels(
    table: ResultsTable, systems: Mapping[str, list[str]], telling: Mapping[str, Sequence[str]], *, short: bool
) -> dict[str, str]:
    """Settings of a system, as JSON -> its method with the telling settings; a short name leaves out what is absent or empty."""
    labels = {}
    for told, runs in systems.items():
        method, settings = str(table.runs.at[runs[0], "method"]), json.loads(told)
        values = [(name.split(".")[-1], settings.get(name, _default(name))) for name in telling[method]]
        shown = [pair for pair in values if not short or pair[1] not in (None, [])]
        changes = ", ".join(f"{name}={_written(value, short)}" for name, value in shown)
        labels[told] = f"{method} ({changes})" if changes else method
    return labels


def _written(value: Any, short: bool) -> str:
    if short and isinstance(value, list) and len(value) > MOST_VALUES:
        return f"{value[0]}+{len(value) - 1} more"
    return "+".join(map(str, value)) if isinstance(value, list) else str(value)


def _default(name: str) -> Any:
    """What a setting is that came later and is not in the settings of a system."""
    return ADDED_LATER.get(name, ("not set",))[0]


def _one_per_seed(
    table: ResultsTable, label: str, runs: Sequence[str], counts: Mapping[str, int], notes: list[str]
) -> tuple[str, ...]:
    """Of several runs with one seed (other test sizes, other machines), the one with the most predictions."""
    found: dict[int, str] = {}
    for run in sorted(runs, key=lambda run: (-counts[run], run)):
        seed = int(table.runs.at[run, "seed"])
        if seed in found:
            notes.append(f"{label}, seed {seed}: {run} left out, {found[seed]} stands for it")
        found.setdefault(seed, run)
    return tuple(found[seed] for seed in sorted(found))


def _with_enough(
    table: ResultsTable, systems: Mapping[str, list[str]], counts: Mapping[str, int]
) -> tuple[dict[str, list[str]], list[str]]:
    """Without runs that would take most languages or examples from two other systems, such as trials; and what they were."""
    most = max(counts[run] for runs in systems.values() for run in runs)
    kept = {key: found for key, runs in systems.items() if (found := [r for r in runs if counts[r] * FEW >= most])}
    if len(kept) < 2:
        return dict(systems), []
    small = [run for runs in systems.values() for run in runs if counts[run] * FEW < most]
    listed = ", ".join(f"{run} ({counts[run]:,})" for run in small)
    return kept, [f"left out, with few answers where others have up to {most:,}: {listed}"] if small else []


def _uncommon(wide: pd.DataFrame, codes: Sequence[str], common: int) -> tuple[str, ...]:
    """A line for languages, and one for examples of the others, that some runs lack."""
    notes, tested = [], wide.index.get_level_values("language")
    every = sorted(set(tested))
    if missing := [code for code in every if code not in codes]:
        notes.append(f"{len(missing)} of {len(every)} languages left out, not every run has them: {', '.join(missing)}")
    most = wide[tested.isin(codes)].groupby("language").count().max(axis=1).sum()
    if dropped := int(most) - common:
        notes.append(f"compared on the {common} examples that every run has; {dropped} others left out")
    return tuple(notes)
