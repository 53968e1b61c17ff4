"""The tasks by name: each file of this folder that defines `TASK`, and any other Python file that does."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from polyprefix.errors import ConfigError, nearest
from polyprefix.tasks.base import Task

SUPPORT = {"base", "registry"}


def names() -> tuple[str, ...]:
    """All task names, without importing any."""
    files = Path(__file__).parent.glob("*.py")
    return tuple(sorted(f.stem for f in files if not f.stem.startswith("_") and f.stem not in SUPPORT))


def get(name: str) -> Task:
    """The task of that name, or the one that a Python file defines.

    Args:
        name: one of `names()`, or the path of a file that ends in `.py`; its code is run.

    Raises:
        ConfigError: if there is no such task, or the file defines none.
    """
    if name.endswith(".py"):
        return _task(_from_file(Path(name).expanduser()), name)
    if name not in names():
        raise ConfigError(
            f"task '{name}': no such task, {nearest(name, names())}; or give the path of a task file (.py)"
        )
    return _task(importlib.import_module(f"{__package__}.{name}"), name)


def _task(module: ModuleType, name: str) -> Task:
    task = getattr(module, "TASK", None)
    if not isinstance(task, Task):
        found = "no TASK" if task is None else f"a TASK ({type(task).__name__}) that lacks members"
        raise ConfigError(f"task '{name}': the file defines {found}; define one as tasks/base.py describes")
    return task


def _from_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise ConfigError(f"task '{path}': no such file, {nearest(path.stem, names())}")
    spec = importlib.util.spec_from_file_location(f"polyprefix_task_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise ConfigError(f"task '{path}': not a Python file; give a file that defines TASK")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up while it is run
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[spec.name]
        raise ConfigError(
            f"task '{path}': fails when imported ({type(error).__name__}: {error}); mend the file"
        ) from error
    return module
