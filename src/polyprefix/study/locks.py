"""What a study keeps beside its results, in `OUT/.study/`: who does which cell, how far it is, and what failed.

claims/RUN_ID.lock       held by the process that does the cell; the system frees it when that process ends, however it ends
progress/RUN_ID.json     written every second or so by that process, for `study status`
failed/RUN_ID.json       the error of the last attempt, with its traceback; removed when the cell succeeds
"""

from __future__ import annotations

import json
import os
import socket
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from polyprefix.atomic import output_errors, write_text
from polyprefix.errors import TrainingError
from polyprefix.results.folder import is_finished

SILENT_SECONDS = 30.0
"""A running cell that has said nothing for so long is taken for dead in what is shown; its lock decides what is done."""


class Bookkeeping:
    """The files of a study in its folder of results."""

    def __init__(self, out: Path) -> None:
        self.out = out
        self.path = out / ".study"

    @contextmanager
    def claim(self, run_id: str) -> Iterator[bool]:
        """Whether the cell is ours until the block ends; False where another process does it.

        Raises:
            OutputError: if the folder cannot be written.
        """
        file = self._file("claims", run_id, "lock")
        with output_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True)
            lock = FileLock(file)
            with suppress(Timeout):
                lock.acquire(timeout=0)
        try:
            yield lock.is_locked
        finally:
            lock.release()

    def write_progress(self, run_id: str, **figures: Any) -> None:
        """Say how far a cell is. Best effort: a full disk stops results, not this; and it need not survive a power cut."""
        file = self._file("progress", run_id, "json")
        temporary = file.with_suffix(".tmp")
        record = {**figures, "host": socket.gethostname(), "process": os.getpid(), "at": time.time()}
        with suppress(OSError):
            file.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(record), encoding="utf-8")
            temporary.replace(file)

    def progress(self, run_id: str) -> dict[str, Any] | None:
        """How far a cell is; None where nobody is at work on it."""
        found = _read(self._file("progress", run_id, "json"))
        if found is None or time.time() - found["at"] > SILENT_SECONDS:
            return None
        return None if found["host"] == socket.gethostname() and not _alive(found["process"]) else found

    def end_progress(self, run_id: str) -> None:
        """Nobody is at work on it any more."""
        with suppress(OSError):
            self._file("progress", run_id, "json").unlink(missing_ok=True)

    def write_failure(self, run_id: str, error: Exception) -> None:
        """Record what stopped a cell.

        Raises:
            OutputError: if it cannot be written.
        """
        file = self._file("failed", run_id, "json")
        lines = "".join(traceback.format_exception(error))
        first = (str(error).strip() or "no message").splitlines()[0]
        diverged = isinstance(error, TrainingError)
        record = {"error": f"{type(error).__name__}: {first}", "diverged": diverged, "at": time.time()}
        with output_errors(file):
            file.parent.mkdir(parents=True, exist_ok=True)
        write_text(
            file, json.dumps({**record, "host": socket.gethostname(), "traceback": lines.splitlines()}, indent=1)
        )

    def failure(self, run_id: str) -> dict[str, Any] | None:
        """What stopped the last attempt; None where nothing did."""
        return _read(self._file("failed", run_id, "json"))

    def diverged(self, run_id: str) -> bool:
        """Whether its loss stopped being a number: the same settings would end there again."""
        return bool((self.failure(run_id) or {}).get("diverged"))

    def copy_diverged(self, run_id: str, to: Bookkeeping) -> None:
        """Give another folder the record that a run diverged, without where in the code that was.

        Raises:
            OutputError: if it cannot be written.
        """
        if self.diverged(run_id):
            record, file = self.failure(run_id) or {}, to._file("failed", run_id, "json")
            with output_errors(file):
                file.parent.mkdir(parents=True, exist_ok=True)
            write_text(file, json.dumps({key: record[key] for key in ("error", "diverged", "at")}, indent=1))

    def forget_failure(self, run_id: str) -> None:
        """The cell has succeeded."""
        with suppress(OSError):
            self._file("failed", run_id, "json").unlink(missing_ok=True)

    def _file(self, kind: str, run_id: str, ending: str) -> Path:
        return self.path / kind / f"{run_id}.{ending}"


def unfinished_in(folder: Path) -> list[str]:
    """A line for each run in a folder of results that failed in a study, or that was started and did not finish."""
    books, found = Bookkeeping(folder), dict[str, str]()
    for path in sorted((books.path / "failed").glob("*.json")):
        if not is_finished(folder, path.stem):
            failure = books.failure(path.stem) or {}
            found[path.stem] = f"failed: {' '.join(str(failure.get('error', f'{path} cannot be read')).split())}"
    for path in sorted(folder.glob(".*.partial")):
        name = path.name.removeprefix(".").removesuffix(".partial")
        found.setdefault(name, "started, and not finished when this report was written")
    return [f"{name}: {what}" for name, what in found.items()]


def _read(file: Path) -> dict[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError):
        return None


def _alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
