"""The command: help is quick, mistakes are one line with exit status 2, interruption is 130 and leaves no result."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

Command = Callable[..., tuple[int, str, str]]
TINY = ("--task", "terms", "--languages", "sw,th", "--eval-size", "9", "--train-size", "12", "--set", "train.epochs=1",
        "--set", "train.batch_size=4", "--set", "train.validation_size=6")  # fmt: skip


@pytest.mark.parametrize("words", [["--help"], ["run", "--help"], ["--version"]])
def test_help_answers_in_under_a_second(words: list[str]) -> None:
    seconds = []
    for _ in range(3):
        start = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "polyprefix", *words], capture_output=True, text=True)
        seconds.append(time.perf_counter() - start)
        assert done.returncode == 0 and "polyprefix" in done.stdout
    assert min(seconds) < 1.0


def test_run_evaluate_and_report(polyprefix: Command, tiny_folder: Path, tmp_path: Path) -> None:
    status, out, err = polyprefix("run", "--model", tiny_folder, *TINY, "--out", tmp_path)
    assert status == 0, err
    assert "Swahili" in out and "Thai" in out
    [adapted] = tmp_path.glob("terms-prefix-*")
    assert "<html" in (adapted / "report.html").read_text()
    status, out, err = polyprefix(
        "evaluate", adapted, "--task", "terms", "--languages", "fi", "--eval-size", "9", "--out", tmp_path, "--json"
    )
    assert status == 0, err
    assert {row["language"]["name"] for row in json.loads(out)["rows"]} == {"English", "Finnish"}
    assert polyprefix("report", tmp_path, "--out", tmp_path / "all.html")[0] == 0
    assert "Swahili" in (tmp_path / "all.html").read_text()


def test_a_run_from_a_file(polyprefix: Command, tiny_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "run.yaml"
    file.write_text(f"model: {tiny_folder}\ntask: terms\nmethod: none\nlanguages: [sw]\neval_size: 9\n")
    status, out, err = polyprefix("run", file, "--out", tmp_path / "runs", "--json")
    assert status == 0, err
    assert json.loads(out)["method"] == "none"


@pytest.mark.parametrize("what", ["tasks", "methods", "models", "languages"])
def test_lists(polyprefix: Command, what: str) -> None:
    assert polyprefix("list", what)[0] == 0
    status, out, _ = polyprefix("list", what, "--json")
    assert status == 0 and len(json.loads(out)) >= 2


def test_languages_are_filtered(polyprefix: Command) -> None:
    rows = json.loads(polyprefix("list", "languages", "--script", "Deva", "--family", "Indo-European", "--json")[1])
    assert {"hin_Deva", "npi_Deva"} <= {row["code"] for row in rows}
    assert {row["script"] for row in rows} == {"Deva"}


def test_doctor(polyprefix: Command) -> None:
    status, out, _ = polyprefix("doctor", "--json")
    assert status == 0 and {"python", "torch"} <= {row["name"] for row in json.loads(out)}


@pytest.mark.parametrize("delay", [0.0, 0.3, 0.6, 1.0, 1.5, 4.0, 8.0])
def test_interruption_leaves_nothing_that_looks_like_a_result(delay: float, tiny_folder: Path, tmp_path: Path) -> None:
    """At any moment, from the first imports to the last file; the same command again works (tested once, below)."""
    words = [
        sys.executable,
        "-m",
        "polyprefix",
        "run",
        "--model",
        str(tiny_folder),
        *TINY,
        "--set",
        "train.epochs=400",
        "--out",
        str(tmp_path),
    ]
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # a job in the background inherits that it is ignored
    )  # fmt: skip
    assert process.stderr is not None and "loading libraries" in process.stderr.readline()
    time.sleep(delay)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "Traceback" not in err and "interrupted" in err
    assert not list(tmp_path.glob("terms-prefix-*"))


def test_interruption_while_the_command_itself_loads() -> None:
    code = (
        "import sys; sys.modules['polyprefix.cli'] = None; import builtins; real = builtins.__import__\n"
        "def load(name, *rest):\n    if name == 'polyprefix.cli': raise KeyboardInterrupt\n    return real(name, *rest)\n"
        "builtins.__import__ = load; from polyprefix.__main__ import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 130 and done.stderr == "polyprefix: interrupted; nothing was begun\n"


def test_after_an_interruption_the_same_command_works(
    polyprefix: Command, tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import polyprefix.recipe as recipe

    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    words = ("run", "--model", tiny_folder, *TINY, "--out", tmp_path)
    for part in ("train", "predict", "write_predictions", "save_adapter"):
        with monkeypatch.context() as patched:
            patched.setattr(recipe, part, interrupt)
            status, _, err = polyprefix(*words)
        assert status == 130 and "interrupted" in err
        assert not list(tmp_path.glob("terms-prefix-*"))
    assert polyprefix(*words)[0] == 0
    assert len(list(tmp_path.glob("terms-prefix-*/result.json"))) == 1


MISTAKES = [
    ("run", "--task", "terms", "--set", "trian.steps=2"), ("run", "--task", "terms", "--set", "method.lenght=2"),
    ("run", "--task", "terms", "--set", "method.length=1e9"), ("run", "--task", "terms", "--method", "prefx"), ("run", "--task", "term"),
    ("run", "--task", "terms", "--model", "./nowhere"), ("run", "--task", "terms", "--languages", "Klingonish"), ("run", "nowhere.yaml"),
    ("predict", "nowhere", "--text", "a"), ("evaluate", "nowhere", "--task", "terms"), ("export", "nowhere", "--format", "pefft",
    "--out", "x"),
    ("import", "nowhere", "--model", "gemma-3-270m", "--out", "x"), ("report", "nowhere"), ("compare", "nowhere", "--baseline", "none"),
]  # fmt: skip


@pytest.mark.parametrize("words", MISTAKES, ids=" ".join)
def test_mistakes_are_said_before_libraries_load(words: tuple[str, ...], tmp_path: Path) -> None:
    model = () if words[0] != "run" or "--model" in words or len(words) == 2 else ("--model", "gemma-3-270m")
    code = (
        "import sys\nfrom polyprefix.cli import main\ntry:\n    main()\nexcept SystemExit as end:\n"
        "    heavy = {'torch', 'transformers', 'peft', 'datasets'} & set(sys.modules)\n    print(end.code, sorted(heavy))"
    )
    done = subprocess.run([sys.executable, "-c", code, *words, *model], capture_output=True, text=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "2 []", done.stderr
    assert done.stderr.count("\n") == 1 and done.stderr.startswith("polyprefix: ")


def test_the_command_alone_prints_its_help() -> None:
    done = subprocess.run([sys.executable, "-m", "polyprefix"], capture_output=True, text=True)
    assert done.returncode == 0 and "Commands:" in done.stdout and not done.stderr


def test_the_run_of_a_base_model_can_be_asked(polyprefix: Command, tiny_folder: Path, tmp_path: Path) -> None:
    status, _, err = polyprefix("run", "--model", tiny_folder, *TINY, "--method", "none", "--out", tmp_path)
    assert status == 0, err
    [folder] = tmp_path.glob("terms-none-*")
    status, out, err = polyprefix("predict", folder, "--text", "Ujerumani")
    assert status == 0 and json.loads(out)["prediction"] and json.loads(out)["probabilities"], err
