"""The study file: what every run has in common, and what varies.

base: {task: terms, eval_size: 45}            settings of every run, as in `polyprefix run CONFIG.yaml`
axes:
  model: [gemma-3-270m, smollm2-135m]         a setting and its values, or
  method:                                     a name for each value, and the settings that it stands for
    prefix: {}                                    (none: the axis's own setting takes the name)
    lora-small: {method: {name: lora, rank: 2}}
seeds: [0, 1, 2]
overrides:                                    settings of the cells that match every condition
  - {when: {method: full}, set: {train: {token_budget: 2048}}}
exclude:                                      cells that are not run
  - {model: smollm2-135m, method: [full, lora-small]}
parts:                                        more grids in the same study, such as ablations; `base`, `seeds`,
  length: {axes: {method: [prefix], method.length: [4, 16]}}    `overrides` and `exclude` above hold for them too
contrasts: [prefix - lora, [lora, full]]       differences between methods that the study is there to test, named beforehand
tune: ...                                     see polyprefix.study.tuning
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, ValidationInfo, field_validator

from polyprefix.errors import nearest
from polyprefix.settings import Settings, read_yaml, validate

Scalar = str | int | float | bool
Conditions = Mapping[str, Scalar | tuple[Scalar, ...]]
"""Axis -> the label, or the labels, that match."""
Axis = tuple[Scalar, ...] | Mapping[str, Mapping[str, Any] | None]
"""Values of the setting that the axis is called after, or label -> settings."""


class Override(Settings):
    """Settings of some cells."""

    when: Conditions = Field(min_length=1)
    """Every one of these conditions holds."""
    set: Mapping[str, Any] = Field(min_length=1)
    """As in `base`; applied after the axes."""


class Grid(Settings):
    """One grid of runs."""

    base: Mapping[str, Any] = {}
    """Settings of every run; a key may be a path, such as `train.steps`."""
    axes: Mapping[str, Axis] = {}
    """What varies: every value of one axis meets every value of the others."""
    seeds: tuple[int, ...] | None = Field(default=None, min_length=1)
    """One run of every cell for each; where nothing depends on the seed, one run serves all."""
    overrides: tuple[Override, ...] = ()
    """Applied in this order."""
    exclude: tuple[Conditions, ...] = ()
    """Cells that match all conditions of an entry are left out."""

    @field_validator("axes")
    @classmethod
    def _axes_have_values(cls, axes: Mapping[str, Axis]) -> Mapping[str, Axis]:
        for name, axis in axes.items():
            if not axis:
                raise ValueError(f"axis '{name}' has no values")
            labels = [str(value) for value in axis]
            if len(set(labels)) < len(labels):
                raise ValueError(f"axis '{name}' has a value twice")
        return axes


Criterion = Literal["accuracy", "log_likelihood"]


class Tune(Settings):
    """Settings that are chosen on English validation examples before the cells that need them are run."""

    by: Criterion = "accuracy"
    """`accuracy` of the kept weights, ties broken by their log-likelihood; or `log_likelihood` after the last step, which depends less on
    chance where validation examples are few."""

    base: Mapping[str, Any] = {}
    """Settings of the runs that choose, on top of a cell's model and method."""
    values: Mapping[str, Mapping[str, tuple[Scalar, ...]]]
    """Label of the method -> setting -> values to try; all combinations are tried."""


class Resources(Settings):
    """What a cell asks of a cluster; `None` leaves it to the runner."""

    when: Conditions = Field(default_factory=dict)
    """Cells for which every condition holds; none means all cells."""
    cpus: float | None = Field(default=None, ge=0)
    """Cores."""
    gpus: float | None = Field(default=None, ge=0)
    """GPUs; 0.5 lets two cells share one."""
    memory_gb: float | None = Field(default=None, gt=0)
    """Memory of the machine, which Ray sets aside."""
    retries: int = Field(default=3, ge=0)
    """How often a cell is begun again after its worker died; it goes on from its checkpoint."""


class Study(Grid):
    """A whole study."""

    name: str | None = None
    """What it is called; None means the file's name."""
    parts: Mapping[str, Grid] = {}
    """More grids; the one above is the part `main`."""
    contrasts: tuple[tuple[str, str], ...] = ()
    """Pairs of labels of the axis `method`, `[prefix, lora]` or `prefix - lora`: what the main comparison tests, corrected by
    Holm's method over these alone."""
    tune: Tune | None = None
    """How some settings are chosen."""
    resources: tuple[Resources, ...] = ()
    """For runs on a cluster; of those that match a cell, the last one holds."""

    @field_validator("contrasts", mode="before")
    @classmethod
    def _contrasts_are_pairs(cls, contrasts: Any) -> Any:
        if not isinstance(contrasts, list | tuple):
            raise ValueError("contrasts: a list of pairs such as [prefix, lora] or 'prefix - lora'")
        return [[name.strip() for name in one.split(" - ")] if isinstance(one, str) else one for one in contrasts]

    @field_validator("contrasts")
    @classmethod
    def _contrasts_are_of_methods(
        cls, contrasts: tuple[tuple[str, str], ...], info: ValidationInfo
    ) -> tuple[tuple[str, str], ...]:
        axes = [info.data.get("axes") or {}, *(grid.axes for grid in (info.data.get("parts") or {}).values())]
        known = [str(label) for one in axes for label in one.get("method", ())]
        seen: set[frozenset[str]] = set()
        for pair in contrasts:
            where = f"contrast '{pair[0]} - {pair[1]}'"
            for name in pair:
                if not known:
                    raise ValueError(f"{where}: the study has no axis 'method'")
                if name not in known:
                    raise ValueError(f"{where}: no method is called '{name}', {nearest(name, sorted(set(known)))}")
            if pair[0] == pair[1]:
                raise ValueError(f"{where}: a method is compared with itself")
            if frozenset(pair) in seen:
                raise ValueError(f"{where}: given twice")
            seen.add(frozenset(pair))
        return contrasts


def read_study(path: Path) -> Study:
    """Read a study file, strictly.

    Raises:
        ConfigError: one line with every mistake in the form of the file; what its settings say is checked by `grid.cells`.
    """
    study = validate(Study, read_yaml(path), str(path))
    name = re.sub(r"[^\w.-]+", "-", study.name or path.stem)
    return study.model_copy(update={"name": name})
