"""Cells over many processes and machines, by Ray: it places, retries and notices dead workers; what is done stays a matter of files.

Every worker needs the same folder of results (a shared file system on a cluster). A worker that dies frees its claim; Ray starts the cell
again, and the cell goes on from its last checkpoint.
"""

from __future__ import annotations

import math
import os
import socket
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from polyprefix.engine.memory import keep_to_share
from polyprefix.errors import ConfigError, OutputError, UserError
from polyprefix.processors import usable_processors
from polyprefix.progress import SILENT
from polyprefix.study.activation_sharing import with_shared_layers
from polyprefix.study.devices import GPUS
from polyprefix.study.estimate import estimate
from polyprefix.study.file import Resources
from polyprefix.study.grid import Cell
from polyprefix.study.locks import Bookkeeping
from polyprefix.study.run import PAUSE, Outcomes, Tell, concluded, note, open_cells
from polyprefix.study.worker import Outcome, Workplace

OBJECT_STORE = 100 << 20
"""Bytes for values that pass between processes: names of runs and outcomes."""
ANSWERS_WITHIN = 10.0
"""Seconds, of a cluster that is there."""

Needs = Callable[[Cell], Resources]


def run_distributed(
    cells: Sequence[Cell],
    out: Path,
    *,
    needs: Needs,
    hub: Path | None = None,
    tell: Tell = lambda line: None,
    checkpoint_seconds: float = 60.0,
    activation_bytes: int | None = None,
    workers: int | None = None,
    address: str | None = None,
) -> Outcomes:
    """Run every cell that has no result, on a Ray cluster.

    Args:
        out: the folder of the study's results, the same for every worker.
        activation_bytes: as `Workplace.activation_bytes`.
        needs: what a cell asks for; where it says nothing, the machine is shared out among the workers.
        workers: cells at a time on a cluster of this machine's own, which is started here.
        address: of a running cluster (`auto`, `ray://HOST:10001`).

    Raises:
        ConfigError: if Ray is missing or does not answer.
        OutputError: if results cannot be written.
    """
    ray = _connected(workers, address)
    try:
        place = (
            str(out.absolute()), str(hub.absolute()) if hub else None, checkpoint_seconds, activation_bytes, str(Path.cwd())
        )  # fmt: skip
        return _distribute(ray, cells, Bookkeeping(out), place, _shares(ray, needs, workers), tell)
    finally:
        ray.shutdown()


def _connected(workers: int | None, address: str | None) -> Any:
    try:
        import ray
    except ModuleNotFoundError:
        raise ConfigError("--workers and --ray need Ray: pip install 'polyprefix[ray]'") from None
    options: dict[str, Any] = {"log_to_driver": False, "configure_logging": False}
    if address is not None:
        _require_answer(address)
    else:
        cores = max(workers or 1, usable_processors())
        options |= {"num_cpus": cores, "object_store_memory": OBJECT_STORE, "include_dashboard": False}
    try:
        ray.init(address=address, **options)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise ConfigError(
            f"--ray {address}: no cluster answers ({str(error).splitlines()[0]}); see docs/studies.md"
        ) from None
    return ray


def _require_answer(address: str) -> None:
    """Ray itself would try for minutes, and retry."""
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdigit():
        try:
            socket.create_connection((host.strip("[]"), int(port)), ANSWERS_WITHIN).close()
        except OSError as error:
            raise ConfigError(f"--ray {address}: no cluster answers ({error}); see docs/studies.md") from None


def _shares(ray: Any, needs: Needs, workers: int | None) -> Callable[[Cell], dict[str, Any]]:
    """Ray's options for a cell: what it asks for, or an equal share of this machine."""
    total = ray.cluster_resources()
    cores, gpus = total.get("CPU", 1), total.get("GPU", 0)

    def options(cell: Cell) -> dict[str, Any]:
        asked = needs(cell)
        share = {"num_cpus": max(1, int(cores // workers)) if workers else 1, "num_gpus": min(1, gpus / (workers or 1))}
        given = {"num_cpus": asked.cpus, "num_gpus": asked.gpus}
        memory = {} if asked.memory_gb is None else {"memory": int(asked.memory_gb * 1e9)}
        return {**share, **{k: v for k, v in given.items() if v is not None}, **memory, "max_retries": asked.retries}

    return options


def _distribute(
    ray: Any,
    cells: Sequence[Cell],
    books: Bookkeeping,
    place: tuple[str, str | None, float, int | None, str],
    options: Callable[[Cell], dict[str, Any]],
    tell: Tell,
) -> Outcomes:
    outcomes, running = Outcomes(), dict[Any, Cell]()
    task = ray.remote(_attempt)
    while True:
        still_open, undecided = open_cells(cells, books, outcomes)
        ready = with_shared_layers(still_open, in_order=False)
        under_way = {cell.config.run_id() for cell in running.values()}
        for cell in longest_first([cell for cell in ready if cell.config.run_id() not in under_way]):
            asked = options(cell)
            running[task.options(**asked).remote(cell, asked["num_gpus"], *place)] = cell
        if not running:
            return concluded(cells, books, outcomes, undecided)
        finished, _ = ray.wait(list(running), num_returns=1, timeout=PAUSE)
        for reference in finished:
            cell = running.pop(reference)
            outcome = _outcome(ray, reference, cell, books)
            if outcome == "busy":  # a process outside of this cluster does it
                time.sleep(PAUSE)
            elif outcome == "done":
                tell(f"{len(ready) - 1} to go, {len(running)} under way: {cell.config.run_id()} done")
            note(outcome, cell, outcomes, books, tell)


def longest_first(cells: Sequence[Cell]) -> list[Cell]:
    """In the order in which workers should take them: otherwise all may wait for the one that has the longest cell last.

    By what they would take on the same device; cells of which nobody knows that come first.
    """

    def seconds(cell: Cell) -> float:
        try:
            found = estimate(cell.config, GPUS["l4"])
        except UserError:
            return math.inf
        return found.seconds if found else math.inf

    return sorted(cells, key=seconds, reverse=True)


def _outcome(ray: Any, reference: Any, cell: Cell, books: Bookkeeping) -> Outcome:
    try:
        outcome: Outcome = ray.get(reference)
        return outcome
    except OutputError as error:
        raise OutputError(str(getattr(error, "cause", error)).splitlines()[0]) from None
    except UserError as error:
        books.write_failure(cell.config.run_id(), error)
    except ray.exceptions.RayError as error:  # its worker died more often than it may be tried again
        books.write_failure(cell.config.run_id(), error)
    return "failed"


def _attempt(
    cell: Cell,
    gpus: float,
    out: str,
    hub: str | None,
    checkpoint_seconds: float,
    activation_bytes: int | None,
    cwd: str,
) -> Outcome:
    """One cell, in a worker that has so many GPUs, or a share of one."""
    keep_to_share(gpus)
    if Path(cwd).is_dir():
        os.chdir(cwd)  # models and tasks may be given by relative paths
    return _workplace(out, hub, checkpoint_seconds, activation_bytes).attempt(cell, SILENT)


@cache
def _workplace(out: str, hub: str | None, checkpoint_seconds: float, activation_bytes: int | None) -> Workplace:
    """What this worker keeps from cell to cell."""
    return Workplace(Path(out), Path(hub) if hub else None, checkpoint_seconds, activation_bytes)
