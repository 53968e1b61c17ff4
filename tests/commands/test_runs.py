"""Law: what `diff` names differs, and what it does not name is equal; a shell completes what there is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from tests.report.studies import write_cell

from polyprefix.results.diff import ABSENT, diff_runs
from polyprefix.results.files import read_result, write_result
from polyprefix.types import Score

Command = Callable[..., tuple[int, str, str]]
KEPT = sorted((Path(__file__).parents[2] / "studies" / "results" / "small").glob("*/result.json"))


@pytest.mark.parametrize("number", range(0, len(KEPT), max(1, len(KEPT) // 4)))
def test_a_run_does_not_differ_from_its_copy(number: int, tmp_path: Path) -> None:
    folder = KEPT[number].parent
    shutil.copytree(folder, tmp_path / "copy")
    found = diff_runs(folder, tmp_path / "copy")
    assert not found.differences and not found.scores and found.equal_scores


def test_every_difference_is_named_and_nothing_else(tmp_path: Path, polyprefix: Command) -> None:
    first = read_result(write_cell(tmp_path, ["eng_Latn", "swh_Latn"]))
    code, metric = next((code, metric) for code, found in first.scores.items() for metric in found)
    changed = {**first.scores, code: {**first.scores[code], metric: Score(0.123, 9, (0.1, 0.2))}}
    made = {**first.provenance, "packages": {"torch": "9.9"}}
    second = replace(
        first,
        run_id="other",
        scores=changed,
        provenance=made,
        config={**first.config, "seed": 99, "text": {"max_length": 64}},
    )
    for name, run in (("a", first), ("b", second)):
        (tmp_path / name).mkdir()
        write_result(tmp_path / name, run)
    found = diff_runs(tmp_path / "a", tmp_path / "b")
    named = {one.key: (one.first, one.second) for one in found.differences}
    assert named["seed"] == (first.config.get("seed", ABSENT), 99) and named["text.max_length"][1] == 64
    assert {key.partition(".")[0] for key in named} <= {"seed", "text", "packages"}
    [score] = found.scores
    assert (score.language, score.metric) == (code, metric)
    assert score.difference == pytest.approx(0.123 - first.scores[code][metric].value)
    status, out, _ = polyprefix("diff", tmp_path / "a", tmp_path / "b")
    assert status == 0 and "seed" in out and "12.3" in out
    assert len(json.loads(polyprefix("diff", tmp_path / "a", tmp_path / "b", "--json")[1])["scores"]) == 1


def test_diff_of_no_run(polyprefix: Command, tmp_path: Path) -> None:
    status, _, err = polyprefix("diff", tmp_path, tmp_path)
    assert status == 2 and "not a finished run" in err


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("polyprefix ru", "run"),
        ("polyprefix run --task xn", "xnli"),
        ("polyprefix run --method soft", "soft-prompt"),
        ("polyprefix check bele", "belebele"),
        ("polyprefix run --dry", "--dry-run"),
        ("polyprefix study pl", "plan"),
        ("polyprefix rnu x", ""),
    ],
)
def test_a_shell_completes(words: str, expected: str, polyprefix: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for key, value in {
        "_POLYPREFIX_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
    }.items():
        monkeypatch.setenv(key, value)
    status, out, err = polyprefix()
    assert status == 0 and not err
    assert expected in [line.partition(",")[2] for line in out.splitlines()] or not expected


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_what_a_shell_runs(shell: str, polyprefix: Command) -> None:
    status, out, _ = polyprefix("completion", shell)
    assert status == 0 and "_POLYPREFIX_COMPLETE" in out
    if program := shutil.which(shell):
        flag = "--no-execute" if shell == "fish" else "-n"
        subprocess.run([program, flag, "/dev/stdin"], input=out, text=True, check=True)


def test_the_shell_of_the_user(polyprefix: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHELL", "/usr/bin/fish")
    assert polyprefix("completion")[1] == polyprefix("completion", "fish")[1]
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    status, _, err = polyprefix("completion")
    assert status == 2 and "tcsh" in err


def test_completion_loads_no_heavy_library() -> None:
    code = (
        "import sys; sys.argv=['polyprefix']; from polyprefix.cli import main\ntry: main()\nexcept SystemExit: pass\n"
    )
    code += "print([m for m in ('torch', 'transformers', 'datasets', 'pandas') if m in sys.modules])"
    environment = {
        **os.environ,
        "_POLYPREFIX_COMPLETE": "bash_complete",
        "COMP_WORDS": "polyprefix run --task x",
        "COMP_CWORD": "3",
    }
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.splitlines()[-1] == "[]" and "plain,xnli" in done.stdout
