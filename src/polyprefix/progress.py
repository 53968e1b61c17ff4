"""Progress on the terminal: one bar a phase, with figures that change, a rate and the time left."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from polyprefix.terminal import console as safe_console


def duration(seconds: float) -> str:
    """A time as people say it.

    >>> duration(12.34), duration(754), duration(7530)
    ('12.3 s', '12 min 34 s', '2 h 5 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


WORTH_TELLING = 10
"""Seconds; a shorter rest is over before it is read."""


class Bar(Protocol):
    """A phase under way."""

    def advance(self, count: int, note: str = "") -> None:
        """So many more units are done; the note replaces the last one."""


class Reporter(Protocol):
    """Where progress goes."""

    def say(self, line: str) -> None:
        """A sentence, such as what is about to be done and how long it takes."""

    def phase(self, title: str, total: int) -> AbstractContextManager[Bar]:
        """A context manager that yields a `Bar` of `total` units."""


class Silent:
    """No progress, for libraries and tests."""

    def say(self, line: str) -> None:
        """Say nothing."""

    @contextmanager
    def phase(self, title: str, total: int) -> Iterator[Bar]:
        """A bar that shows nothing."""
        yield _Nothing()


SILENT = Silent()


class _Nothing:
    def advance(self, count: int, note: str = "") -> None:
        """Show nothing."""


class Terminal:
    """Bars on standard error, so that standard output stays clean for results."""

    def __init__(self, console: Console | None = None) -> None:
        self.console = console or safe_console(stderr=True)

    def say(self, line: str) -> None:
        """Print it."""
        self.console.print(line, highlight=False)

    @contextmanager
    def phase(self, title: str, total: int) -> Iterator[Bar]:
        """A bar; where the output is no terminal, a line at every fifth of the phase."""
        if not self.console.is_terminal:
            yield _Lines(self.console, title, total)
            return
        columns = (
            TextColumn("{task.description}"), BarColumn(bar_width=24), MofNCompleteColumn(), TimeElapsedColumn(),
            TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.fields[note]}", style="dim"),
        )  # fmt: skip
        with Progress(*columns, console=self.console, refresh_per_second=4) as progress:
            task = progress.add_task(title, total=total, note="")
            yield _TerminalBar(progress, task)


class Notebook:
    """Bars in a notebook, by tqdm."""

    def say(self, line: str) -> None:
        """Print it."""
        print(line)

    @contextmanager
    def phase(self, title: str, total: int) -> Iterator[Bar]:
        """A bar with a rate and the time left."""
        import warnings

        with warnings.catch_warnings():  # without ipywidgets it draws the bar as text, and says so
            warnings.simplefilter("ignore")
            from tqdm.auto import tqdm

            bar = tqdm(total=total, desc=title)
        with bar:
            yield _NotebookBar(bar)


class _NotebookBar:
    def __init__(self, bar: Any) -> None:
        self.bar = bar

    def advance(self, count: int, note: str = "") -> None:
        """Move the bar."""
        if note:
            self.bar.set_postfix_str(note, refresh=False)
        self.bar.update(count)


def interactive(progress: bool = True) -> Reporter:
    """Where a library shows progress: bars in a notebook, and in a terminal; nowhere else, or if it is not wanted."""
    if not progress:
        return SILENT
    console = safe_console(stderr=True)
    if console.is_jupyter:
        return Notebook()
    return Terminal(console) if console.is_terminal else SILENT


class _Lines:
    def __init__(self, console: Console, title: str, total: int) -> None:
        self.console, self.title, self.total = console, title, total
        self.done, self.begun = 0, time.monotonic()
        console.print(f"{title}: {total} examples")

    def advance(self, count: int, note: str = "") -> None:
        """Print a line where another fifth is done."""
        before, self.done = self.done, self.done + count
        if 5 * before // max(1, self.total) != 5 * self.done // max(1, self.total):
            left = (time.monotonic() - self.begun) / max(1, self.done) * (self.total - self.done)
            shown = f", {duration(left)} left" if self.done < self.total and left >= WORTH_TELLING else ""
            self.console.print(f"{self.title}: {self.done} of {self.total}{shown}  {note}")


class _TerminalBar:
    def __init__(self, progress: Progress, task: object) -> None:
        self.progress, self.task = progress, task

    def advance(self, count: int, note: str = "") -> None:
        """Move the bar."""
        self.progress.update(self.task, advance=count, **({"note": note} if note else {}))  # type: ignore[arg-type]
