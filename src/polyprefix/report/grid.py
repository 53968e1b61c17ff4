"""Many runs as a grid: tasks x models x methods, each cell over its seeds and languages, and what is missing in it.

Runs that differ in their seed only are one cell. Runs of one method with other settings are methods of their own, and the
settings that tell them apart become part of the name: `prefix (length=32)`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from polyprefix import languages
from polyprefix.config import task_title
from polyprefix.errors import ConfigError, OutputError, nearest
from polyprefix.records import Score
from polyprefix.report import statistics
from polyprefix.report.runs import ENGLISH, UNADAPTED, Run, method_of, read_run
from polyprefix.results.files import RESULT, find_results
from polyprefix.scoring.comparison import ByLanguage

IDLE = (
    "seed", "languages", "task", "model", "runtime.", "eval.",
    "train.token_budget", "train.gradient_checkpointing", "train.cache_lower_layers",
)  # fmt: skip
"""Settings that do not make another method: what is averaged over, what is an axis of its own, and how it is computed."""


@dataclass(frozen=True, slots=True)
class Cell:
    """The runs of one method on one task with one model: one a seed."""

    task: str
    model: str
    method: str
    runs: tuple[Run, ...]
    settings: Mapping[str, Any]
    """Flat: `train.epochs` -> 4."""
    correctness: ByLanguage
    """The mean over seeds."""
    scores: Mapping[str, Score]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The seeds that were run."""
        return tuple(int(run.result.config.get("seed", 0)) for run in self.runs)

    @property
    def trained(self) -> int:
        """Trained parameters; 0 for the unadapted model."""
        return int(self.runs[0].result.parameters.get("trainable", 0))

    @property
    def total(self) -> int:
        """All parameters of the model."""
        return int(self.runs[0].result.parameters.get("total", 0))

    @property
    def metric(self) -> str:
        """The main metric."""
        return self.runs[0].metric

    @property
    def others(self) -> ByLanguage:
        """Without English, the language of training."""
        return {code: answers for code, answers in self.correctness.items() if code != ENGLISH}

    def cost(self, key: str) -> float | None:
        """The mean over seeds of a cost of `result.json`; None where no run has it."""
        values = [run.result.cost[key] for run in self.runs if key in run.result.cost]
        return sum(values) / len(values) if values else None


@dataclass(frozen=True, slots=True)
class Grid:
    """All cells, in the order in which reports show them."""

    cells: Mapping[tuple[str, str, str], Cell]
    """(task, model, method) -> cell."""
    baseline: str | None
    """The method that others are compared with; None if there is only one."""
    missing: tuple[str, ...]
    """Cells, seeds and languages that some runs have and others lack, runs that did not finish, and files that cannot be read."""
    notes: Mapping[str, tuple[str, ...]]
    """What the runs say of themselves -> the ids of the runs that say it."""

    @property
    def tasks(self) -> tuple[str, ...]:
        """In alphabetical order."""
        return tuple(sorted({task for task, _, _ in self.cells}))

    @property
    def models(self) -> tuple[str, ...]:
        """The smallest first."""
        size = {cell.model: cell.total for cell in self.cells.values()}
        return tuple(sorted(size, key=lambda model: (size[model], model)))

    @property
    def methods(self) -> tuple[str, ...]:
        """From the fewest trained parameters to the most."""
        trained: dict[str, int] = {}
        for cell in self.cells.values():
            trained[cell.method] = max(trained.get(cell.method, 0), cell.trained)
        return tuple(sorted(trained, key=lambda method: (trained[method], method)))

    def of(self, task: str, model: str) -> dict[str, Cell]:
        """The cells of a task and a model by method."""
        return {m: self.cells[task, model, m] for m in self.methods if (task, model, m) in self.cells}

    @property
    def views(self) -> tuple[tuple[str, str], ...]:
        """The (task, model) that have cells."""
        return tuple((t, m) for t in self.tasks for m in self.models if self.of(t, m))


def languages_of(cells: Iterable[Cell]) -> list[str]:
    """The codes that any of the cells has: English first, then by family and name."""
    codes = {code for cell in cells for code in cell.scores}
    return sorted(codes, key=lambda c: (c != ENGLISH, languages.get(c).family or "~", languages.get(c).name))


def read_grid(folders: Sequence[Path], baseline: str | None = None) -> Grid:
    """Read all finished runs in some folders.

    A run that cannot be read does not stop the report; it is named in `missing`.

    Args:
        folders: of runs, or of folders of runs.
        baseline: the method that others are compared with; None means the unadapted model or, without it, the method
            with the fewest trained parameters.

    Raises:
        OutputError: if there is no run that can be read.
        ConfigError: if no run has the baseline.
    """
    runs, unread = _read_all(list(dict.fromkeys(found for folder in folders for found in find_results(folder))))
    if not runs:
        first = f"; the first of {len(unread)} says: {unread[0]}" if unread else ""
        raise OutputError(
            f"{folders[0]}: no finished run to report{first}; run something with --out {folders[0]} first"
        )
    cells = _cells(runs)
    grid = Grid(cells, None, (), {})
    missing = (*unread, *(line for folder in folders for line in _not_finished(folder)), *_holes(grid))
    return Grid(cells, _baseline(grid, baseline), missing, _notes(runs))


def _read_all(folders: Sequence[Path]) -> tuple[list[Run], list[str]]:
    runs: list[Run] = []
    unread: list[str] = []
    for folder in folders:
        try:
            runs.append(read_run(folder))
        except OutputError as error:
            unread.append(str(error))
    return runs, unread


