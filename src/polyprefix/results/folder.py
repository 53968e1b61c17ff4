"""The folder of one run, from its first file to its place among the results.

A run writes into `OUT/.RUN_ID.partial/`. When it is finished, `result.json` is written there last and the folder is
renamed to `OUT/RUN_ID/`. A folder of that name from an earlier run stays until that moment; then it becomes
`OUT/.RUN_ID.replaced/` and is removed. So whatever moment a run is killed at, what has the name `RUN_ID` is whole.
The same run begun again goes on from what is in the hidden folder (polyprefix.results.unfinished).

No common system call renames one folder over another. A kill between the two renames leaves no `RUN_ID` but both whole
folders beside it; `finished_folder` then completes the second rename.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

from filelock import FileLock, Timeout

from polyprefix.atomic import output_errors, sync
from polyprefix.config import RunConfig
from polyprefix.errors import OutputError
from polyprefix.results.files import ADAPTER, PREDICTIONS, RESULT, TRAIN_LOG, read_result, write_config, write_result
from polyprefix.results.unfinished import UNFINISHED, Unfinished
from polyprefix.types import RunResult


class RunFolder:
    """The folder that a run writes into; `finish` makes it a result.

    Two processes must not write the same run at the same time, so the folder is locked until the run is finished or its process ends.
    """

    def __init__(
        self, out: Path, run_id: str, made_by: Mapping[str, object] | None = None, *, alone: bool = True
    ) -> None:
        """Create the hidden folder, with its parents.

        Args:
            out: the folder of all runs.
            run_id: the name that the result will have in it.
            alone: whether this process keeps others from the folder; of several that compute one run together, one does.
            made_by: versions of the code; with them, what an interrupted run of the same versions left is kept.

        Raises:
            OutputError: if the folder cannot be created, or another process writes this run.
        """
        self.out = out
        self.run_id = run_id
        self.path = out / f".{run_id}.partial"
        with output_errors(self.path):
            out.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(out / f".{run_id}.lock", self.path) if alone else None
        with output_errors(self.path):
            finished_folder(out, run_id)
            if self.path.exists() and made_by is None:
                shutil.rmtree(self.path)
            self.path.mkdir(parents=True, exist_ok=True)
            (self.path / RESULT).unlink(missing_ok=True)  # of a run that was killed in `finish`
        self.unfinished = Unfinished(self.path, made_by or {})

    @property
    def predictions(self) -> Path:
        """Where `write_predictions` writes."""
        return self.path / PREDICTIONS

    @property
    def train_log(self) -> Path:
        """Where training appends its records."""
        return self.path / TRAIN_LOG

    @property
    def adapter(self) -> Path:
        """Where the method saves its tensors."""
        return self.path / ADAPTER

    def write_config(self, config: RunConfig) -> None:
        """Write the resolved settings.

        Raises:
            OutputError: if the folder cannot be written.
        """
        write_config(self.path, config)

    def finish(self, result: RunResult) -> Path:
        """Write `result.json` and give the folder its name; an earlier result of this name is replaced.

        Returns:
            The folder of the finished run.

        Raises:
            OutputError: if that fails; the earlier result, if there was one, is then still there.
            ValueError: if the result belongs to another run.
        """
        if result.run_id != self.run_id:
            raise ValueError(f"the result of {result.run_id} cannot finish the folder of {self.run_id}")
        try:
            return self._finish(result)
        finally:
            self._release()

    def _finish(self, result: RunResult) -> Path:
        with output_errors(self.path):
            for path in self.path.rglob("*"):
                sync(path)
        write_result(self.path, result)
        final, replaced = self.out / self.run_id, _replaced(self.out, self.run_id)
        with output_errors(final):
            shutil.rmtree(replaced, ignore_errors=True)
            shutil.rmtree(self.path / UNFINISHED)
            if final.exists():
                final.rename(replaced)
            try:
                self.path.rename(final)
            except OSError:
                if replaced.exists():
                    replaced.rename(final)
                raise
            sync(self.out)
        shutil.rmtree(replaced, ignore_errors=True)
        return final

    def _release(self) -> None:
        """Let others write this run."""
        if self._lock is not None:
            with suppress(OSError):
                Path(self._lock.lock_file).unlink()
            self._lock.release(force=True)


def _locked(path: Path, folder: Path) -> FileLock:
    """The lock of a run, which its process keeps; the system frees that of a dead one.

    Raises:
        OutputError: if another process has it.
    """
    lock = FileLock(path, is_singleton=True)  # a run that failed may be begun again in its process
    with output_errors(path):
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise OutputError(
                f"{folder}: another process is writing this run; wait until it is finished, or choose another place with --out"
            ) from None
    return lock


def require_same(folder: Path, model: str | None, data: str) -> None:
    """Check that a finished run was made with these weights and on these data; what its version did not record is not compared.

    Args:
        model, data: digests (polyprefix.models.identity, polyprefix.text.prepare).

    Raises:
        OutputError: if it was not, or cannot be read.
    """
    made = read_result(folder).provenance
    known = made.get("model")
    recorded = {
        "weights": known.get("weights") if isinstance(known, Mapping) else None,
        "data": made.get("data_digest"),
    }
    for what, here in (("weights", model), ("data", data)):
        there = recorded[what]
        if there and here and there != here:
            raise OutputError(
                f"{folder}: the result there was made with other {what} of the same name (digest {str(there)[:8]}, now {here[:8]}); "
                "choose another place with --out, or delete it"
            )


def is_finished(out: Path, run_id: str) -> bool:
    """Whether there is a result; a look that changes nothing, while another process may be writing it."""
    return _is_result(out / run_id)


def finished_folder(out: Path, run_id: str) -> Path | None:
    """The folder of a finished run, or None; what a kill inside `finish` left undone is completed first.

    Raises:
        OutputError: if what is left cannot be renamed.
    """
    final, partial, replaced = out / run_id, out / f".{run_id}.partial", _replaced(out, run_id)
    with output_errors(final):
        if not final.exists():
            if _is_result(partial):
                shutil.rmtree(partial / UNFINISHED, ignore_errors=True)
                partial.rename(final)
            elif replaced.exists():
                replaced.rename(final)
        if final.exists():
            shutil.rmtree(replaced, ignore_errors=True)
    return final if _is_result(final) else None


def _replaced(out: Path, run_id: str) -> Path:
    return out / f".{run_id}.replaced"


def _is_result(folder: Path) -> bool:
    try:
        stat = (folder / RESULT).stat()
    except OSError:
        return False
    return _can_be_read(folder, (stat.st_mtime_ns, stat.st_size, stat.st_ino))


@lru_cache(maxsize=1 << 16)
def _can_be_read(folder: Path, state: tuple[int, ...]) -> bool:
    """Whether a result is whole; it is read once in each state of its file, since a study asks for every cell again and again."""
    try:
        read_result(folder)
    except OutputError:
        return False
    return True
