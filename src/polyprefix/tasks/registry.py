"""The tasks by name: each file of this folder that defines `TASK`, any other Python file that does, and task files.

A folder in this one is a protocol: the same benchmarks as another tool asks and scores them, one file each. `lm_eval`
is called `lm-eval`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

from polyprefix import plugins
from polyprefix.config import RunConfig
from polyprefix.errors import ConfigError, nearest
from polyprefix.names import DEFAULT_PROTOCOL
from polyprefix.tasks._custom import CustomTask, custom_task, find_task_file, restored_task
from polyprefix.tasks._source_languages import with_source_languages
from polyprefix.tasks.base import Task

SUPPORT = {"base", "registry"}


def names() -> tuple[str, ...]:
    """All task names, those of plugins last; none is imported."""
    own = _files(Path(__file__).parent)
    return (*own, *(name for name in plugins.found(plugins.TASKS) if name not in own))


@cache
def ready() -> dict[str, Path]:
    """Name -> task file of benchmarks that come as a data set of the Hub and have no code here; docs/tasks.md says which were run."""
    return {path.stem: path for path in sorted((Path(__file__).parent / "hub_files").glob("*.yaml"))}


def protocols(task: str | None = None) -> tuple[str, ...]:
    """The protocols beside the default one, or those of them that have a task; none is imported."""
    folders = [path.parent for path in Path(__file__).parent.glob("*/__init__.py")]
    return tuple(sorted(f.name.replace("_", "-") for f in folders if task is None or task in _files(f)))


def with_protocol(protocol: str) -> tuple[str, ...]:
    """The tasks that a protocol beside the default one has.

    Raises:
        ConfigError: if there is no such protocol.
    """
    if protocol not in protocols():
        raise ConfigError(
            f"protocol '{protocol}': no such protocol, {nearest(protocol, (DEFAULT_PROTOCOL, *protocols()))}"
        )
    return _files(Path(__file__).parent / _folder(protocol))


def get(name: str, protocol: str = DEFAULT_PROTOCOL) -> Task:
    """The task of that name, or the one that a file of one's own defines.

    Args:
        name: one of `names()` or `ready()`; the path of a task file (YAML), or of a folder that holds `task.yaml`
            (docs/custom-tasks.md); or the path of a Python file, whose code is run.
        protocol: whose prompts and scoring; `default`, or one of `protocols()`.

    Raises:
        ConfigError: if there is no such task, or the file defines none, or the protocol does not have the task.
    """
    if protocol != DEFAULT_PROTOCOL:
        return _under(protocol, name)
    if name.endswith(".py"):
        return _task(_from_file(Path(name).expanduser()), name)
    if name not in names():
        path = ready().get(name) or find_task_file(name)
        if path is None:
            raise ConfigError(
                f"task '{name}': no such task, {nearest(name, (*names(), *ready()))}; or give the path of a task file (task.yaml)"
            )
        return _read_once(path)
    if name not in _files(Path(__file__).parent):
        return _plugin(name)
    return _task(importlib.import_module(f"{__package__}.{name}"), name)


def _plugin(name: str) -> Task:
    """The task of a plugin.

    Raises:
        ConfigError: if the plugin is broken; names its package.
    """
    entry = plugins.found(plugins.TASKS)[name]
    task = plugins.load(entry)
    if not isinstance(task, Task) or task.info.name != name:
        raise ConfigError(
            f"plugin '{name}' of the package '{plugins.package(entry)}': {entry.value} is no task whose info.name is '{name}'; "
            "correct its entry point"
        )
    return task


def reference(task: Task) -> dict[str, str | None]:
    """The settings of a run that mean this task: `task`, and `protocol` and `task_digest` where they are needed."""
    if isinstance(task, CustomTask) and task.info.name not in plugins.found(plugins.TASKS):
        return {"task": task.place(), "task_digest": task.digest()}
    name = task.info.name
    for protocol in (DEFAULT_PROTOCOL, *protocols(name)):
        if name in names() and get(name, protocol) is task:
            return {"task": name, "protocol": protocol}
    return {"task": name}


def resolve(config: RunConfig) -> RunConfig:
    """The configuration with the digest of the files of a task of one's own, so that edited data makes another run, and with the codes
    of its source languages.

    Raises:
        ConfigError: if the configuration was made with other files, or its task cannot be read; see also `with_source_languages`.
        LanguageError: see `with_source_languages`.
    """
    digest = _digest(config.task)
    if config.task_digest not in (None, digest):
        raise ConfigError(
            f"task '{config.task}': its files are not those of this configuration (task_digest {config.task_digest}, now {digest}); "
            "restore them, or leave 'task_digest' out for a new run"
        )
    config = with_source_languages(config, get(config.task, config.protocol))
    return config.model_copy(update={"task_digest": digest})


def saved(config: RunConfig, task: Task) -> dict[str, Any]:
    """What an adapter keeps of the task that it learned: how it was asked for, or all that its file says."""
    if isinstance(task, CustomTask):
        return {"name": task.info.name, "definition": task.definition.model_dump(mode="json", exclude_none=True)}
    return {"name": config.task, "protocol": config.protocol}


def restore(kept: Mapping[str, Any]) -> Task:
    """The task that an adapter keeps; one from a task file has no data then.

    Raises:
        ConfigError: as `get`, or if the definition is of a later version.
    """
    name = str(kept["name"])
    if "definition" in kept:
        return restored_task(name, kept["definition"])
    return get(name, str(kept.get("protocol", DEFAULT_PROTOCOL)))


_read: dict[Path, tuple[CustomTask, tuple[tuple[Path, int, int], ...]]] = {}
"""Task file -> its task, and the state of its files when they were read."""


def _read_once(path: Path) -> CustomTask:
    """The task of a file, which is parsed again only where a file of the task has changed."""
    key = path.resolve()
    task, state = _read.get(key, (None, ()))
    if task is None or _state(task) != state:
        task = custom_task(path)
        _read[key] = task, _state(task)
    return task


def _state(task: CustomTask) -> tuple[tuple[Path, int, int], ...]:
    """Time and size of the files of a task; one that is gone has neither."""
    found = []
    for path in task.parts():
        if not isinstance(path, Path):  # rows in memory do not change
            continue
        try:
            status = path.stat()
            found.append((path, status.st_mtime_ns, status.st_size))
        except OSError:
            found.append((path, 0, -1))
    return tuple(found)


def _digest(name: str) -> str | None:
    task = get(name)
    if isinstance(task, CustomTask):
        return task.digest()
    return hashlib.sha256(Path(name).expanduser().read_bytes()).hexdigest()[:16] if name.endswith(".py") else None


def _under(protocol: str, name: str) -> Task:
    known = with_protocol(protocol)
    if name not in known:
        raise ConfigError(
            f"protocol '{protocol}': does not have the task '{name}', only {', '.join(known)}; leave --protocol out"
        )
    return _task(importlib.import_module(f"{__package__}.{_folder(protocol)}.{name}"), name)


def _folder(protocol: str) -> str:
    return protocol.replace("-", "_")


def _files(folder: Path) -> tuple[str, ...]:
    stems = (file.stem for file in folder.glob("*.py"))
    return tuple(sorted(stem for stem in stems if not stem.startswith("_") and stem not in SUPPORT))


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
            f"task '{path}': fails when imported ({type(error).__name__}: {error}); correct the file"
        ) from error
    return module
