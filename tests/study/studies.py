"""Study files for tests, on a tiny model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from polyprefix.study.file import Study, read_study
from polyprefix.study.grid import Cell, cells

BASE: dict[str, Any] = {
    "task": "terms", "languages": ["swh_Latn", "tha_Thai"], "eval_size": 9, "train_size": 12,
    "train": {"epochs": 2, "batch_size": 4, "validation_size": 6, "validations": 2},
}  # fmt: skip


def write(folder: Path, **values: Any) -> Path:
    """A study file; `base` is laid over the usual one."""
    file = folder / "tiny.yaml"
    base = {"model": str(folder / "model"), **BASE, **values.pop("base", {})}
    file.write_text(yaml.safe_dump({"base": base, **values}, sort_keys=False))
    return file


def study(folder: Path, **values: Any) -> Study:
    return read_study(write(folder, **values))


def grid(folder: Path, **values: Any) -> tuple[Cell, ...]:
    return cells(study(folder, **values), "tiny.yaml")
