"""From a study to its cells: settings in layers, then one run for every combination; equal runs are one cell.

base -> part's base -> axes in their order -> overrides -> seed -> what was tuned
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from polyprefix.adapters import registry as methods
from polyprefix.config import RunConfig
from polyprefix.errors import ConfigError, UserError, nearest
from polyprefix.models.digest import with_digests
from polyprefix.settings import listed, validate, written_out
from polyprefix.study.file import Axis, Conditions, Criterion, Grid, Resources, Study
from polyprefix.tasks import registry as tasks
from polyprefix.text.prepare import choose_languages

MAIN, TUNE = "main", "tune"


@dataclass(frozen=True, slots=True)
class Candidate:
    """One combination of tuned settings."""

    settings: Mapping[str, Any]
    """Path -> value."""
    config: RunConfig
    """The run that tells how good it is."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One run of a study."""

    part: str
    labels: Mapping[str, str]
    """Axis -> label, as in the file."""
    config: RunConfig
    """Resolved. Where something is tuned, with the first of its candidates."""
    settings: Mapping[str, Any]
    """What `config` was made from."""
    candidates: tuple[Candidate, ...] = ()
    """Empty where nothing is tuned."""
    tuned_by: Criterion = "accuracy"
    """What the candidates are compared by."""
    trained_again: bool = False
    """Whether a later cell trains the same, to test it otherwise."""
    shared_layers: tuple[int, ...] | None = None
    """The layers from which other cells can go on with what this one computes; None where it shares no lower layers with any
    (polyprefix.study.activation_sharing)."""


def cells(study: Study, where: str, only: Collection[str] = ()) -> tuple[Cell, ...]:
    """All cells: those that tune first, then part by part.

    Args:
        where: the file, for messages.
        only: the names of some parts, `main` for the axes of the study itself; empty means all. Cells that several parts
            have stand in the first of those that are wanted.

    Raises:
        ConfigError: one line with every mistake.
    """
    mistakes: dict[str, None] = {}  # in order, each once
    parts = {MAIN: study, **study.parts} if study.axes else dict(study.parts)
    if unknown := sorted(set(only) - set(parts)):
        raise ConfigError(f"{where}: part '{unknown[0]}': not in this study, {nearest(unknown[0], parts)}")
    found: list[Cell] = []
    for part, grid in parts.items():
        if only and part not in only:
            continue
        for labels, settings, tuned in _combinations(study, grid):
            try:
                found.append(_cell(part, labels, settings, tuned, study))
            except UserError as error:
                mistakes[str(error)] = None
    mistakes |= dict.fromkeys(_unknown_conditions(study, parts))
    mistakes |= dict.fromkeys(_unknown_tuned(study, parts))
    if not parts:
        mistakes["no axes and no parts; give at least one axis, such as 'axes: {method: [none, prefix]}'"] = None
    if mistakes:
        raise ConfigError(f"{where}: {listed(list(mistakes))}")
    unique: dict[str, Cell] = {}
    tuning = [_tuning(cell, candidate) for cell in found for candidate in cell.candidates]
    for cell in (*tuning, *found):
        unique.setdefault(" ".join([cell.config.run_id(), *(c.config.run_id() for c in cell.candidates)]), cell)
    return tuple(unique.values())


def decide(cell: Cell, chosen: Candidate) -> RunConfig:
    """The run of a tuned cell, with what was chosen."""
    return _resolved(put_all(cell.settings, chosen.settings))


def needs(study: Study, cell: Cell) -> Resources:
    """What a cell asks of a cluster."""
    matching = [wanted for wanted in study.resources if _matches(wanted.when, cell.labels)]
    return matching[-1] if matching else Resources()


