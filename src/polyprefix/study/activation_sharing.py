"""Which cells of a study share lower layers: those that adapt one model from some layer on and are tested on one task.

Each evaluates the same texts, and below the lower of two layers computes the same (polyprefix.evaluation.shared_activations).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from polyprefix.adapters import registry as methods
from polyprefix.config import RunConfig
from polyprefix.errors import ModelError
from polyprefix.evaluation.shared_activations import FOLDER, ActivationStore
from polyprefix.study.grid import Cell
from polyprefix.study.shapes import shape
from polyprefix.training.activation_cache import LEAST_BELOW


def with_shared_layers(cells: Sequence[Cell], *, in_order: bool) -> list[Cell]:
    """The cells that are to be run, each with the layers that others want: where they begin, or where it does, if that is below.

    Args:
        in_order: whether they run one after the other, so that only later ones can want anything.
    """
    groups: dict[str, list[int]] = {}
    for number, cell in enumerate(cells):
        groups.setdefault(_group(cell.config), []).append(number)
    found = list(cells)
    for members in groups.values():
        lowest = {number: layer for number in members if (layer := _lowest_adapted(cells[number].config))}
        for number in lowest if len(lowest) > 1 else ():
            others = [lowest[other] for other in lowest if (other > number if in_order else other != number)]
            found[number] = replace(
                cells[number], shared_layers=tuple(sorted({min(lowest[number], other) for other in others}))
            )
    return found


def store(cell: Cell, out: Path, most_bytes: int | None) -> ActivationStore | None:
    """Where a cell shares hidden states with others; None where it does not.

    Args:
        out: the folder of the study's results.
        most_bytes: of all that the study keeps; None means a share of the free disk.
    """
    if cell.shared_layers is None or most_bytes == 0:
        return None
    return ActivationStore(out / FOLDER, _group(cell.config), cell.shared_layers, most_bytes)


def _group(config: RunConfig) -> str:
    """The same for cells of one model and one task; what they compute decides later which passes are the same."""
    said = config.model_dump(mode="json", include={"model", "model_digest", "runtime", "task", "protocol"})
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()[:16]


def _lowest_adapted(config: RunConfig) -> int:
    """l, the lowest layer that a cell adapts; 0 where too few lie below it, and where nobody knows the model."""
    layers = _layers(config.model)
    if layers is None:
        return 0
    lowest = methods.build(config.method).footprint(layers).lowest_layer
    return lowest if lowest >= LEAST_BELOW * layers else 0


@cache
def _layers(model: str) -> int | None:
    try:
        return shape(model).L
    except ModelError:
        return None