def _not_finished(folder: Path) -> list[str]:
    """What a study recorded of failed runs (`.study/failed/RUN_ID.json`), and hidden folders of runs that never ended."""
    failed: dict[str, str] = {}
    for path in sorted(folder.glob(".study/failed/*.json")):
        if not (folder / path.stem / RESULT).exists():
            try:
                error = " ".join(str(json.loads(path.read_text(encoding="utf-8"))["error"]).split())
            except (OSError, ValueError, KeyError, TypeError):
                error = f"{path} cannot be read"
            failed[path.stem] = f"failed: {error}"
    for path in sorted(folder.glob(".*.partial")):
        name = path.name.removeprefix(".").removesuffix(".partial")
        failed.setdefault(name, "started, and not finished when this report was written")
    return [f"{name}: {what}" for name, what in failed.items()]


def flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level: `{"train": {"epochs": 4}}` -> `{"train.epochs": 4}`."""
    result: dict[str, Any] = {}
    for key, value in values.items():
        result |= flat(value, f"{prefix}{key}.") if isinstance(value, Mapping) else {prefix + key: value}
    return result


def _settings(run: Run) -> dict[str, Any]:
    return {key: value for key, value in flat(run.result.config).items() if not key.startswith(IDLE)}


def _cells(runs: Sequence[Run]) -> dict[tuple[str, str, str], Cell]:
    groups: dict[tuple[str, str, str], list[Run]] = {}
    tasks = _tasks(runs)
    for run, task in zip(runs, tasks, strict=True):
        where = task, str(run.result.config["model"])
        groups.setdefault((*where, json.dumps(_settings(run), sort_keys=True)), []).append(run)
    names = _names({key: members[0] for key, members in groups.items()})
    cells = {}
    for key, members in groups.items():
        cell = _cell(key[0], key[1], names[key], members)
        cells[cell.task, cell.model, cell.method] = cell
    return cells


def _tasks(runs: Sequence[Run]) -> list[str]:
    """The task of each run; of task files with one name and different content, the name and the start of the digest."""
    titles = [(task_title(run.result.config), str(run.result.config.get("task_digest") or "")) for run in runs]
    digests = set(titles)
    several = {title for title, _ in digests if sum(title == other for other, _ in digests) > 1}
    return [f"{title} [{digest[:8]}]" if title in several and digest else title for title, digest in titles]


def _names(first: Mapping[tuple[str, str, str], Run]) -> dict[tuple[str, str, str], str]:
    """The method of each group of runs, with the settings that tell it from others on the same task and model."""
    telling: dict[str, set[str]] = {}
    for key, run in first.items():
        for other_key, other in first.items():
            if key[:2] == other_key[:2] and method_of(run.result) == method_of(other.result):
                mine, theirs = _settings(run), _settings(other)
                changed = {name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name)}
                telling.setdefault(method_of(run.result), set()).update(changed)
    names = {}
    for key, run in first.items():
        settings, method = _settings(run), method_of(run.result)
        changes = [f"{name.split('.')[-1]}={settings.get(name, 'not set')}" for name in sorted(telling[method])]
        names[key] = f"{method} ({', '.join(changes)})" if changes else method
    return names


def _cell(task: str, model: str, method: str, runs: Sequence[Run]) -> Cell:
    by_seed = {run.result.config.get("seed", 0): run for run in runs}  # the same run twice counts once
    ordered = tuple(by_seed[seed] for seed in sorted(by_seed))
    correctness, odd = statistics.mean_over_seeds([run.correctness for run in ordered])
    scores = {}
    for code, answers in correctness.items():
        alike = [r.scores[code] for i, r in enumerate(ordered) if code in r.scores and (i, code) not in odd]
        scores[code] = alike[0] if len(alike) == 1 else statistics.score({code: answers})
    return Cell(task, model, method, ordered, _settings(ordered[0]), correctness, scores)


def _baseline(grid: Grid, asked: str | None) -> str | None:
    methods = grid.methods
    if asked is not None:
        if asked not in methods:
            raise ConfigError(f"--baseline {asked}: no run has this method, {nearest(asked, methods)}")
        return asked
    unadapted = [method for method in methods if method.split(" (")[0] == UNADAPTED]
    return None if len(methods) == 1 else next(iter([*unadapted, *methods]))


def _holes(grid: Grid) -> list[str]:
    found: list[str] = []
    for task, model in [(t, m) for t in grid.tasks for m in grid.models]:
        cells = grid.of(task, model)
        if absent := [method for method in grid.methods if method not in cells]:
            found.append(f"{task}, {model}: no run of {', '.join(absent)}")
        seeds = {seed for cell in cells.values() if cell.trained for seed in cell.seeds}
        codes = languages_of(cells.values())
        for method, cell in cells.items():
            where = f"{task}, {model}, {method}"
            if cell.trained and (lost := sorted(seeds - set(cell.seeds))):
                found.append(f"{where}: no run with seed {', '.join(map(str, lost))}, which other methods have")
            if lacking := [code for code in codes if code not in cell.scores]:
                found.append(f"{where}: no score in {len(lacking)} of {len(codes)} languages: {', '.join(lacking)}")
            for run in cell.runs:
                if few := [code for code in cell.scores if code not in run.scores]:
                    found.append(f"{where}: seed {run.result.config.get('seed', 0)} has no score in {', '.join(few)}")
    return found


def _notes(runs: Sequence[Run]) -> dict[str, tuple[str, ...]]:
    notes: dict[str, tuple[str, ...]] = {}
    for run in runs:
        for note in run.result.notes:
            notes[note] = (*notes.get(note, ()), run.result.run_id)
    return notes
