"""Checkpoints: a training that was killed goes on from the last one and ends with the same weights, to the last bit on a CPU.

One file holds what the next step depends on: the adapter's weights, AdamW's moments, the place on the schedule and in the data, the
random numbers, the best weights so far. It is written whole or not at all, and is no part of a result.
"""

from __future__ import annotations

import errno
import os
import pickle
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch

from polyprefix.atomic import output_errors, writing

LARGEST_SHARE = 0.05
"""Of the time spent on writing checkpoints: those of a large model are written less often than asked for."""


class Checkpoint:
    """The checkpoint of one run, and the training log that must agree with it."""

    def __init__(self, path: Path, log: Path | None, every_seconds: float = 60.0) -> None:
        """Nothing is read or written yet.

        Args:
            log: `train.jsonl`; records behind the checkpoint are dropped when it is loaded, for their steps come again.
                None in a process that writes none.
        """
        self.path = path
        self.log = log
        self.every_seconds = every_seconds
        self._wait = every_seconds
        self._last = time.monotonic()

    def due(self) -> bool:
        """Whether it is time for the next one."""
        return time.monotonic() - self._last >= self._wait

    def save(self, state: dict[str, Any]) -> None:
        """Replace the last checkpoint.

        Raises:
            OutputError: if the disk is full or the place cannot be written; the last one is then still there.
        """
        start = time.monotonic()
        with output_errors(self.path):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            logged = self.log.stat().st_size if self.log and self.log.exists() else 0
        with writing(self.path) as temporary:
            try:
                with temporary.open("wb") as file:
                    torch.save({**state, "random": _random_state(), "logged": logged}, file)
            except RuntimeError as error:  # torch's writer says nothing else of a full disk
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)) from error
        self._last = time.monotonic()
        self._wait = max(self.every_seconds, (self._last - start) / LARGEST_SHARE)

    def load(self, device: torch.device) -> dict[str, Any] | None:
        """What was saved last, with random numbers and log set back to that moment; None where there is none, or none that is whole.

        Raises:
            OutputError: if the log cannot be cut.
        """
        state: dict[str, Any] | None = None
        with suppress(
            OSError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError
        ):  # none, or none that is whole
            state = torch.load(self.path, map_location="cpu", weights_only=True)
        if self.log:
            with output_errors(self.log), self.log.open("ab") as file:
                file.truncate(state["logged"] if state else 0)
        if state:
            _set_random_state(state.pop("random"), device)
        return state


def _random_state() -> dict[str, Any]:
    return {
        "cpu": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def _set_random_state(state: dict[str, Any], device: torch.device) -> None:
    torch.set_rng_state(state["cpu"])
    if device.type == "cuda" and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])
