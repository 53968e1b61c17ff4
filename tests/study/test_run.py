"""Laws of the runner: each cell once, whoever runs it; what fails is recorded and stops nothing else; what is tuned decides."""

from __future__ import annotations

import json
import multiprocessing
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from tests.study.studies import grid

import polyprefix.study.worker as attempt
from polyprefix.errors import OutputError, TrainingError
from polyprefix.results.files import find_results, read_result
from polyprefix.study.locks import Bookkeeping
from polyprefix.study.run import run_study
from polyprefix.study.status import status
from polyprefix.study.table import validation_table
from polyprefix.study.tuning import kept_validation


@pytest.fixture
def place(tmp_path: Path, tiny_folder: Path) -> Path:
    (tmp_path / "model").symlink_to(tiny_folder)
    return tmp_path


def scores(out: Path) -> dict[str, Any]:
    return {folder.name: read_result(folder).scores for folder in find_results(out)}


def test_every_cell_once_and_the_model_loaded_once(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import polyprefix.recipe as recipe

    loads = Counter[str]()
    real = recipe.load_model
    monkeypatch.setattr(recipe, "load_model", lambda name, **more: (loads.update([name]), real(name, **more))[1])
    found = grid(place, axes={"method": ["none", "prefix", "lora", "soft-prompt"]}, seeds=[0, 1])
    outcomes = run_study(found, place / "runs")
    assert outcomes.complete and len(outcomes.done) == 7 and len(find_results(place / "runs")) == 7
    assert loads.total() == 1 + 1  # LoRA alters the model; seed 1 needs a fresh one
    again = run_study(found, place / "runs")
    assert again.complete and not again.done and again.found == 7 and loads.total() == 2
    assert not list((place / "runs" / ".study").rglob("*.json"))


def test_cells_do_not_touch_each_other(place: Path) -> None:
    """Scores in one process are those of each cell alone."""
    found = grid(place, axes={"method": ["lora", "prefix", "full", "llama-adapter"]})
    run_study(found, place / "together")
    for cell in found:
        run_study([cell], place / "alone")
    assert scores(place / "together") == scores(place / "alone")


def test_a_failing_cell_is_recorded_and_the_others_are_run(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = attempt.run_on

    def fail(inputs: Any, config: Any, *rest: Any, **more: Any) -> Path:
        if config.method["name"] == "lora":
            raise RuntimeError("out of cheese\nsecond line")
        return real(inputs, config, *rest, **more)

    found = grid(place, axes={"method": ["prefix", "lora", "none"]})
    with monkeypatch.context() as patched:
        patched.setattr(attempt, "run_on", fail)
        outcomes = run_study(found, place / "runs")
    books = Bookkeeping(place / "runs")
    [failed] = outcomes.failed
    assert not outcomes.complete and len(outcomes.done) == 2
    assert outcomes.failed[failed] == "RuntimeError: out of cheese"
    assert any("run_on" in line for line in (books.failure(failed) or {})["traceback"])
    seen = status(found, books)
    assert seen.counts["main"] == {"done": 2, "failed": 1} and list(seen.failed) == [failed] and not seen.complete
    assert run_study(found, place / "runs").done == [failed]
    assert books.failure(failed) is None and status(found, books).complete


def test_a_place_that_cannot_be_written_stops_the_study(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every other cell would end there too; earlier results stay, and the rest runs when there is room."""
    found = grid(place, axes={"method": ["none", "prefix"]})
    with monkeypatch.context() as patched:
        patched.setattr(attempt, "run_on", lambda *_, **__: (_ for _ in ()).throw(OutputError("disk full")))
        with pytest.raises(OutputError, match="disk full"):
            run_study(found, place / "runs")
    assert not Bookkeeping(place / "runs").failure(found[0].config.run_id())
    assert len(run_study(found, place / "runs").done) == 2


def test_the_best_on_english_validation_is_taken(place: Path) -> None:
    rates = [1e-9, 0.1]
    tune = {"base": {"eval_size": 1, "languages": []}, "values": {"prefix": {"train.learning_rate": rates}}}
    found = grid(place, axes={"method": ["none", "prefix"]}, seeds=[0, 1], tune=tune)
    books = Bookkeeping(place / "runs")
    before = status(found, books)
    assert before.counts == {"tune": {"to do": 2}, "main": {"to do": 1, "undecided": 2}}
    assert run_study(found, place / "runs").complete
    table = validation_table(found, books)
    tried = {
        row.labels["train.learning_rate"]: kept_validation(books.out / row.Index)
        for row in table.itertuples()
        if row.part == "tune"
    }
    best = max(tried, key=lambda rate: tried[rate])
    chosen = {str(row.chosen["train.learning_rate"]) for row in table.itertuples() if row.chosen}
    assert chosen == {best} and len(find_results(books.out)) == 2 + 3


def test_a_candidate_that_diverges_is_an_outcome(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = attempt.run_on

    def diverge(inputs: Any, config: Any, *rest: Any, **more: Any) -> Path:
        if config.train.learning_rate == 0.1:
            raise TrainingError("the loss is nan")
        return real(inputs, config, *rest, **more)

    monkeypatch.setattr(attempt, "run_on", diverge)
    tune = {"base": {"eval_size": 1}, "values": {"prefix": {"train.learning_rate": [0.01, 0.1]}}}
    found = grid(place, axes={"method": ["prefix"]}, tune=tune)
    outcomes = run_study(found, place / "runs")
    assert outcomes.complete and len(outcomes.done) == 2
    assert status(found, Bookkeeping(place / "runs")).counts == {
        "tune": {"done": 1, "diverged": 1},
        "main": {"done": 1},
    }


def test_what_cannot_be_chosen_is_said(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(attempt, "run_on", lambda *_, **__: (_ for _ in ()).throw(ValueError("no")))
    tune = {"values": {"prefix": {"train.learning_rate": [0.01]}}}
    found = grid(place, axes={"method": ["prefix"]}, seeds=[0, 1], tune=tune)
    outcomes = run_study(found, place / "runs")
    assert outcomes.undecided == 2 and len(outcomes.failed) == 1 and not outcomes.complete


def test_two_runners_do_no_cell_twice(place: Path) -> None:
    found = grid(place, axes={"method": ["none", "prefix", "soft-prompt", "llama-adapter"]}, seeds=[0, 1])
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    runners = [context.Process(target=lambda: queue.put(run_study(found, place / "runs").done)) for _ in range(2)]
    for runner in runners:
        runner.start()
    done = [queue.get(timeout=120) for _ in runners]
    for runner in runners:
        runner.join()
    assert sorted(done[0] + done[1]) == sorted(cell.config.run_id() for cell in found)
    assert all(done), "one of them did everything"


def test_the_claim_of_a_dead_process_is_taken_over(tmp_path: Path) -> None:
    books = Bookkeeping(tmp_path)

    def hold() -> None:
        with books.claim("cell") as ours:
            connection.send(ours)
            connection.recv()

    context = multiprocessing.get_context("fork")
    here, connection = context.Pipe()
    process = context.Process(target=hold)
    process.start()
    assert here.recv() is True
    with books.claim("cell") as ours:
        assert not ours
    process.kill()
    process.join()
    with books.claim("cell") as ours:
        assert ours


def test_progress_is_seen_from_outside(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = grid(place, axes={"method": ["none", "prefix"]})
    books = Bookkeeping(place / "runs")
    seen: list[Any] = []
    real = attempt._TellingBar.advance

    def look(bar: Any, count: int, note: str = "") -> None:
        real(bar, count, note)
        [file] = (place / "runs" / ".study" / "progress").glob("*.json")
        books.write_progress(file.stem, **bar.figures)
        seen.append(status(found, books))

    monkeypatch.setattr(attempt._TellingBar, "advance", look)
    run_study(found, place / "runs")
    assert all(len(found.running) == 1 and found.counts["main"]["running"] == 1 for found in seen)
    assert {found.running[0].phase for found in seen} == {"train", "validate", "test none", "test prefix"}
    assert json.dumps(seen[-1].as_dict()) and seen[-1].running[0].done == 27
    assert status(found, books).running == ()
