"""The study and what is kept of its runs."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from pathlib import Path

from benchmarks.rounds import ROOT
from polyprefix.config import RunConfig
from polyprefix.report.grid import Grid, read_grid
from polyprefix.report.view import View
from polyprefix.statistics.answers import Answers
from polyprefix.statistics.compare import compare_setting
from polyprefix.statistics.comparisons import SettingComparison
from polyprefix.statistics.groups import other_places
from polyprefix.statistics.mixed import MixedModel, mixed_model
from polyprefix.statistics.regression import Regression
from polyprefix.study import table
from polyprefix.study.file import Study, read_study
from polyprefix.study.grid import Cell, cells
from polyprefix.study.locks import Bookkeeping

STUDIES = ROOT / "studies"


@dataclass(frozen=True)
class Part:
    """The finished cells of some parts of the study."""

    grid: Grid
    _compared: dict[tuple[str, str, str], SettingComparison] = field(default_factory=dict)
    _mixed: dict[tuple[str, str, str], MixedModel | str] = field(default_factory=dict)

    @property
    def views(self) -> tuple[View, ...]:
        """One for each task and model."""
        return self.grid.views

    def with_baseline(self, view: View, system: str) -> SettingComparison | None:
        """Everything in a view minus one of its systems, not yet corrected; None where that is not finished."""
        if view.comparison is None or system not in view.setting.systems:
            return None
        key = view.task, view.model, system
        if key not in self._compared:
            self._compared[key] = compare_setting(view.setting, system, None)
        return self._compared[key]

    def answers(self, view: View) -> Answers:
        """Those of all systems that have the main seeds."""
        if view.comparison is None:
            raise ValueError(f"{view.task}, {view.model}: nothing can be compared")
        return view.setting.answers(view.setting.main_seeds)

    def mixed(self, view: View, baseline: str) -> MixedModel | str:
        """The mixed-effects model with this system as the baseline."""
        key = view.task, view.model, baseline
        if key not in self._mixed:
            answers = self.answers(view)
            place = answers.systems.index(baseline)
            self._mixed[key] = mixed_model(answers, place, other_places(answers.languages), None)
        return self._mixed[key]

    def regressions(self, view: View) -> dict[str, Regression | str | None]:
        """Method -> regression of its gap."""
        if view.comparison is None:
            return {}
        found = compare_setting(view.setting, None, None, regressions=True)
        return {summary.system: summary.regression for summary in found.systems}


@dataclass(frozen=True)
class Kept:
    """A study and its folder of kept runs."""

    name: str
    """studies/NAME.yaml, and studies/results/NAME."""
    folder: Path
    _parts: dict[tuple[tuple[str, ...], bool], Part | None] = field(default_factory=dict)

    @classmethod
    @cache
    def of(cls, name: str) -> Kept:
        """The kept runs of a study of this repository, read once."""
        return cls(name, STUDIES / "results" / name)

    @property
    def definition(self) -> Study:
        """What the file says."""
        return _study(self.name)

    @property
    def books(self) -> Bookkeeping:
        """Of the kept runs."""
        return Bookkeeping(self.folder)

    def cells(self, *parts: str) -> tuple[Cell, ...]:
        """Those of some parts, of all without one."""
        return _cells(self.name, parts)

    @cached_property
    def finished(self) -> list[tuple[Cell, RunConfig]]:
        """Cells with a kept run, and what was run."""
        return table.finished(self.cells(), self.books) if any(self.folder.glob("*/")) else []

    def part(self, *names: str, across_shots: bool = False) -> Part | None:
        """The finished cells of some parts; None where there is none."""
        if (names, across_shots) not in self._parts:
            self._parts[names, across_shots] = self._read(names, across_shots)
        return self._parts[names, across_shots]

    def _read(self, names: tuple[str, ...], across_shots: bool) -> Part | None:
        found = (
            table.results(self.cells(*names), self.books, across_shots=across_shots) if self.folder.is_dir() else None
        )
        if not found or not found.folders:
            return None
        grid = read_grid(
            found.folders, unfinished=found.unfinished, planned=True, names=found.names, across_shots=across_shots,
            contrasts=self.definition.contrasts,
        )  # fmt: skip
        views = sorted(grid.views, key=lambda view: -len(view.compared))  # what says most is first
        return Part(replace(grid, views=tuple(views)))


@cache
def _study(name: str) -> Study:
    return read_study(STUDIES / f"{name}.yaml")


@cache
def _cells(name: str, parts: tuple[str, ...]) -> tuple[Cell, ...]:
    return cells(_study(name), f"{name}.yaml", parts)
