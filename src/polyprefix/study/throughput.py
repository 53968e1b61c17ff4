"""How many cells of a study this processor runs at a time: the number that gives the most work a second, by a short measurement.

One cell that computes with all threads leaves some of them idle, in short passes above all. Several cells with fewer threads each wait for
the same memory. Which of the two is faster depends on the machine, so both are tried, with the products of a small model's layers.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from polyprefix.engine.processes import processes
from polyprefix.errors import UserError
from polyprefix.models.memory import available_memory
from polyprefix.models.runtime import choose_device
from polyprefix.study.devices import SOME_PROCESSOR
from polyprefix.study.estimate import Estimate, estimate
from polyprefix.study.grid import Cell
from polyprefix.study.locks import Bookkeeping
from polyprefix.study.run import Outcomes, open_cells

WORTH_IT = 600.0
"""Seconds that a study must take at least; workers load libraries and models of their own."""
GAIN = 1.1
"""Times as much work a second that several cells must give."""
SECONDS, ROUNDS = 0.5, 2
"""Of one measurement, and how often each is made; the fastest counts."""
ROWS, LAYERS, WIDTH, INNER = 256, 4, 640, 2048
"""Of the work that is measured: weights of 42 MB in float32, which most caches do not hold."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """How many cells run at a time, and why."""

    workers: int
    line: str
    """For the terminal."""


def choose_workers(cells: Sequence[Cell], out: Path) -> Chosen | None:
    """How many cells run at a time on this machine's processor; None where there is nothing to choose.

    That is so on a GPU, with one thread, in a process that accelerate started, and for fewer than two cells, less than ten minutes of work,
    models or tasks whose cost is not known, or memory for one cell alone.
    """
    import torch

    threads = torch.get_num_threads()
    if threads < 2 or processes().count > 1 or choose_device("auto") != "cpu":
        return None
    ready, _ = open_cells(cells, Bookkeeping(out), Outcomes())
    most = most_workers(_estimates(ready), threads, available_memory())
    options = [2**n for n in range(most.bit_length()) if 2**n <= most]
    if len(options) < 2:
        return None
    return chosen(measured(options, threads), threads, ray=find_spec("ray") is not None)


def _estimates(ready: Sequence[Cell]) -> list[Estimate] | None:
    """What each cell takes on some processor; None where that is not known of one."""
    found = []
    for cell in ready:
        try:
            one = estimate(cell.config, SOME_PROCESSOR)
        except UserError:
            return None
        if one is None:
            return None
        found.append(one)
    return found


def most_workers(estimates: Sequence[Estimate] | None, threads: int, free: int | None) -> int:
    """As many cells as there are, as have a thread each, and as fit into memory together; one where more do not pay.

    Args:
        estimates: of the cells that are to be run; None where they are not known.
        free: bytes; None where the system does not say.
    """
    if not estimates or sum(one.seconds for one in estimates) < WORTH_IT:
        return 1
    fitting = threads if free is None else int(free // max(one.memory for one in estimates))
    return max(1, min(threads, len(estimates), fitting))


def chosen(rates: Mapping[int, float], threads: int, *, ray: bool) -> Chosen:
    """The number of cells with the highest rate; one cell unless several are clearly faster and Ray can start them.

    Args:
        rates: cells at a time -> passes per second of all of them together.
        ray: whether it is installed.
    """
    best = max((n for n in rates if n > 1), key=lambda n: rates[n])
    times = rates[best] / rates[1]
    said = f"{best} cells with {_threads(threads // best)} each do {times:.2f} times the work of one with {_threads(threads)}"
    if times < GAIN:
        return Chosen(1, f"one cell at a time: {said} (measured; --workers N decides otherwise)")
    if not ray:
        return Chosen(1, f"one cell at a time, though {said} (measured): pip install 'polyprefix[ray]' for several")
    return Chosen(best, f"{best} cells at a time: {said} (measured; --workers 1 for one); study status shows progress")


def _threads(count: int) -> str:
    return "1 thread" if count == 1 else f"{count} threads"


def measured(options: Sequence[int], threads: int) -> dict[int, float]:
    """Cells at a time -> passes per second of all of them together, in turn; the process has its threads again afterwards."""
    import torch

    rates = dict.fromkeys(options, 0.0)
    try:
        for _ in range(ROUNDS):
            for workers in options:
                rates[workers] = max(rates[workers], _rate(workers, max(1, threads // workers)))
    finally:
        torch.set_num_threads(threads)
    return rates


def _rate(workers: int, threads: int) -> float:
    """Passes per second of so many workers together; threads of this process stand for workers, since products release Python's lock."""
    import torch

    layers = [[(torch.randn(WIDTH, INNER), torch.randn(INNER, WIDTH)) for _ in range(LAYERS)] for _ in range(workers)]
    passes, start = [0] * workers, threading.Barrier(workers + 1, timeout=60)

    def work(worker: int) -> None:
        torch.set_num_threads(threads)
        states = torch.randn(ROWS, WIDTH)
        start.wait()
        end = time.perf_counter() + SECONDS
        while time.perf_counter() < end:
            for up, down in layers[worker]:
                states = torch.nn.functional.normalize(torch.nn.functional.silu(states @ up) @ down)
            passes[worker] += 1

    running = [threading.Thread(target=work, args=(n,)) for n in range(workers)]
    for thread in running:
        thread.start()
    start.wait()
    began = time.perf_counter()
    for thread in running:
        thread.join()
    return sum(passes) / (time.perf_counter() - began)
