"""The commands: a study from a file is run, looked at, reported and planned; mistakes and failures have their exit status."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.study.studies import write

import polyprefix.study.attempt as attempt
from polyprefix.results.files import find_results

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def file(tmp_path: Path, tiny_folder: Path) -> Path:
    (tmp_path / "model").symlink_to(tiny_folder)
    return write(tmp_path, axes={"method": ["none", "prefix"]}, seeds=[0, 1])


def test_a_study_from_file_to_page(polyprefix: Command, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    status, printed, err = polyprefix("study", "run", file, "--out", out)
    assert status == 0 and "3 run, 0 there already, 0 failed" in printed, err
    assert len(find_results(out)) == 3
    status, printed, _ = polyprefix("study", "status", file, "--out", out, "--json")
    assert status == 0 and json.loads(printed)["counts"] == {"main": {"done": 3}} and json.loads(printed)["complete"]
    assert "complete" in polyprefix("study", "status", file, "--out", out)[1]
    status, printed, err = polyprefix("study", "report", file, "--out", out)
    assert status == 0 and "prefix" in printed and (out / "report.html").is_file(), err
    status, printed, err = polyprefix("study", "run", file, "--out", out)
    assert status == 0 and "0 run, 3 there already" in printed


def test_a_failure_is_exit_status_1_and_is_named(
    polyprefix: Command, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> Path:
        raise RuntimeError("out of cheese")

    monkeypatch.setattr(attempt, "run_on", fail)
    status, printed, _ = polyprefix("study", "run", file, "--out", tmp_path / "runs")
    assert status == 1 and "3 failed" in printed and "RuntimeError: out of cheese" in printed
    assert "out of cheese" in polyprefix("study", "status", file, "--out", tmp_path / "runs")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "nothing.yaml"), "no such file"),
        (("status", "nothing.yaml"), "no such file"),
        (("report", "{file}"), "no finished cell"),
        (("plan", "{file}", "--device", "h1000"), "did you mean 'h100'"),
        (("run", "{file}", "--track", "wand"), "did you mean 'wandb'"),
    ],
)
def test_mistakes_are_one_line(
    polyprefix: Command, file: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    status, _, err = polyprefix("study", *(w.format(file=file) for w in words), "--out", tmp_path / "runs")
    assert status == 2 and said in err.splitlines()[-1] and err.splitlines()[-1].startswith("polyprefix: ")
