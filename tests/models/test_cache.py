"""Law: an entry is whole or absent; of processes that start at once one builds it; what was damaged is built again."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from polyprefix.errors import OutputError
from polyprefix.models import cache

DIGEST = "ab" * 32
BUILD = f"""
import os, time
from pathlib import Path
from polyprefix.models import cache
def write(folder):
    with open(os.environ["BUILDS"], "a") as file:
        file.write("built ")
    (folder / "one").write_text("1")
    time.sleep(0.7)
    (folder / "two").write_text("2")
folder = cache.build("{DIGEST}", write)
assert (folder / "two").read_text() == "2"
"""


@pytest.fixture(autouse=True)
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("POLYPREFIX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def write(folder: Path) -> None:
    (folder / "weights").write_text("weights")


def refuse(folder: Path) -> None:
    raise AssertionError("built twice")


def test_it_is_built_once_and_found_again() -> None:
    assert cache.entry(DIGEST) is None
    folder = cache.build(DIGEST, write)
    assert cache.entry(DIGEST) == folder == cache.build(DIGEST, refuse)
    assert [p.name for p in folder.parent.iterdir() if p.is_dir()] == [f"{DIGEST[:16]}-{cache.FORMAT}"]


def test_another_source_with_the_same_first_digits_is_not_taken_for_it() -> None:
    cache.build(DIGEST, write)
    assert cache.entry(DIGEST[:16] + "c" * 48) is None


def test_of_two_processes_one_builds(tmp_path: Path) -> None:
    environment = os.environ | {"BUILDS": str(tmp_path / "builds"), "PYTHONPATH": os.pathsep.join(sys.path)}
    processes = [subprocess.Popen([sys.executable, "-c", BUILD], env=environment) for _ in range(2)]
    assert [process.wait(timeout=60) for process in processes] == [0, 0]
    assert (tmp_path / "builds").read_text() == "built "


@pytest.mark.parametrize("damage", ["shorter", "other contents", "no manifest", "half a manifest", "missing file"])
def test_a_damaged_entry_is_built_again(damage: str) -> None:
    folder = cache.build(DIGEST, write)
    match damage:
        case "shorter":
            (folder / "weights").write_text("w")
        case "other contents":
            (folder / "weights").write_text("WEIGHTS")
            os.utime(folder / "weights", ns=(1, 1))
        case "no manifest":
            (folder / cache.MANIFEST).unlink()
        case "half a manifest":
            manifest = folder / cache.MANIFEST
            manifest.write_text(manifest.read_text()[:40])
        case "missing file":
            (folder / "weights").unlink()
    assert cache.entry(DIGEST) is None
    assert (cache.build(DIGEST, write) / "weights").read_text() == "weights"


def test_a_copied_cache_is_read_once_and_then_trusted(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache.build(DIGEST, write)
    shutil.copytree(root, root.with_name("copy"), copy_function=shutil.copyfile)  # new times of change
    monkeypatch.setenv("POLYPREFIX_CACHE", str(root.with_name("copy")))
    os.utime(root.with_name("copy") / "models" / f"{DIGEST[:16]}-{cache.FORMAT}" / "weights", ns=(1, 1))
    assert cache.entry(DIGEST) is not None
    monkeypatch.setattr(cache, "sha256_of", refuse)
    assert cache.entry(DIGEST) is not None


def test_a_build_that_fails_leaves_nothing(root: Path) -> None:
    def fail(folder: Path) -> None:
        write(folder)
        raise KeyError("a defect")

    with pytest.raises(KeyError):
        cache.build(DIGEST, fail)
    assert cache.entry(DIGEST) is None
    assert not [p for p in (root / "models").iterdir() if p.is_dir()]


def test_what_a_killed_process_left_is_cleared(root: Path) -> None:
    left_over = root / "models" / f".partial-{DIGEST[:16]}-{cache.FORMAT}-dead"
    left_over.mkdir(parents=True)
    cache.build(DIGEST, write)
    assert not left_over.exists()


def test_a_cache_that_cannot_be_written_says_so(root: Path) -> None:
    root.write_text("a file where the folder should be")
    with pytest.raises(OutputError, match="POLYPREFIX_CACHE"):
        cache.build(DIGEST, write)


def test_the_digest_of_a_file_follows_its_contents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_text("one")
    first = cache.remembered_sha256(path)
    assert first == cache.sha256_of(path)
    path.write_text("three")
    second = cache.remembered_sha256(path)
    assert second == cache.sha256_of(path) != first
    monkeypatch.setattr(cache, "sha256_of", refuse)
    assert cache.remembered_sha256(path) == second
