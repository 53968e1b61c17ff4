"""Laws of a cluster: the same results as one process, and a worker that dies costs a retry, not the study."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from tests.study.studies import grid, study

from polyprefix.errors import ConfigError
from polyprefix.results.files import find_results, read_predictions, read_result
from polyprefix.study.distribute import longest_first, run_distributed
from polyprefix.study.file import Resources, Study
from polyprefix.study.grid import Cell, needs
from polyprefix.study.run import run_study

ROOT = Path(__file__).parents[2]


def contents(out: Path) -> dict[str, Any]:
    return {f.name: (read_result(f).scores, read_predictions(f / "predictions.parquet")) for f in find_results(out)}


@pytest.fixture
def cells(tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[Cell, ...]]:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'polyprefix[ray]'")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(ROOT / "src"), str(ROOT), os.environ.get("PYTHONPATH", "")]))
    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "0")
    (tmp_path / "model").symlink_to(tiny_folder)
    yield grid(tmp_path, base={"train": {"epochs": 20, "batch_size": 4, "validation_size": 6, "validations": 2}},
               axes={"method": ["none", "prefix", "lora"]}, seeds=[0, 1])  # fmt: skip


def test_two_workers_and_a_dead_one_give_the_results_of_one_process(cells: tuple[Cell, ...], tmp_path: Path) -> None:
    killed: list[int] = []

    def kill_the_first() -> None:
        progress = tmp_path / "spread" / ".study" / "progress"
        while not killed:
            for file in progress.glob("*.json"):
                found = json.loads(file.read_text())
                if found["phase"] == "train" and found["process"] != os.getpid():
                    os.kill(found["process"], signal.SIGKILL)
                    killed.append(found["process"])
                    return
            time.sleep(0.02)

    thread = threading.Thread(target=kill_the_first, daemon=True)
    thread.start()
    outcomes = run_distributed(
        cells, tmp_path / "spread", needs=lambda cell: Resources(cpus=1), workers=2, checkpoint_seconds=0.1
    )
    assert killed, "no worker was killed"
    assert outcomes.complete and len(outcomes.done) == len(cells) == 5
    assert run_study(cells, tmp_path / "alone").complete
    assert contents(tmp_path / "spread") == contents(tmp_path / "alone")


def test_a_cluster_that_is_not_there(cells: tuple[Cell, ...], tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no cluster answers"):
        run_distributed(cells, tmp_path, needs=lambda cell: Resources(), address="127.0.0.1:1")


def test_the_longest_cell_is_taken_first(tmp_path: Path) -> None:
    axes = {"model": ["smollm2-135m", "gemma-3-270m"], "method": ["none", "prefix", "full"]}
    cells = grid(tmp_path, base={"languages": ["swh_Latn"]}, axes=axes)
    order = [(cell.labels["model"], cell.labels["method"]) for cell in longest_first(cells)]
    assert sorted(order) == sorted((c.labels["model"], c.labels["method"]) for c in cells)
    assert order[0] == ("gemma-3-270m", "full") and order[-1][1] == "none"
    unknown = grid(tmp_path, axes={"method": ["none"]})
    assert longest_first([*cells, *unknown])[0] is unknown[0]


def test_what_cells_ask_for(tmp_path: Path) -> None:
    wanted: Study = study(
        tmp_path, axes={"method": ["prefix", "full"]},
        resources=[{"gpus": 1, "memory_gb": 40}, {"when": {"method": "full"}, "gpus": 4, "retries": 1}],
    )  # fmt: skip
    prefix, full = grid(tmp_path, axes={"method": ["prefix", "full"]})
    ask = partial(needs, wanted)
    assert (ask(prefix).gpus, ask(prefix).memory_gb, ask(prefix).retries) == (1, 40, 3)
    assert (ask(full).gpus, ask(full).memory_gb, ask(full).retries) == (4, None, 1)
