"""A study before it is run: what its cells train, need and take on a device, and what to do about those that do not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from polyprefix.config import RunConfig
from polyprefix.errors import ModelError
from polyprefix.results.files import read_result
from polyprefix.results.folder import is_finished
from polyprefix.study.devices import Device
from polyprefix.study.estimate import Estimate, estimate
from polyprefix.study.grid import Cell
from polyprefix.study.lengths import is_measured
from polyprefix.study.locks import Bookkeeping
from polyprefix.study.tuning import resolved

MARGIN = 0.92
"""Share of a device's memory that a run may fill; the rest goes to fragments, kernels and other programs."""
MOST_DEVICES = 64


@dataclass(frozen=True, slots=True)
class Planned:
    """Cells that differ in nothing but their seed."""

    part: str
    labels: dict[str, str]
    """Without the seed."""
    config: RunConfig
    """Of the first of them."""
    count: int
    cost: Estimate | None
    """Of one of them; None where its data or its model's shape are not known."""
    fits: bool
    remedy: str
    """What makes it fit, if it does not."""


@dataclass(frozen=True, slots=True)
class Check:
    """An estimate beside what was measured on this machine."""

    run_id: str
    quantity: str
    """`time` or `memory`."""
    estimated: float
    measured: float

    @property
    def error(self) -> float:
        """Of the estimate, as a share of the measured value; with its sign."""
        return self.estimated / self.measured - 1


@dataclass(frozen=True, slots=True)
class Plan:
    """A study on one device."""

    device: Device
    rows: tuple[Planned, ...]
    notes: tuple[str, ...]

    @property
    def seconds(self) -> float:
        """All cells one after the other, as far as they are known."""
        return sum(row.count * row.cost.seconds for row in self.rows if row.cost)


def plan(cells: Sequence[Cell], device: Device) -> Plan:
    """Count what every cell takes; no weights are loaded and nothing is fetched."""
    groups: dict[tuple[object, ...], list[Cell]] = {}
    for cell in cells:
        labels = {axis: label for axis, label in cell.labels.items() if axis != "seed"}
        groups.setdefault((cell.part, *sorted(labels.items())), []).append(cell)
    rows = tuple(_planned(group, device) for group in groups.values())
    models = sorted({row.config.model for row in rows if not is_measured(row.config.model)})
    notes = [] if not models else [f"lengths of prompts are those of Gemma 3's tokenizer for {', '.join(models)}"]
    if not device.measured:
        notes.append(
            f"{device.name}: the maker's figures, of which {device.share:.0%} are taken to be reached; not measured"
        )
    if unknown := sorted({f"{r.config.task} on {r.config.model}" for r in rows if r.cost is None}):
        notes.append(f"no estimate for {', '.join(unknown)}: lengths or shape are not known here")
    return Plan(device, rows, tuple(notes))


def _planned(group: Sequence[Cell], device: Device) -> Planned:
    cell = group[0]
    labels = {axis: label for axis, label in cell.labels.items() if axis != "seed"}
    try:
        cost = estimate(cell.config, device)
    except ModelError:
        cost = None
    fits = cost is None or cost.memory <= MARGIN * device.memory
    return Planned(cell.part, labels, cell.config, len(group), cost, fits, "" if fits else remedy(cell.config, device))


def remedy(config: RunConfig, device: Device) -> str:
    """The mildest change with which a run fits: recomputed activations, weights of 4 bits, sharding over devices."""
    limit = MARGIN * device.memory
    lean = config.model_copy(update={"train": config.train.model_copy(update={"gradient_checkpointing": True})})
    four = lean.model_copy(update={"runtime": config.runtime.model_copy(update={"quantize": "4bit"})})
    tries = [(lean, "gradient checkpointing")] if config.trains else []
    cost = estimate(lean, device)
    if cost and cost.trained < 0.2 * cost.weights:  # quantised weights cannot be trained themselves
        tries.append((four, "4 bit" + (" and gradient checkpointing" if config.trains else "")))
    found = [words for changed, words in tries if (e := estimate(changed, device)) and e.memory <= limit]
    if cost and (devices := _sharded(cost, limit)):
        found.append(f"sharding over {devices}" + (" with gradient checkpointing" if config.trains else ""))
    return " or ".join(found) or f"no way on {device.name}"


def _sharded(cost: Estimate, limit: float) -> int | None:
    """Devices that together hold weights and optimiser; each computes its own rows, and two layers' weights are whole at a time."""
    for count in range(2, MOST_DEVICES + 1):
        whole = cost.weights * 0.1 + max(cost.activations, cost.evaluation) + cost.host
        if whole + (cost.weights + cost.optimiser) / count <= limit:
            return count
    return None


def check(cells: Sequence[Cell], books: Bookkeeping, device: Device) -> list[Check]:
    """Estimates beside the results that this study has; only those of this kind of device are compared.

    A shared machine has fast and slow hours. Each result holds the ceiling that was measured beside it, so an estimate is made for the
    speed that the machine had then; what is checked is the counting.
    """
    import torch

    from polyprefix.engine.peak import measured_peak

    @cache
    def now(dtype: str) -> float:
        return measured_peak(torch.device("cpu" if device.host else "cuda"), getattr(torch, dtype))

    found = []
    for cell in cells:
        config = resolved(cell, books)
        if config is None or not is_finished(books.out, config.run_id()):
            continue
        result = read_result(books.out / config.run_id())
        cost = estimate(config, device)
        if cost is None or str(result.provenance.get("device", "")).startswith("cuda") != (device.host == 0):
            continue
        if then := result.cost.get("peak_flops_per_second"):
            cost = estimate(config, device.times(then / now(cost.dtype))) or cost
        counted = cost.train_seconds + cost.eval_seconds
        found.append(Check(config.run_id(), "time", counted, result.seconds))
        found.append(Check(config.run_id(), "memory", cost.memory, result.cost["peak_memory_bytes"]))
    return found
