"""`pp.load_task` and `pp.load_adapter`: whatever a name or a path means."""

from __future__ import annotations

from pathlib import Path

from polyprefix.adapter_place import find_adapter, is_peft
from polyprefix.adapters import files
from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.models.load import BaseModel
from polyprefix.names import DEFAULT_PROTOCOL
from polyprefix.tasks import registry
from polyprefix.tasks.base import Task


def load_task(name: str | Path, protocol: str = DEFAULT_PROTOCOL) -> Task:
    """A task.

    Args:
        name: a benchmark (`polyprefix list tasks`), the path of a task file (YAML) or of the folder that holds it, or of a Python file.
        protocol: whose prompts and scoring; `lm-eval` for those of lm-evaluation-harness.

    Raises:
        ConfigError: if there is no such task, or its file has errors; all of them are reported.
    """
    return registry.get(str(name), protocol)


def load_adapter(base: BaseModel, path: str | Path, *, force: bool = False) -> AdaptedModel:
    """Attach a saved adapter.

    Args:
        base: the model that it was trained on.
        path: the folder of a run, of an adapter, or of one that PEFT saved; or a file in one of them.
        force: also onto another base model.

    Raises:
        AdapterError: if there is no adapter, it is damaged, or it belongs to another base model (unless `force`).
    """
    folder = find_adapter(path)
    if is_peft(folder):
        from polyprefix.adapters.formats import from_peft

        adapted = from_peft(base, folder)
    else:
        adapted = files.load_adapter(base, folder, force=force)
    adapted.place = str(folder)
    return adapted