def put_all(settings: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with others laid over them; keys may be paths, and another method replaces the former one with its settings."""
    result: dict[str, Any] = json.loads(json.dumps(dict(settings)))
    for path, value in more.items():
        _put(result, path.split("."), value)
    return result


def _put(place: dict[str, Any], path: list[str], value: Any) -> None:
    key, *rest = path
    old, new = written_out(key, place.get(key)), written_out(key, value)
    if rest:
        place[key] = dict(old or {}) if isinstance(old or {}, Mapping) else {}
        _put(place[key], rest, value)
    elif isinstance(new, Mapping) and isinstance(old, Mapping) and new.get("name", old.get("name")) == old.get("name"):
        place[key] = put_all(old, new)
    else:
        place[key] = put_all({}, new) if isinstance(new, Mapping) else new


def _combinations(study: Study, grid: Grid) -> Iterator[tuple[dict[str, str], dict[str, Any], dict[str, Any]]]:
    """(labels, settings, the settings that candidates start from) of every cell that is not excluded."""
    own = grid is not study
    base = put_all(put_all({}, study.base), grid.base if own else {})
    seeds = grid.seeds or study.seeds or (int(base.get("seed", 0)),)
    overrides = (*study.overrides, *(grid.overrides if own else ()))
    exclude = (*study.exclude, *(grid.exclude if own else ()))
    axes = [[(name, label, values) for label, values in _values(name, axis)] for name, axis in grid.axes.items()]
    for combination in itertools.product(*axes):
        labels = {name: label for name, label, _ in combination}
        if any(_matches(conditions, labels) for conditions in exclude):
            continue
        settings, tuned = base, put_all({}, study.base)
        for name, _, values in combination:
            settings = put_all(settings, values)
            tuned = put_all(tuned, values) if name in ("model", "method") else tuned
        for override in overrides:
            if _matches(override.when, labels):
                settings = put_all(settings, override.set)
            if set(override.when) <= {"model", "method"} and _matches(override.when, labels):
                tuned = put_all(tuned, override.set)
        for seed in seeds:
            yield labels | {"seed": str(seed)}, settings | {"seed": seed}, tuned | {"seed": seeds[0]}


def _values(name: str, axis: Axis) -> Iterator[tuple[str, dict[str, Any]]]:
    if not isinstance(axis, Mapping):
        for value in axis:
            yield str(value), {name: value}
        return
    for label, settings in axis.items():
        named = settings is not None and any(key == name or key.startswith(f"{name}.") for key in settings)
        yield label, {**({} if named else {name: label}), **(settings or {})}


def _matches(conditions: Conditions, labels: Mapping[str, str]) -> bool:
    return all(labels.get(axis) in _labels(wanted) for axis, wanted in conditions.items())


def _labels(wanted: Any) -> list[str]:
    return [str(value) for value in (wanted if isinstance(wanted, tuple) else (wanted,))]


def _cell(part: str, labels: Mapping[str, str], settings: dict[str, Any], tuned: dict[str, Any], study: Study) -> Cell:
    candidates: list[Candidate] = []
    values = study.tune.values.get(labels.get("method", ""), {}) if study.tune else {}
    if study.tune and values:
        for combination in itertools.product(*values.values()):
            chosen = dict(zip(values, combination, strict=True))
            candidates.append(Candidate(chosen, _resolved(put_all(put_all(tuned, study.tune.base), chosen))))
    first = put_all(settings, candidates[0].settings) if candidates else settings
    criterion = study.tune.by if study.tune else "accuracy"
    return Cell(part, labels, _resolved(first), settings, tuple(candidates), criterion)


def _resolved(settings: Mapping[str, Any]) -> RunConfig:
    return _resolved_once(json.dumps(dict(settings)))


@lru_cache(maxsize=4096)
def _resolved_once(text: str) -> RunConfig:
    """Cells share their candidates, so that most settings come again and again."""
    settings = json.loads(text)
    config = with_digests(tasks.resolve(methods.resolve(validate(RunConfig, settings, "runs"))))
    choose_languages(tasks.get(config.task, config.protocol), config)
    return config


def _tuning(cell: Cell, candidate: Candidate) -> Cell:
    labels = {key: cell.labels[key] for key in ("model", "method") if key in cell.labels}
    tried = {path: str(value) for path, value in candidate.settings.items()}
    return Cell(TUNE, labels | tried, candidate.config, {})


def _unknown_conditions(study: Study, parts: Mapping[str, Grid]) -> Iterator[str]:
    """Overrides and exclusions that can match nothing."""
    known: dict[str, set[str]] = {}
    for grid in parts.values():
        for name, axis in grid.axes.items():
            known.setdefault(name, set()).update(label for label, _ in _values(name, axis))
    wanted_by = [wanted.when for wanted in study.resources]
    for grid in (study, *study.parts.values()):
        for conditions in (*(override.when for override in grid.overrides), *grid.exclude, *wanted_by):
            for name, wanted in conditions.items():
                if name not in known:
                    yield f"condition '{name}': no such axis, {nearest(name, known)}"
                    continue
                for label in _labels(wanted):
                    if label not in known[name]:
                        yield f"condition '{name}: {label}': no such value, {nearest(label, known[name])}"


def _unknown_tuned(study: Study, parts: Mapping[str, Grid]) -> Iterator[str]:
    axes = [grid.axes["method"] for grid in parts.values() if "method" in grid.axes]
    known = {label for axis in axes for label, _ in _values("method", axis)}
    for label in study.tune.values if study.tune else ():
        if label not in known:
            yield f"tune.values '{label}': no method of this name on an axis, {nearest(label, known)}"
