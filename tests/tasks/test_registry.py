"""Law: a task is found by its file's name without importing the others, and a wrong name gets the nearest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from polyprefix.errors import ConfigError
from polyprefix.tasks import registry
from polyprefix.tasks.base import Task

MINE = """
from dataclasses import replace
from polyprefix.tasks.xnli import Xnli
class Mine(Xnli):
    info = replace(Xnli.info, name="mine")
TASK = Mine()
"""


@pytest.mark.parametrize("name", registry.names())
def test_every_file_is_a_task_of_its_own_name(name: str) -> None:
    task = registry.get(name)
    assert isinstance(task, Task)
    assert task.info.name == name


def test_names_are_found_without_imports() -> None:
    assert "xnli" in registry.names()
    assert not {"base", "registry"} & set(registry.names())
    code = (
        "import sys; from polyprefix.tasks import registry; registry.names();"
        "sys.exit(any(m.startswith('polyprefix.tasks.') and m.split('.')[-1] in registry.names() for m in sys.modules))"
    )
    assert subprocess.run([sys.executable, "-c", code], env={"PYTHONPATH": ":".join(sys.path)}).returncode == 0


def test_a_protocol_is_a_folder_with_some_of_the_tasks() -> None:
    assert registry.protocols() == registry.protocols("xnli") == ("lm-eval",)
    assert registry.protocols("terms") == ()
    for name in registry.with_protocol("lm-eval"):
        task, own = registry.get(name, "lm-eval"), registry.get(name)
        assert isinstance(task, Task) and task is not own
        assert task.info.name == own.info.name and task.info.source == own.info.source
        assert task.info.deviations[0].startswith("Protocol lm-eval: ")
        assert task.languages()[0] == own.languages()[0] and set(task.languages()) <= set(own.languages())
        with pytest.raises(ValueError):
            task.score([])
    with pytest.raises(ConfigError, match=r"does not have the task 'terms', only belebele, mgsm, sib200, xnli, xquad"):
        registry.get("terms", "lm-eval")
    with pytest.raises(ConfigError, match="did you mean 'lm-eval'"):
        registry.get("xnli", "lm_eval")


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'xnli'"):
        registry.get("xlni")


def test_a_file_outside_is_a_task_too(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(MINE)
    assert registry.get(str(tmp_path / "mine.py")).info.name == "mine"


@pytest.mark.parametrize(
    ("code", "words"), [("x = 1", "no TASK"), ("TASK = 3", "lacks members"), ("1 / 0", "ZeroDivisionError")]
)
def test_a_file_that_is_no_task_is_refused(tmp_path: Path, code: str, words: str) -> None:
    (tmp_path / "bad.py").write_text(code)
    with pytest.raises(ConfigError, match=words):
        registry.get(str(tmp_path / "bad.py"))
    with pytest.raises(ConfigError, match="no such file"):
        registry.get(str(tmp_path / "absent.py"))
