"""Law: a package with entry points adds a method and a task; a broken one is one line that names its package. The built-in ones keep the
contracts that plugins are tested with."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import polyprefix as pp
from polyprefix.testing import MethodContract, TaskContract

ROOT = Path(__file__).parents[1]


class TestPrefix(MethodContract):
    method = pp.PrefixTuning(length=5)


class TestSoftPrompt(MethodContract):
    method = pp.SoftPrompt(length=5)


class TestLlamaAdapter(MethodContract):
    method = pp.LlamaAdapter(length=5)


class TestLoRA(MethodContract):
    method = pp.LoRA(rank=4)


class TestFull(MethodContract):
    method = pp.FullFineTuning()


class TestTerms(TaskContract):
    task = pp.load_task("terms")


class TestHeadlines(TaskContract):
    task = pp.load_task(ROOT / "examples" / "headlines")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The example plugin, installed, and a broken one beside it."""
    folder = tmp_path_factory.mktemp("site")
    source = shutil.copytree(ROOT / "examples" / "plugin", folder / "source")
    words = [
        "install",
        "--quiet",
        "--no-deps",
        "--no-build-isolation",
        "--no-index",
        "--target",
        folder / "packages",
        source,
    ]
    subprocess.run([sys.executable, "-m", "pip", *map(str, words)], check=True)
    broken = folder / "packages" / "broken_pack-1.dist-info"
    broken.mkdir()
    (broken / "METADATA").write_text("Metadata-Version: 2.1\nName: broken-pack\nVersion: 1\n")
    (broken / "entry_points.txt").write_text("[polyprefix.methods]\nbroken = no_such_module:Method\n")
    return folder


def call(site: Path, *words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(site / "packages"), str(Path(pp.__file__).parents[1])])
    environment = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", *map(str, words)], env=environment, capture_output=True, text=True, cwd=cwd
    )


def test_a_plugin_is_listed_and_a_broken_one_named(site: Path) -> None:
    done = call(site, "polyprefix", "list", "methods")
    assert done.returncode == 0 and "scaled-text" in done.stdout and "prefix" in done.stdout, done.stderr
    assert "broken-pack" in done.stderr and "Traceback" not in done.stderr
    assert "evenness" in call(site, "polyprefix", "list", "tasks", "--json").stdout


def test_a_plugin_runs_and_is_asked(site: Path, tiny_folder: Path, tmp_path: Path) -> None:
    small = [
        word for value in ("steps=2", "validation_size=2", "validations=1") for word in ("--set", f"train.{value}")
    ]
    words = ("--model", tiny_folder, "--task", "evenness", "--method", "scaled-text", *small, "--out", tmp_path)
    done = call(site, "polyprefix", "run", *words)
    assert done.returncode == 0, done.stderr
    [run] = tmp_path.glob("evenness-scaled-text-*")
    done = call(site, "polyprefix", "predict", run, "--text", "Is 7 even or odd?")
    assert done.returncode == 0 and "odd" in done.stdout, done.stderr
    done = call(site, "polyprefix", "run", "--model", tiny_folder, "--task", "evenness", "--method", "broken")
    assert done.returncode == 2 and "broken-pack" in done.stderr and "Traceback" not in done.stderr


def test_the_contracts_of_a_plugin_run_where_it_is_installed(site: Path) -> None:
    done = call(site, "pytest", "-q", "-p", "no:cacheprovider", "tests", cwd=site / "source")
    assert done.returncode == 0, done.stdout + done.stderr
