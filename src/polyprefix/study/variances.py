"""Where a plan's variance components come from: finished runs, or the shipped prior (`tools/make_variances.py`)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from polyprefix.errors import ConfigError, OutputError
from polyprefix.results.table import read_table
from polyprefix.statistics.components import Components, ItemComponents, components
from polyprefix.statistics.settings import read_settings

PRIOR = "variances.json"
Key = tuple[str, str]
"""Task and model."""


@dataclass(frozen=True, slots=True)
class Source:
    """Components by task and model."""

    name: str
    """Where they come from, for people."""
    found: Mapping[Key, Components]

    def of(self, task: str, model: str) -> tuple[Components, str]:
        """Those of a task and model, else the mean of the task's or of all, and whose they are."""
        if (task, model) in self.found:
            return self.found[task, model], f"{self.name}: {task}, {model}"
        same = [one for (other, _), one in self.found.items() if other == task]
        mean = _mean(same or list(self.found.values()))
        return mean, f"{self.name}: mean of {'the models of ' + task if same else 'all tasks and models'}"


def prior() -> Source:
    """The shipped components."""
    read: list[dict[str, Any]] = json.loads((files("polyprefix.study") / PRIOR).read_text(encoding="utf-8"))["settings"]
    return Source("shipped variances", {(one["task"], one["model"]): from_dict(one["components"]) for one in read})


def of_runs(folders: Sequence[Path], names: Mapping[str, str] | None = None) -> Mapping[Key, Components]:
    """Of finished runs; tasks and models without two seeds and two trained methods are left out.

    Args:
        folders: of runs, or of folders of runs.
        names: as `read_settings`.

    Raises:
        OutputError: if a folder is missing.
    """
    found = {}
    for setting in read_settings(read_table(folders), names=names):
        try:
            answers = setting.answers(setting.main_seeds)
        except OutputError:  # nothing in common
            continue
        base = answers.systems.index(setting.base) if setting.base in answers.systems else None
        try:
            found[setting.task, setting.model] = components(answers, base, setting.others(answers.languages))
        except ValueError:
            continue
    return found


def source(variances: Path | None, own: Sequence[Path], names: Mapping[str, str]) -> Source:
    """The variances that were asked for, else those of the study's own finished runs, else the shipped ones.

    Raises:
        ConfigError: if the folder that was asked for has none.
    """
    if variances is not None:
        if found := of_runs([variances]):
            return Source(str(variances), found)
        raise ConfigError(
            f"--variances {variances}: no task and model with two seeds of two trained methods; give a finished study's folder"
        )
    if own and (found := of_runs(own, names)):
        return Source("this study's finished runs", found)
    return prior()


def as_dict(found: Components) -> dict[str, Any]:
    """For JSON, rounded to what three seeds can tell."""
    return {
        key: {name: round(x, 1) for name, x in value.items()} if isinstance(value, dict) else round(value, 1)
        for key, value in asdict(found).items()
    }


def from_dict(values: Mapping[str, Any]) -> Components:
    """The inverse."""
    items = {key: ItemComponents(**values[key]) for key in ("pair", "base")}
    return Components(values["seed"], values["shared"], values["seed_language"], **items)


def _mean(found: Sequence[Components]) -> Components:
    def items(every: Sequence[ItemComponents]) -> ItemComponents:
        return ItemComponents(
            *(float(np.mean(x)) for x in zip(*((i.item, i.cell, i.residual) for i in every), strict=True))
        )

    seed, shared, language = (
        float(np.mean(x)) for x in zip(*((c.seed, c.shared, c.seed_language) for c in found), strict=True)
    )
    return Components(seed, shared, language, items([c.pair for c in found]), items([c.base for c in found]))
