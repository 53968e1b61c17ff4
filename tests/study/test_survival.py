"""Law: kills at any moment, a full disk and a second process lose nothing, double nothing and change nothing.

The long version, on the real model and through the command: tools/kill_study.py.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.study.studies import grid

from polyprefix.errors import OutputError
from polyprefix.results.files import find_results, read_predictions, read_result
from polyprefix.study.grid import Cell
from polyprefix.study.locks import Bookkeeping
from polyprefix.study.run import run_study
from polyprefix.study.status import status


@pytest.fixture
def cells(tmp_path: Path, tiny_folder: Path) -> tuple[Cell, ...]:
    (tmp_path / "model").symlink_to(tiny_folder)
    return grid(tmp_path, axes={"method": ["none", "soft-prompt", "prefix", "llama-adapter", "lora", "full"]})


def contents(out: Path) -> dict[str, tuple[Any, ...]]:
    """Everything that must not depend on interruptions."""
    found = {}
    for folder in find_results(out):
        adapter = folder / "adapter" / "adapter.safetensors"
        weights = adapter.read_bytes() if adapter.exists() else None
        found[folder.name] = (read_result(folder).scores, read_predictions(folder / "predictions.parquet"), weights)
    return found


def in_a_child(work: Callable[[], object], seconds: float) -> int:
    """Exit status of a process that is killed after so many seconds."""
    child = os.fork()
    if child == 0:
        signal.alarm(100)
        try:
            work()
            os._exit(0)
        finally:
            os._exit(1)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        ended, code = os.waitpid(child, os.WNOHANG)
        if ended:
            return os.waitstatus_to_exitcode(code)
        time.sleep(0.002)
    os.kill(child, signal.SIGKILL)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_kills_at_random_moments_change_nothing(cells: tuple[Cell, ...], tmp_path: Path) -> None:
    start = time.monotonic()
    assert (
        in_a_child(lambda: run_study(cells, tmp_path / "whole"), 90) == 0
    )  # here torch would start threads that no child has
    whole = time.monotonic() - start
    out, expected, rng, kills = tmp_path / "killed", contents(tmp_path / "whole"), random.Random(0), 0
    stamps: dict[str, int] = {}
    for attempt in range(60):
        limit = rng.uniform(0, whole / 6) if attempt < 12 else 90
        code = in_a_child(lambda: run_study(cells, out, checkpoint_seconds=0), limit)
        kills += code == -signal.SIGKILL
        found = {
            folder.name: (folder / "result.json").stat().st_mtime_ns
            for folder in (find_results(out) if out.exists() else [])
        }
        assert stamps.items() <= found.items(), "a finished cell was run again"
        assert all(expected[name] == what for name, what in (contents(out) if out.exists() else {}).items())
        stamps = found
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert kills >= 3 and contents(out) == expected and status(cells, Bookkeeping(out)).complete
    assert {path.name for path in out.iterdir()} == {".study", *expected}, "something unfinished is left"


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for 3 MB."""
    import subprocess

    disk = tmp_path / "disk"
    disk.mkdir()
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small file system can only be mounted by an administrator")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def test_a_disk_that_fills_stops_the_study_and_room_lets_it_go_on(
    cells: tuple[Cell, ...], small_disk: Path, tmp_path: Path
) -> None:
    assert run_study(cells, tmp_path / "whole").complete
    filler, out = small_disk / "filler", small_disk / "runs"
    assert run_study(cells[:2], out).complete
    free = os.statvfs(small_disk)
    filler.write_bytes(bytes(max(0, free.f_bavail * free.f_frsize - 60_000)))
    with pytest.raises(OutputError, match=r"cannot be written .*free some space") as caught:
        run_study(cells, out)
    assert "\n" not in str(caught.value)
    finished = contents(out)
    assert 2 <= len(finished) < len(cells)
    filler.unlink()
    assert run_study(cells, out).complete and contents(out) == contents(tmp_path / "whole")
    assert finished.items() <= contents(out).items()


def test_a_write_that_fails_anywhere_stops_the_study_and_is_made_good(
    cells: tuple[Cell, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same law where nobody may mount a disk: the system refuses one write after the other."""
    import errno

    import polyprefix.atomic as atomic

    real, out = atomic.sync, tmp_path / "runs"
    refused = 0
    for moment in range(3, 60, 7):
        left = moment

        def sync(path: Path) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                raise OSError(errno.ENOSPC, "No space left on device")
            real(path)

        with monkeypatch.context() as patched:
            patched.setattr(atomic, "sync", sync)
            try:
                run_study(cells[:3], out)
            except OutputError as error:
                refused += 1
                assert "No space left on device" in str(error)
    assert refused >= 3 and run_study(cells[:3], out).complete
    run_study(cells[:3], tmp_path / "whole")
    assert contents(out) == contents(tmp_path / "whole")


def test_evaluation_goes_on_after_the_last_finished_language(
    cells: tuple[Cell, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import polyprefix.evaluation.predictions as evaluate

    asked: list[int] = []
    real = evaluate.loglikelihood

    def choose(model: Any, items: Any, *rest: Any) -> Any:
        asked.append(len(items))
        if len(asked) == 3:
            raise KeyboardInterrupt
        return real(model, items, *rest)

    monkeypatch.setattr(evaluate, "loglikelihood", choose)
    with pytest.raises(KeyboardInterrupt):
        run_study(cells[:1], tmp_path / "runs")
    assert not find_results(tmp_path / "runs")
    run_study(cells[:1], tmp_path / "runs")
    assert len(asked) == 4  # two finished, one interrupted, the same again
    run_study(cells[:1], tmp_path / "whole")
    assert contents(tmp_path / "runs") == contents(tmp_path / "whole")
    first, whole = (read_result(find_results(tmp_path / side)[0]).cost for side in ("runs", "whole"))
    assert first.keys() == whole.keys() and first["eval_flops"] == whole["eval_flops"]
