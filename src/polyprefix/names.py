"""What tasks, protocols and runs are called."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from pathlib import Path
from typing import Any

TASK_FILE = "task.yaml"
"""What the file is called in a folder that holds a task."""
DEFAULT_PROTOCOL = "default"
"""The project's own prompts and scoring."""


def task_title(config: Mapping[str, Any]) -> str:
    """What a result calls its task: with the protocol where it is not the default one, for that makes it another task.

    >>> task_title({"task": "xnli"}), task_title({"task": "xnli", "protocol": "lm-eval"})
    ('xnli', 'xnli (lm-eval)')
    """
    task, protocol = task_name(str(config["task"])), config.get("protocol", DEFAULT_PROTOCOL)
    return task if protocol == DEFAULT_PROTOCOL else f"{task} ({protocol})"


def task_name(task: str) -> str:
    """The short name of a task: of a path the file's, or the folder's where the file is called `task.yaml`.

    >>> task_name("xnli"), task_name("mine/news.yaml"), task_name("mine/news/task.yaml"), task_name("mine/news/")
    ('xnli', 'news', 'news', 'news')
    """
    path = Path(task)
    return (
        without_suffix(path.name) if path.name != TASK_FILE else path.absolute().parent.name
    ) or path.absolute().name


def without_suffix(name: str) -> str:
    """The name of a file without what says its type; a version such as `3.1` is none.

    >>> without_suffix("news.yaml"), without_suffix("Llama-3.1-8B"), without_suffix("m.Q4_K.gguf")
    ('news', 'Llama-3.1-8B', 'm.Q4_K')
    """
    return (
        re.sub(r"\.(ya?ml|py|gguf|safetensors|bin)$", "", name, flags=re.IGNORECASE)
        if not name.startswith(".")
        else name
    )


def slug(name: str) -> str:
    """A name as a part of a folder's name: letters and digits of every script, points inside, all else a hyphen; at most 80 bytes.

    >>> slug("Llama-3.1 8B"), slug("новости"), slug("my_task")
    ('llama-3.1-8b', 'новости', 'my-task')
    """
    text = unicodedata.normalize("NFC", name).lower()
    kept = (c if c.isalnum() or c == "." or unicodedata.category(c).startswith("M") else "-" for c in text)
    text = re.sub("-+", "-", "".join(kept))
    return text.encode()[:80].decode(errors="ignore").strip("-.") or "-"
