"""One run that lies in several folders: a copy, or an adapter that was evaluated again in more languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePath

import pyarrow as pa
import pyarrow.compute as pc

from polyprefix.calibration.record import CalibrationRecord
from polyprefix.config import TESTED
from polyprefix.types import RunResult

OF_THE_TEST = (
    *TESTED, "task", "task_digest", "protocol", "shots", "shot_language", "eval", "text", "runtime", "data_digest",
)  # fmt: skip
"""Settings that an evaluation has of its own; the others are those of the run that trained the adapter."""


@dataclass(frozen=True, slots=True)
class Loaded:
    """A run on its way into the table."""

    result: RunResult
    examples: pa.Table
    metric: str
    folder: Path | None
    calibration: CalibrationRecord | None = None

    @property
    def name(self) -> str:
        """The folder's, or the run's id."""
        return str(self.folder or self.result.run_id)


def merge(runs: Sequence[Loaded]) -> tuple[list[Loaded], list[str]]:
    """The runs, each once and with all its languages, and a line for each that was left out or merged into another."""
    once, notes = _without_copies(runs)
    trained = {run.result.run_id: run for run in once if not run.result.config.get("adapter")}
    found = {id(run): run for run in once if not run.result.config.get("adapter")}
    for run in once:
        if not run.result.config.get("adapter"):
            continue
        origin = trained.get(_trained_as(run))
        if origin is None or origin.result.config["method"] != run.result.config["method"]:
            found[id(run)] = run
            continue
        own = {key: value for key, value in run.result.config.items() if key in OF_THE_TEST}
        as_trained = {key: value for key, value in origin.result.config.items() if key not in OF_THE_TEST}
        moved = replace(run, result=replace(run.result, config={**as_trained, **own}))
        name = run.folder.name if run.folder else run.name
        notes.append(f"{name}: evaluates the adapter of {origin.result.run_id} and counts as that run")
        if _asks_the_same(moved, origin):
            found[id(origin)] = _with_languages_of(found[id(origin)], moved)
        else:
            found[id(run)] = moved
    return list(found.values()), notes


def _without_copies(runs: Sequence[Loaded]) -> tuple[list[Loaded], list[str]]:
    found: dict[str, Loaded] = {}
    notes = []
    for run in runs:
        first = found.setdefault(run.result.run_id, run)
        if first is not run:
            same = first.result == run.result and first.examples.equals(run.examples)
            what = "a copy of" if same else "the same run, with other figures, as"
            notes.append(f"{run.name}: {what} {first.name}, which is counted; left out")
    return list(found.values()), notes


def _trained_as(run: Loaded) -> str:
    """The id of the run that trained the adapter, by where it lay: in the folder of that run."""
    place = PurePath(str(run.result.config["adapter"]).replace("\\", "/"))
    return place.parent.name if place.name == "adapter" else place.name


def _asks_the_same(one: Loaded, other: Loaded) -> bool:
    keys = ("task", "task_digest", "protocol", "shots", "shot_language")
    return one.metric == other.metric and all(one.result.config.get(k) == other.result.config.get(k) for k in keys)


def _with_languages_of(run: Loaded, more: Loaded) -> Loaded:
    """A run with the languages that only the other one has."""
    added = [code for code in more.result.scores if code not in run.result.scores]
    result = replace(
        run.result,
        scores={**run.result.scores, **{code: more.result.scores[code] for code in added}},
        origins={**more.result.origins, **run.result.origins},
        answers={**more.result.answers, **run.result.answers},
        available={**more.result.available, **run.result.available},
    )
    rows = more.examples.filter(pc.is_in(more.examples["language"], value_set=pa.array(added, pa.string())))
    return replace(run, result=result, examples=pa.concat_tables([run.examples, rows], promote_options="default"))
