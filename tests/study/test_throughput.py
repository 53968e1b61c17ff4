"""Laws of how many cells run at a time: the faster way that fits, and one cell where nothing is gained."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from tests.study.studies import grid

from polyprefix.study import throughput
from polyprefix.study.devices import SOME_PROCESSOR
from polyprefix.study.estimate import Estimate
from polyprefix.study.throughput import GAIN, WORTH_IT, choose_workers, chosen, measured, most_workers

EACH = Estimate(0, 2e9, WORTH_IT, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, "float32")


def test_as_many_as_there_are_cells_threads_and_memory_for() -> None:
    numbers = random.Random(0)
    for _ in range(200):
        cells, threads, free = numbers.randint(1, 9), numbers.randint(1, 9), numbers.randrange(1, 20) * 10**9
        most = most_workers([EACH] * cells, threads, free)
        assert most == max(1, min(cells, threads, free // int(EACH.memory)))


def test_short_or_unknown_work_stays_in_one_process() -> None:
    short = replace(EACH, train_seconds=WORTH_IT / 4)
    assert most_workers([short, short], 8, None) == 1
    assert most_workers(None, 8, None) == 1 and most_workers([], 8, None) == 1


@pytest.mark.parametrize("times", [0.5, GAIN - 0.01, GAIN + 0.01, 3.0])
def test_several_cells_only_where_they_do_clearly_more(times: float) -> None:
    found = chosen({1: 10.0, 2: 10.0 * times, 4: 1.0}, 4, ray=True)
    assert found.workers == (2 if times > GAIN else 1)
    assert f"2 cells with 2 threads each do {times:.2f} times" in found.line
    without = chosen({1: 10.0, 2: 10.0 * times}, 2, ray=False)
    assert without.workers == 1 and ("polyprefix[ray]" in without.line) == (times > GAIN)


def test_a_measurement_counts_all_workers_and_gives_the_threads_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(throughput, "SECONDS", 0.05)
    before = torch.get_num_threads()
    assert all(rate > 0 for rate in measured([1, 2], before).values())
    assert torch.get_num_threads() == before


def test_a_study_is_measured_only_where_there_is_a_choice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cells = grid(
        tmp_path, base={"model": "gemma-3-270m", "task": "xnli"}, axes={"method": ["prefix", "lora"]}, seeds=[0]
    )
    asked: list[list[int]] = []
    monkeypatch.setattr(throughput, "WORTH_IT", 0.0)
    monkeypatch.setattr(
        throughput, "measured", lambda options, threads: asked.append(list(options)) or {1: 1.0, 2: 1.5}
    )
    monkeypatch.setattr(throughput, "available_memory", lambda: 1 << 40)
    monkeypatch.setattr(throughput, "choose_device", lambda name: "cpu")
    monkeypatch.setattr(torch, "get_num_threads", lambda: 1)
    assert choose_workers(cells, tmp_path / "out") is None and not asked
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    found = choose_workers(cells, tmp_path / "out")
    assert found is not None and asked == [[1, 2]]
    assert choose_workers(cells[:1], tmp_path / "out") is None
    monkeypatch.setattr(throughput, "available_memory", lambda: 1 << 30)
    assert choose_workers(cells, tmp_path / "out") is None and len(asked) == 1
    assert SOME_PROCESSOR.host > 0, "a cell's memory counts its own libraries"
