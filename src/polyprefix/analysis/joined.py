"""One run that lies in several folders: a copy, or an adapter that was evaluated again in more languages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath

from polyprefix.analysis.runs import Run

OF_THE_TEST = (
    "task", "task_digest", "protocol", "languages", "eval_size", "eval_ids", "shots", "shot_language", "eval", "text", "runtime",
    "data_digest",
)  # fmt: skip
"""Settings that an evaluation has of its own; the others are those of the run that trained the adapter."""


def joined(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    """The runs, each once and with all its languages, and a line for each folder that was joined to another."""
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
        notes.append(f"{run.folder.name}: evaluates the adapter of {origin.result.run_id} and counts as that run")
        if _asks_the_same(moved, origin):
            found[id(origin)] = _with_languages_of(found[id(origin)], moved)
        else:
            found[id(run)] = moved
    return list(found.values()), notes


def _without_copies(runs: Sequence[Run]) -> tuple[list[Run], list[str]]:
    found: dict[str, Run] = {}
    notes = []
    for run in runs:
        first = found.setdefault(run.result.run_id, run)
        if first is not run:
            same = first.result == run.result and first.correctness == run.correctness
            what = "a copy of" if same else "the same run, with other figures, as"
            notes.append(f"{run.folder}: {what} {first.folder}, which is counted; left out")
    return list(found.values()), notes


def _trained_as(run: Run) -> str:
    """The id of the run that trained the adapter, by where it lay: in the folder of that run."""
    place = PurePath(str(run.result.config["adapter"]).replace("\\", "/"))
    return place.parent.name if place.name == "adapter" else place.name


def _asks_the_same(one: Run, other: Run) -> bool:
    keys = ("task", "task_digest", "protocol", "shots", "shot_language")
    return one.metric == other.metric and all(one.result.config.get(k) == other.result.config.get(k) for k in keys)


def _with_languages_of(run: Run, more: Run) -> Run:
    """A run with the languages that only the other one has."""
    added = [code for code in more.correctness if code not in run.correctness]
    result = replace(run.result, scores={**run.result.scores, **{code: more.result.scores[code] for code in added}})
    correctness = {**run.correctness, **{code: more.correctness[code] for code in added}}
    return replace(run, result=result, correctness=correctness, more=(*run.more, more.folder))
