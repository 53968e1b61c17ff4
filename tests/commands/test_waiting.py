"""What people wait for before a command answers: modules imported and bytes read, a little above those of the day they were set.

Seconds depend on the machine; counts do not. A command that imports a library more, or reads a file more, than it did fails here. Weights are
mapped into memory and are not among the bytes that are read. A bound is raised only with a reason.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

import polyprefix as pp
from polyprefix.config import RunConfig
from polyprefix.settings import validate

ROOT = Path(__file__).parents[2]
HEADLINES = ROOT / "examples" / "headlines"
KEPT = ROOT / "studies" / "results" / "small" / "sib200-full-gemma-3-270m-s0-0e300187"
COUNTED = """
import json, runpy, sys
from pathlib import Path
try:
    runpy.run_module("polyprefix", run_name="__main__")
    status = 0
except SystemExit as end:
    status = end.code or 0
read = int(Path("/proc/self/io").read_text().split()[1])
print(json.dumps([status, len(sys.modules), read, "torch" in sys.modules]), file=sys.stderr)
"""


class Waiting(NamedTuple):
    """Of one command."""

    status: int
    modules: int
    read: int
    """Bytes."""
    torch: bool
    """Whether torch was imported."""


def waiting(*words: object, cache: Path) -> Waiting:
    """What a command took in a process of its own."""
    place = {"PYTHONPATH": str(ROOT / "src"), "POLYPREFIX_CACHE": str(cache), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", COUNTED, *map(str, words)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, **place}, cwd=cache)
    return Waiting(*json.loads(done.stderr.splitlines()[-1]))


pytestmark = pytest.mark.skipif(not Path("/proc/self/io").is_file(), reason="bytes read are counted by Linux alone")


def check(found: Waiting, *, status: int, modules: int, megabytes: float, torch: bool) -> None:
    assert found.status == status
    assert found.torch == torch
    assert found.modules <= modules and found.read <= megabytes * 1e6, found


@pytest.mark.parametrize(
    ("what", "modules", "megabytes"), [("tasks", 540, 12), ("languages", 260, 5), ("methods", 540, 12)]
)
def test_list(tmp_path: Path, what: str, modules: int, megabytes: float) -> None:
    found = waiting("list", what, cache=tmp_path)
    check(found, status=0, modules=modules, megabytes=megabytes, torch=False)


def test_a_task_that_does_not_exist(tmp_path: Path) -> None:
    found = waiting("run", "--model", "gemma-3-270m", "--task", "xnlo", cache=tmp_path)
    check(found, status=2, modules=520, megabytes=11, torch=False)


def test_the_report_of_one_run(tmp_path: Path) -> None:
    found = waiting("report", KEPT, "--out", tmp_path / "report.html", cache=tmp_path)
    check(found, status=0, modules=1700, megabytes=44, torch=False)


def test_the_answer_to_one_text(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a model that was probed before. Half of the bytes are transformers', which reads the source of all its models twice."""
    monkeypatch.setenv("POLYPREFIX_CACHE", str(tmp_path))
    train = {"steps": 1, "batch_size": 8, "validation_size": 4, "validations": 1}
    settings = {"model": str(tiny_folder), "task": str(HEADLINES), "train": train}
    run = pp.run(validate(RunConfig, settings, "run"), out=tmp_path / "runs").folder
    check(waiting("predict", run, "--text", "Rais", cache=tmp_path), status=0, modules=3500, megabytes=185, torch=True)
