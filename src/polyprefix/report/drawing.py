"""Charts of a page as SVG, drawn by a second process while this one computes the rest of the page.

What draws holds the interpreter until it is done, so a thread would save nothing. A second process costs a third of a second: it is started
for pages of many charts, on machines that have a second processor. Where it cannot be started, or ends, charts are drawn here.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress

from polyprefix.processors import usable_processors
from polyprefix.report import vega
from polyprefix.report.vega import Chart

MANY = 2
"""Tasks and models of a page, of ten charts each, from which on a second process saves time."""


class Drawing:
    """A chart and its SVG, which may still be on its way."""

    def __init__(self, chart: Chart, drawn: Future[str | None] | None = None) -> None:
        self.chart = chart
        self._drawn = drawn

    def svg(self) -> str:
        """The drawing, of which this waits for the end."""
        return (self._drawn.result() if self._drawn else None) or vega.svg(self.chart)


class Drawer:
    """A second process that draws charts in the order in which they are given."""

    def __init__(self) -> None:
        # -P: nothing is imported from the folder where somebody happens to be
        command = [sys.executable, "-P", "-m", "polyprefix.report.drawing"]
        self._process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        self._waiting: deque[Future[str | None]] = deque()
        self._lock = threading.Lock()
        self._ended = False
        self._reader = threading.Thread(target=self._read, name="polyprefix-drawing", daemon=True)
        self._reader.start()

    def draw(self, chart: Chart) -> Drawing:
        """A chart that is drawn meanwhile."""
        drawn: Future[str | None] = Future()
        with self._lock:
            if self._ended:
                return Drawing(chart)
            self._waiting.append(drawn)
        assert self._process.stdin is not None  # it is a pipe
        with suppress(OSError):  # it ended; what reads says so to all that wait
            self._process.stdin.write(json.dumps(chart.spec).encode() + b"\n")
            self._process.stdin.flush()
        return Drawing(chart, drawn)

    def close(self) -> None:
        """End the process; what is not drawn yet is drawn by who asks for it."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what waits to be written cannot be any more
                if pipe is not None:
                    pipe.close()

    def _read(self) -> None:
        assert self._process.stdout is not None  # it is a pipe
        for line in self._process.stdout:
            if not line.endswith(b"\n"):
                break  # it ended within a drawing
            with self._lock:
                drawn = self._waiting.popleft()
            drawn.set_result(json.loads(line))
        with self._lock:
            self._ended = True
        while self._waiting:
            self._waiting.popleft().set_result(None)


@contextmanager
def drawing(views: int) -> Iterator[Callable[[Chart], Drawing]]:
    """What draws the charts of a page of so many views: a second process inside the block, where that pays and it can be started."""
    drawer = None
    if views >= MANY and sys.executable and usable_processors() > 1:
        with suppress(OSError):
            drawer = Drawer()
    try:
        yield drawer.draw if drawer else Drawing
    finally:
        if drawer is not None:
            drawer.close()


def main() -> None:
    """Draw what standard input asks for, a specification a line; each drawing is a line of JSON on standard output."""
    for line in sys.stdin.buffer:
        sys.stdout.buffer.write(json.dumps(vega.drawn(json.loads(line))).encode() + b"\n")
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
