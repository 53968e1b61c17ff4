"""Law: cells that differ in what they are tested on train one adapter, and each ends as it would alone; nothing else is shared."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from tests.study.studies import grid
from torch import equal

from polyprefix.config import RunConfig
from polyprefix.results.files import find_results, read_result
from polyprefix.results.trained_once import MADE_BY, TRAINED
from polyprefix.study.run import run_study
from polyprefix.training.optimizer import Optimizer

TIMES = {"seconds", "examples_per_second"}


@pytest.fixture
def place(tmp_path: Path, tiny_folder: Path) -> Path:
    (tmp_path / "model").symlink_to(tiny_folder)
    return tmp_path


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """One entry for each optimiser step."""
    made: list[int] = []
    real = Optimizer.step
    monkeypatch.setattr(Optimizer, "step", lambda self, rows: (made.append(len(rows)), real(self, rows))[1])
    return iter([made]).__next__()


def weights(folder: Path) -> dict[str, Any]:
    return load_file(next((folder / "adapter").glob("*.safetensors")))


def log(folder: Path) -> list[dict[str, Any]]:
    records = [json.loads(line) for line in (folder / "train.jsonl").read_text().splitlines()]
    return [{key: value for key, value in one.items() if key not in TIMES} for one in records]


def test_each_ends_as_it_would_alone(place: Path, steps: list[int]) -> None:
    methods = {"lora": {"method": {"name": "lora", "dropout": 0.1}}, "prefix": None, "full": None}
    found = grid(place, axes={"method": methods, "eval_size": [3, 9]})
    kept: list[int] = []
    run_study(
        found, place / "together", tell=lambda line: kept.append(len(list((place / "together").glob(f"{TRAINED}/*"))))
    )
    assert kept == [0, 1] * 3  # none stays longer than it is needed
    trained = len(steps)
    for cell in found:
        run_study([cell], place / "alone")
    assert len(steps) == trained + 2 * trained
    assert not (place / "together" / TRAINED).exists()
    pairs = list(zip(find_results(place / "together"), find_results(place / "alone"), strict=True))
    assert len(pairs) == 6
    said = []
    for one, other in pairs:
        ours, theirs = weights(one), weights(other)
        assert all(equal(ours[name], theirs[name]) for name in theirs) and ours.keys() == theirs.keys()
        assert log(one) == log(other)
        mine, its = read_result(one), read_result(other)
        assert mine.scores == its.scores and (one / "predictions.parquet").read_bytes()
        said += [note for note in mine.notes if "trained once" in note]
        assert mine.training == its.training
    assert len(said) == 3  # the second of each pair says with which run


def test_a_study_that_was_stopped_between_them_goes_on(place: Path, steps: list[int]) -> None:
    first, second = run_order(grid(place, axes={"method": ["prefix"], "eval_size": [3, 9]}))
    place_of = place / "runs"

    def stop(line: str) -> None:
        if second.config.run_id() in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study([first, second], place_of, tell=stop)
    trained = len(steps)
    assert (place_of / TRAINED).is_dir() and trained
    run_study([first, second], place_of)
    assert len(steps) == trained and len(find_results(place_of)) == 2 and not (place_of / TRAINED).exists()


@pytest.mark.parametrize(
    "damage", ['{"run": "x", "made_by": {}}', "{", "[]"], ids=["other versions", "damaged", "a list"]
)
def test_what_others_left_is_not_taken(place: Path, steps: list[int], damage: str) -> None:
    first, second = run_order(grid(place, axes={"method": ["prefix"], "eval_size": [3, 9]}))

    def stop(line: str) -> None:
        if second.config.run_id() in line:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study([first, second], place / "runs", tell=stop)
    (note,) = (place / "runs" / TRAINED).glob(f"*/{MADE_BY}")
    note.write_text(damage)
    trained = len(steps)
    run_study([first, second], place / "runs")
    assert len(steps) == 2 * trained


def run_order(cells: Any) -> Any:
    from polyprefix.study.locks import Bookkeeping
    from polyprefix.study.run import Outcomes, open_cells

    return open_cells(cells, Bookkeeping(Path("nowhere")), Outcomes())[0]


OTHERS = {
    "model": "other", "method": {"name": "lora"}, "task": "xnli", "protocol": "lm-eval", "source_languages": ("swh_Latn",),
    "source_sampling": "equal", "source_temperature": 3.0, "target_languages": ("tha_Thai",), "target_size": 4, "train_size": 5,
    "shots": 1, "shot_language": "target", "seed": 1, "train": {"epochs": 1}, "eval": {"token_budget": 99},
    "text": {"max_length": 99}, "runtime": {"dtype": "float32"}, "adapter": "folder", "languages": "all", "eval_size": 7,
    "eval_ids": "disjoint", "eval_until": 2, "model_digest": "ab" * 32, "task_digest": "cd" * 32, "adapter_digest": "ef" * 32,
}  # fmt: skip


@pytest.mark.parametrize("key", sorted(RunConfig.model_fields))
def test_every_setting_but_those_of_testing_makes_another_training(key: str) -> None:
    plain = {
        "model": "m",
        "task": "terms",
        "method": {"name": "prefix"},
        "languages": ["swh_Latn"],
        "adapter_digest": None,
    }
    together = {"target_languages": {"target_size": 2}, "target_size": {"target_languages": ("tha_Thai",)}}.get(key, {})
    changed = RunConfig.model_validate({**plain, **together, key: OTHERS[key]})
    same = RunConfig.model_validate(plain).training_id() == changed.training_id()
    assert same == (key in {"languages", "eval_size", "eval_ids", "eval_until"})
