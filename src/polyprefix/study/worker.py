"""One cell, in whatever process: claim it, run it on what the process has loaded, keep what happened."""

from __future__ import annotations

import gc
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from polyprefix.data.hub import hub_from_environment
from polyprefix.engine.processes import processes
from polyprefix.errors import OutputError
from polyprefix.progress import SILENT, Bar, Reporter
from polyprefix.recipe import Inputs, load_inputs, run_on
from polyprefix.results.folder import finished_folder
from polyprefix.study.activation_sharing import store
from polyprefix.study.grid import Cell
from polyprefix.study.locks import Bookkeeping
from polyprefix.tasks.base import Source

Outcome = Literal["done", "found", "busy", "failed"]
"""Run here; there already; with another process; stopped by an error that is recorded."""

SAY_EVERY = 1.0
"""Seconds between two notes of progress."""


@dataclass
class Workplace:
    """What one process keeps from cell to cell: the model and the examples of the last one."""

    out: Path
    hub: Path | None = None
    checkpoint_seconds: float = 60.0
    activation_bytes: int | None = None
    """Of all hidden states that cells share, at most; None means a share of the free disk."""
    inputs: Inputs | None = None
    books: Bookkeeping = field(init=False)

    def __post_init__(self) -> None:
        self.books = Bookkeeping(self.out)

    def attempt(self, cell: Cell, reporter: Reporter, begin: Callable[[], None] = lambda: None) -> Outcome:
        """Do one cell, unless it is done or being done.

        Args:
            begin: called when it is ours to do.

        Raises:
            OutputError: if results cannot be written: no other cell could write its own.
        """
        group, run_id = processes(), cell.config.run_id()
        with self.books.claim(run_id) if group.main else nullcontext(False) as ours:
            decided: Outcome | None = None
            if group.main:
                decided = "busy" if not ours else "found" if finished_folder(self.out, run_id) else None
            decided = group.agree(decided)
            if decided is None and group.main:
                begin()
            return decided or self._run(cell, reporter)

    def _run(self, cell: Cell, reporter: Reporter) -> Outcome:
        config, run_id = cell.config, cell.config.run_id()
        activations = store(cell, self.out, self.activation_bytes)
        try:
            with self._said(run_id, reporter) if processes().main else nullcontext(SILENT) as telling:
                self.inputs = load_inputs(config, Source(hub_from_environment(self.hub)), self._handed_over())
                run_on(
                    self.inputs, config, self.out, telling, self.checkpoint_seconds,
                    trained_again=cell.trained_again, activations=activations,
                )  # fmt: skip
        except OutputError:
            self.inputs = None
            raise
        except Exception as error:  # whatever stops one cell must not stop the others
            self.inputs = None
            gc.collect()
            self.books.write_failure(run_id, error)
            if processes().count > 1:  # the others wait for this one in the middle of something
                raise
            return "failed"
        self.books.forget_failure(run_id)
        if activations and not activations.wanted:
            activations.forget()
        return "done"

    def _handed_over(self) -> Inputs | None:
        """What is loaded; nothing holds it here any more."""
        inputs, self.inputs = self.inputs, None
        return inputs

    @contextmanager
    def _said(self, run_id: str, reporter: Reporter) -> Iterator[Reporter]:
        """Progress in a file that another terminal reads, beside where it goes anyway."""
        telling, over = _Telling(reporter), threading.Event()

        def tell() -> None:
            while True:
                self.books.write_progress(run_id, **telling.figures)
                if over.wait(SAY_EVERY):
                    return

        thread = threading.Thread(target=tell, daemon=True)
        thread.start()
        try:
            yield telling
        finally:
            over.set()
            thread.join()
            self.books.end_progress(run_id)


class _Telling:
    """A reporter that remembers the figures of the phase under way."""

    def __init__(self, inner: Reporter) -> None:
        self.inner = inner
        self.began = time.time()
        self.figures: dict[str, Any] = {}
        self._enter("load", 0)

    def _enter(self, phase: str, total: int) -> None:
        now = {"phase": phase, "done": 0, "total": total, "phase_began": time.time(), "note": ""}
        self.figures |= {"began": self.began, **now}

    def say(self, line: str) -> None:
        """As the inner reporter."""
        self.inner.say(line)

    @contextmanager
    def phase(self, title: str, total: int) -> Iterator[Bar]:
        """The inner phase, and its figures."""
        self._enter(title, total)
        with self.inner.phase(title, total) as bar:
            yield _TellingBar(bar, self.figures)


class _TellingBar:
    def __init__(self, inner: Bar, figures: dict[str, Any]) -> None:
        self.inner, self.figures = inner, figures

    def advance(self, count: int, note: str = "") -> None:
        """Move the inner bar, and the figures."""
        self.inner.advance(count, note)
        self.figures["done"] += count
        self.figures["note"] = note or self.figures["note"]
