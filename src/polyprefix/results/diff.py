"""Two runs side by side: the settings, data, versions and scores in which they differ."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyprefix.config import ADDED_LATER
from polyprefix.errors import OutputError
from polyprefix.results.files import find_results, read_result
from polyprefix.types import RunResult, Score

ABSENT = "absent"
"""Stands for a setting or a figure that one of the runs does not have."""
SECTIONS = ("settings", "data and weights", "versions", "machine")


@dataclass(frozen=True, slots=True)
class Difference:
    """Something that is not the same in two runs."""

    section: str
    """One of `SECTIONS`."""
    key: str
    first: Any
    """`ABSENT` where the first run lacks it."""
    second: Any


@dataclass(frozen=True, slots=True)
class ScoreDifference:
    """A score of a language that differs, or that only one of the runs has."""

    language: str
    metric: str
    first: Score | None
    second: Score | None

    @property
    def difference(self) -> float | None:
        """Second minus first; None where one is absent."""
        return self.second.value - self.first.value if self.first and self.second else None


@dataclass(frozen=True, slots=True)
class RunDiff:
    """What `polyprefix diff` found."""

    first: str
    second: str
    """Ids of the runs."""
    differences: tuple[Difference, ...]
    scores: tuple[ScoreDifference, ...]
    """Only what differs."""
    equal_scores: int
    """Scores that both have, with equal values."""


def diff_runs(first: Path, second: Path) -> RunDiff:
    """Compare two run folders; single answers are compared by `polyprefix compare`.

    Raises:
        OutputError: if a folder holds no finished run, or several.
    """
    one, other = _read(first), _read(second)
    differences = [
        Difference(section, key, a, b)
        for section, parts in _facts(one, other).items()
        for key, a, b in _unequal(*parts)
    ]
    pairs = dict.fromkeys(
        (code, metric) for run in (one, other) for code, found in run.scores.items() for metric in found
    )
    scores = [
        ScoreDifference(code, metric, one.scores.get(code, {}).get(metric), other.scores.get(code, {}).get(metric))
        for code, metric in pairs
    ]
    unequal = tuple(score for score in scores if score.first != score.second)
    return RunDiff(one.run_id, other.run_id, tuple(differences), unequal, len(scores) - len(unequal))


def _read(folder: Path) -> RunResult:
    folders = find_results(folder)
    if len(folders) > 1:
        raise OutputError(f"{folder}: holds {len(folders)} runs; give the folder of one, such as {folders[0]}")
    return read_result(folders[0] if folders else folder)


def _facts(one: RunResult, other: RunResult) -> dict[str, tuple[Mapping[str, Any], Mapping[str, Any]]]:
    """Section -> the facts of both runs, flat."""
    settings, data, versions, machines = zip(*(_of(run) for run in (one, other)), strict=True)
    return dict(zip(SECTIONS, (settings, data, versions, machines), strict=True))


def _of(run: RunResult) -> tuple[Mapping[str, Any], ...]:
    made = run.provenance
    settings = {key: value for key, value in _flat(run.config) if value not in ADDED_LATER.get(key, ())}
    model = made.get("model")
    weights = {"model." + key: value for key, value in model.items()} if isinstance(model, Mapping) else {}
    data = {"data": made.get("data"), "data_digest": made.get("data_digest"), **weights}
    versions = dict(
        _flat({"packages": made.get("packages") or {}, "code": made.get("code") or {}, "python": made.get("python")})
    )
    machine = dict(_flat({"machine": made.get("machine") or {}, "device": made.get("device")}))
    return settings, data, versions, machine


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield prefix + key, value


def _unequal(one: Mapping[str, Any], other: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    for key in dict.fromkeys((*one, *other)):
        a, b = one.get(key, ABSENT), other.get(key, ABSENT)
        if a != b:
            yield key, a, b
