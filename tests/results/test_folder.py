"""Law: at whatever moment a run is killed or the disk is full, a folder that looks like a result is a whole one."""

from __future__ import annotations

import dataclasses
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from polyprefix.errors import OutputError
from polyprefix.results import folder as folder_module
from polyprefix.results.files import find_results, read_predictions, read_result, write_predictions, write_result
from polyprefix.results.folder import RunFolder, finished_folder, is_finished
from polyprefix.types import Prediction, RunResult, Score


def result_of(value: float) -> RunResult:
    scores = {"eng_Latn": {"accuracy": Score(value, 1, (0.0, 1.0))}}
    return RunResult("run", {}, {}, {"trainable": 1, "total": 2}, scores, {})


def write_run(out: Path, value: float) -> Path:
    folder = RunFolder(out, "run")
    write_predictions(folder.predictions, [Prediction("1", "eng_Latn", ("yes",), "yes")], [value])
    folder.adapter.mkdir()
    (folder.adapter / "adapter.json").write_text(str(value))
    return folder.finish(result_of(value))


def value_of(folder: Path) -> float:
    """The value of a result, after checking that all its files come from the same run."""
    value = read_result(folder).scores["eng_Latn"]["accuracy"].value
    (answer,), correct = read_predictions(folder / "predictions.parquet")
    assert (answer.language, answer.example_id, correct) == ("eng_Latn", "1", [value])
    assert float((folder / "adapter" / "adapter.json").read_text()) == value
    return value


def test_a_finished_run_takes_its_place(tmp_path: Path) -> None:
    out = tmp_path / "new" / "runs"
    assert write_run(out, 0.5) == out / "run"
    assert [path.name for path in out.iterdir()] == ["run"]
    assert value_of(out / "run") == 0.5
    assert finished_folder(out, "run") == out / "run"


def test_the_earlier_result_stays_until_the_new_one_is_finished(tmp_path: Path) -> None:
    write_run(tmp_path, 0.0)
    folder = RunFolder(tmp_path, "run")
    folder.train_log.write_text("{}\n")
    assert find_results(tmp_path) == [tmp_path / "run"] and value_of(tmp_path / "run") == 0.0
    write_run(tmp_path, 1.0)
    assert [path.name for path in tmp_path.iterdir()] == ["run"]
    assert value_of(tmp_path / "run") == 1.0 and not (tmp_path / "run" / "train.jsonl").exists()


def test_an_unfinished_run_is_no_result_and_can_be_resumed(tmp_path: Path) -> None:
    RunFolder(tmp_path, "run").train_log.write_text("{}\n")
    assert find_results(tmp_path) == [] and finished_folder(tmp_path, "run") is None
    assert RunFolder(tmp_path, "run", {}).train_log.exists()
    assert not RunFolder(tmp_path, "run").train_log.exists()


def test_a_result_of_another_run_cannot_finish_it(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="other"):
        RunFolder(tmp_path, "run").finish(dataclasses.replace(result_of(1), run_id="other"))


def run_until(moment: int, out: Path) -> int:
    """Write a run in a process that kills itself at its `moment`-th file operation; returns its exit status."""

    def watch(event: str, args: tuple[object, ...]) -> None:
        nonlocal moment
        if event in {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir"} and str(args[0]).startswith(str(out)):
            moment -= 1
            if moment < 0:
                os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if child == 0:
        signal.alarm(30)  # a child that hangs fails the test, with another signal
        sys.addaudithook(watch)
        try:
            write_run(out, 1.0)
            os._exit(0)
        finally:
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
@pytest.mark.parametrize("earlier", [True, False])
def test_a_kill_at_any_moment_leaves_a_whole_result_old_or_new(tmp_path: Path, earlier: bool) -> None:
    seen: list[float | None] = []
    windows = 0  # moments at which nothing but the last rename is left to do
    for moment in range(200):
        out = tmp_path / str(moment)
        out.mkdir()
        if earlier:
            write_run(out, 0.0)
        code = run_until(moment, out)
        for found in find_results(out):
            assert value_of(found) in (0.0, 1.0)
        only_to_rename = (out / ".run.partial" / "result.json").exists() and not (out / "run").exists()
        windows += only_to_rename
        finished = finished_folder(out, "run")
        seen.append(value_of(finished) if finished else None)
        assert seen[-1] == 1.0 or not only_to_rename
        write_run(out, 0.5)
        assert value_of(out / "run") == 0.5 and [path.name for path in out.iterdir()] == ["run"]
        if code == 0:
            break
        assert code == -signal.SIGKILL
    assert code == 0 and len(seen) > 15 and windows > 0
    before, after = (0.0 if earlier else None), 1.0
    change = seen.index(after)
    assert change > 0 and set(seen[:change]) == {before} and set(seen[change:]) == {after}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for 200 kB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(disk)]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a small file system can only be mounted by an administrator")
    yield disk
    subprocess.run(["umount", str(disk)], check=True)


