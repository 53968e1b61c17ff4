"""Answers of a file that is not finished: one file a chunk in a hidden folder beside the output, so that a command begun again goes on.

A part is written whole or not at all, and is kept for the same questions, adapter and settings only. What has the output's name is finished.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any

from filelock import FileLock, Timeout

from polyprefix.atomic import output_errors, write_text
from polyprefix.errors import OutputError
from polyprefix.safe_files import parse_json, read_json
from polyprefix.serialize import to_json

JOB = "job.json"
Answer = Mapping[str, Any]
"""`prediction`, and where there are any `log_likelihoods` and `cut`."""


class Parts:
    """The parts of one output; a context manager that keeps other processes away from them."""

    def __init__(self, out: Path, job: Mapping[str, Any]) -> None:
        """Open what is there of a job, or begin it.

        Args:
            out: the file that is to be written.
            job: plain values that say what is asked; parts of another job are deleted.

        Raises:
            OutputError: if the folder cannot be written, or another process writes this output.
        """
        self.folder = out.with_name(f".{out.name}.partial")
        with output_errors(out):
            out.parent.mkdir(parents=True, exist_ok=True)
            self._lock = FileLock(out.with_name(f".{out.name}.lock"))
            try:
                self._lock.acquire(timeout=0)
            except Timeout:
                raise OutputError(
                    f"{out}: another process is writing it; wait until it is finished, or choose another --out"
                ) from None
            self._begin(job)

    def _begin(self, job: Mapping[str, Any]) -> None:
        try:
            known = read_json(self.folder / JOB)
        except (OSError, ValueError):
            known = None
        if known == parse_json(to_json(job)):
            return
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir()
        write_text(self.folder / JOB, to_json(job) + "\n")

    def get(self, number: int) -> list[Answer] | None:
        """The answers of a chunk; None where it is not done."""
        try:
            text = self._path(number).read_text(encoding="utf-8")
        except FileNotFoundError:
            return None
        return [parse_json(line) for line in text.splitlines()]

    def __contains__(self, number: int) -> bool:
        return self._path(number).is_file()

    def all(self) -> Iterator[list[Answer]]:
        """The answers of all chunks, in their order."""
        for number in count():
            if (answers := self.get(number)) is None:
                return
            yield answers

    def put(self, number: int, answers: Sequence[Answer]) -> None:
        """Keep the answers of a chunk.

        Raises:
            OutputError: if they cannot be written.
        """
        write_text(self._path(number), "".join(to_json(answer) + "\n" for answer in answers))

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:08}.jsonl"

    def remove(self) -> None:
        """Delete the parts of an output that is written."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Parts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        Path(self._lock.lock_file).unlink(missing_ok=True)
        self._lock.release()
