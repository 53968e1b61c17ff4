"""Hidden states of test texts at layer l, which the cells of a study share: later ones begin their passes there.

Cells that adapt a model from some layer on compute the same below it for the same texts, whatever their seed, learning rate or method
(engine.layer_skipping). The first of them to meet a pass keeps what comes out of layer l - 1; the others go on from it. A pass is known by
its tokens and their order, so that one that is composed otherwise is computed as ever, and what is read is what would have been computed,
to the last bit: by the same code, in the same device, with as many threads.

    OUT/.activations/<model and task>/<weights, code, machine>/<l>/<pass>.safetensors       one tensor [1, T, D] or [B, T, D]

The files are a convenience: none is ever needed, a damaged one is computed anew, and where the disk is full no more are written.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from polyprefix.adapters.adapted import AdaptedModel
from polyprefix.engine import batch as tensors
from polyprefix.engine.flop_counter import WorkSizes
from polyprefix.engine.layer_skipping import SkippableLayers
from polyprefix.engine.peak import measured_peak
from polyprefix.engine.processes import processes
from polyprefix.prefix import TokenTree

FOLDER = ".activations"
SHARE = 0.25
"""Of the free space of the disk at most, unless the user says otherwise."""
BYTES_PER_SECOND = 5e8
"""That a disk gives at least; where the layers compute as fast as that, reading brings nothing."""
HEADER = 1024
"""Bytes of a file beside its values, at most."""
NAME, SUM = "states", "crc32"


@dataclass(frozen=True, slots=True)
class ActivationStore:
    """Where the cells of a study that have one model and one task keep hidden states for each other."""

    root: Path
    """Of all that the study keeps."""
    group: str
    """The folder in it, of this model and task."""
    wanted: tuple[int, ...]
    """The layers from which other cells go on; where there are none, nothing is written, but what is there is read."""
    most_bytes: int | None = None
    """In the root; None means a share of the free disk."""

    def open(self, model: AdaptedModel, made_by: Mapping[str, object]) -> SharedActivations | None:
        """For the evaluation of one model; None where no layer can be skipped, or skipping brings nothing.

        Args:
            made_by: all that the numbers depend on beside the tokens.
        """
        if processes().count > 1 or model.hook.lengths.rope.switches:
            return None
        said = json.dumps(
            {**made_by, "threads": torch.get_num_threads(), "dtype": str(model.hook.dtype)}, sort_keys=True
        )
        folder = self.root / self.group / hashlib.sha256(said.encode()).hexdigest()[:16]
        sizes = WorkSizes.of(model)
        there = (int(path.name) for path in folder.glob("*") if path.name.isdecimal())
        lowest = min(model.method.footprint(sizes.layers).lowest_layer, sizes.layers - 1)
        depths = sorted({depth for depth in (*self.wanted, *there) if 0 < depth <= lowest})
        if not depths or not _pays(model, sizes, depths[-1]) or not SkippableLayers(model, depths[-1]).can_be_skipped():
            return None
        return SharedActivations(model, folder, depths, frozenset(self.wanted), _Room(self.root, self.most_bytes))

    def forget(self) -> None:
        """Remove everything: no later cell has this model and task."""
        shutil.rmtree(self.root / self.group, ignore_errors=True)


class SharedActivations:
    """The hidden states that one evaluation reads and writes. Use `ActivationStore.open` to make one."""

    def __init__(
        self, model: AdaptedModel, folder: Path, depths: Sequence[int], wanted: frozenset[int], room: _Room
    ) -> None:
        self.folder, self.wanted, self.room = folder, wanted, room
        self.layers = {depth: SkippableLayers(model, depth) for depth in depths}
        self.passes = 0
        self.begun = dict.fromkeys(depths, 0)
        """Layer -> how many of the passes began there."""

    @contextmanager
    def skipping(self, trees: Sequence[TokenTree], common: Sequence[int], inputs: tensors.Batch) -> Iterator[int]:
        """One forward pass inside begins at the highest layer whose input is kept; what later cells want is kept after it.

        Args:
            trees: of the pass.
            common: the tokens before each of them.
            inputs: the trees as tensors.

        Yields:
            The layer, 0 where nothing is kept.
        """
        name = hashlib.sha256(repr((tuple(common), tuple(trees))).encode()).hexdigest()[:32] + ".safetensors"
        start, kept = self._read(name, inputs)
        with ExitStack() as stack:
            if kept is not None:
                stack.enter_context(self.layers[start].skipped([kept]))
            missing = [depth for depth in self.layers if depth > start and depth in self.wanted]
            found = {depth: stack.enter_context(self.layers[depth].recorded()) for depth in missing}
            yield start
        self.passes += 1
        if start:
            self.begun[start] += 1
        for depth, [states] in found.items():
            self._write(self.folder / str(depth) / name, states)

    def note(self) -> str | None:
        """What a result says of it."""
        spared = [f"{count} at layer {depth}" for depth, count in self.begun.items() if count]
        if not spared:
            return None
        return (
            f"of {self.passes} passes of the evaluation {' and '.join(spared)} began where another run of the study had computed the "
            "layers below: its seconds and operations are fewer than alone"
        )

    def _read(self, name: str, inputs: tensors.Batch) -> tuple[int, Tensor | None]:
        for depth in reversed(self.layers):
            states = _read(self.folder / str(depth) / name, inputs.input_ids.device)
            if states is not None and states.shape[:2] == inputs.input_ids.shape:
                return depth, states
        return 0, None

    def _write(self, path: Path, states: Tensor) -> None:
        """Without waiting for the disk: a sum over the bytes says later whether they came to be there."""
        values = states.detach().to("cpu").contiguous()
        if not self.room.has(values.nbytes + HEADER):
            return
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            save_file({NAME: values}, temporary, {SUM: _sum(values)})
            temporary.replace(path)
        except (
            OSError,
            SafetensorError,
        ):  # no room, or another process has removed the folder: the run goes on without
            self.room.close()
            with suppress(OSError):
                temporary.unlink(missing_ok=True)


class _Room:
    """The bytes that may still be written.

    Args:
        folder: of all that counts.
        most: bytes in it at most.
    """

    def __init__(self, folder: Path, most: int | None) -> None:
        used = sum(_size(path) for path in folder.rglob("*.safetensors")) if folder.is_dir() else 0
        if most is None:
            place = next(parent for parent in (folder, *folder.parents) if parent.is_dir())
            most = int(SHARE * (shutil.disk_usage(place).free + used))
        self.left = most - used

    def has(self, size: int) -> bool:
        """Whether so many bytes fit; they are then taken."""
        if size > self.left:
            return False
        self.left -= size
        return True

    def close(self) -> None:
        """Nothing fits any more."""
        self.left = 0


@contextmanager
def sharing(model: AdaptedModel, shared: SharedActivations | None) -> Iterator[None]:
    """Evaluations of the model inside read and write hidden states."""
    model.shared_activations = shared
    try:
        yield
    finally:
        model.shared_activations = None


def forget_all(out: Path) -> None:
    """Remove what a study that has nothing left to run kept."""
    shutil.rmtree(out / FOLDER, ignore_errors=True)


def _pays(model: AdaptedModel, sizes: WorkSizes, depth: int) -> bool:
    """Whether computing the layers of a token takes longer than reading what they gave."""
    operations = 2 * sizes.weights * depth / sizes.layers
    read = model.hook.width * model.hook.dtype.itemsize / BYTES_PER_SECOND
    return operations / measured_peak(model.device, model.hook.dtype) > read


def _read(path: Path, device: torch.device) -> Tensor | None:
    """The tensor of a file; None where there is none that is whole."""
    try:
        with safe_open(path, "pt") as file:
            states: Tensor = file.get_tensor(NAME)
            whole = (file.metadata() or {}).get(SUM) == _sum(states)
        return states.to(device) if whole else None
    except (OSError, SafetensorError):
        return None


def _size(path: Path) -> int:
    """Bytes of a file; 0 where another process has removed it."""
    try:
        return path.stat().st_size
    except OSError:
        return 0


def _sum(values: Tensor) -> str:
    found: Any = values.view(torch.uint8).numpy()
    return str(zlib.crc32(found))