def random_predictions(count: int) -> list[Prediction]:
    return [Prediction(str(i), "eng_Latn", ("yes",), os.urandom(500).hex()) for i in range(count)]


def test_a_full_disk_is_one_line_and_the_earlier_result_stays(small_disk: Path) -> None:
    write_run(small_disk, 0.0)
    folder = RunFolder(small_disk, "run")
    with pytest.raises(OutputError, match=r"No space left on device; \d\.\d MB free\); free some space") as caught:
        write_predictions(folder.predictions, random_predictions(2000), [0.0] * 2000)
    assert "\n" not in str(caught.value) and "predictions.parquet" in str(caught.value)
    assert [path.name for path in folder.path.iterdir()] == ["unfinished"]
    (folder.path / "filler").write_bytes(bytes(small_disk_free(small_disk)))
    with pytest.raises(OutputError, match=r"result\.json: cannot be written"):
        folder.finish(result_of(1.0))
    assert value_of(small_disk / "run") == 0.0 and find_results(small_disk) == [small_disk / "run"]


def small_disk_free(disk: Path) -> int:
    status = os.statvfs(disk)
    return status.f_bavail * status.f_frsize


def test_a_file_that_may_not_grow_is_one_line(tmp_path: Path) -> None:
    """The same law where nobody may mount a disk: the system refuses files beyond a limit."""
    resource = pytest.importorskip("resource", reason="this system has no file size limit")
    folder = RunFolder(tmp_path, "run")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OutputError, match=r"predictions\.parquet: cannot be written \(File too large"):
            write_predictions(folder.predictions, random_predictions(1000), [0.0] * 1000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert [path.name for path in folder.path.iterdir()] == ["unfinished"]


def test_a_place_that_is_no_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"cannot be written .* choose another place with --out"):
        RunFolder(tmp_path / "file" / "runs", "run")


HOLD = """
import sys, time
from pathlib import Path
from polyprefix.results.folder import RunFolder
folder = RunFolder(Path(sys.argv[1]), "a-run", alone=True)
print("held", flush=True)
time.sleep(60)
"""


def test_two_processes_do_not_write_one_run(tmp_path: Path) -> None:
    """The second says so and changes nothing; when the first is killed, the run can be begun again."""
    first = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout is not None and first.stdout.readline() == "held\n"
        with pytest.raises(
            OutputError, match="another process is writing this run; wait until it is finished"
        ) as error:
            RunFolder(tmp_path, "a-run", alone=True)
        assert "free" not in str(error.value)
        RunFolder(tmp_path, "another-run", alone=True)
    finally:
        first.kill()
        first.wait()
    RunFolder(tmp_path, "a-run", alone=True)


def test_a_result_is_looked_at_anew_where_its_file_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And only there: a study asks for every cell again and again."""
    read: list[Path] = []

    def reading(place: Path) -> RunResult:
        read.append(place)
        return read_result(place)

    monkeypatch.setattr(folder_module, "read_result", reading)
    (tmp_path / "run").mkdir()
    assert not is_finished(tmp_path, "run") and read == []
    write_result(tmp_path / "run", result_of(0.5))
    assert all(is_finished(tmp_path, "run") for _ in range(3)) and len(read) == 1
    whole = (tmp_path / "run" / "result.json").read_bytes()
    (tmp_path / "run" / "result.json").write_bytes(whole.rstrip()[:-1].ljust(len(whole)))
    assert not is_finished(tmp_path, "run")
    (tmp_path / "run" / "result.json").write_bytes(whole)
    assert is_finished(tmp_path, "run")
    (tmp_path / "run" / "result.json").unlink()
    assert not is_finished(tmp_path, "run")
