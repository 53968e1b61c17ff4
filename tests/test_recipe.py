"""A whole run on a tiny model: files as documented, the same scores for the same seed, the base beside the adapted model."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from polyprefix.adapters import registry as methods
from polyprefix.calibration.answers import CALIBRATIONS
from polyprefix.calibration.probabilities import mean_probability
from polyprefix.calibration.record import read_record
from polyprefix.config import RunConfig
from polyprefix.recipe import run
from polyprefix.report.grid import read_grid
from polyprefix.report.run import view_of
from polyprefix.results.files import read_predictions, read_result
from polyprefix.results.log import read_jsonl
from polyprefix.results.table import read_table
from polyprefix.settings import validate
from polyprefix.tasks.terms import TASK

SETTINGS = {
    "task": "terms",
    "languages": ["sw", "th"],
    "eval_size": 9,
    "train_size": 12,
    "train": {"epochs": 1, "batch_size": 4, "validation_size": 6, "validations": 2},
}


def config(folder: Path, **more: object) -> RunConfig:
    return validate(RunConfig, {"model": str(folder), **SETTINGS, **more}, "run")


def test_a_run_writes_what_is_documented(tiny_folder: Path, tmp_path: Path) -> None:
    adapted, base = run(config(tiny_folder), out=tmp_path, beside_base=True)
    names = {path.name for path in adapted.iterdir()}
    assert names == {"config.yaml", "result.json", "predictions.parquet", "calibration.json", "adapter", "train.jsonl"}
    result = read_result(adapted)
    assert set(result.scores) == {"eng_Latn", "swh_Latn", "tha_Thai"}
    assert all(scores["accuracy"].n == 9 for scores in result.scores.values())
    assert set(result.cost) >= {
        "train_seconds",
        "train_examples_per_second",
        "eval_seconds",
        "eval_examples_per_second",
        "peak_memory_bytes",
    }
    assert result.parameters["trainable"] == 16 * 3 * 2 * 2 * 16
    assert result.provenance["packages"]["torch"] and result.notes
    assert set(read_result(base).baselines) == {"character n-grams", "length and spaces"}
    predictions, correct = read_predictions(adapted / "predictions.parquet")
    assert correct == [TASK.correctness(p) for p in predictions]
    assert {code for code, *_ in view_of(read_grid([adapted, base]), adapted.name).rows} == set(result.scores)


def test_a_run_keeps_what_calibration_needs(tiny_folder: Path, tmp_path: Path) -> None:
    adapted, base = run(config(tiny_folder), out=tmp_path, beside_base=True)
    record, of_base = read_record(adapted), read_record(base)
    assert record and of_base and record.labels == TASK.info.labels
    predictions, _ = read_predictions(adapted / "predictions.parquet")
    for code, prior in record.priors.items():
        ll = np.array([p.log_likelihoods for p in predictions if p.language == code])
        assert prior.n == 9 and prior.mean == pytest.approx(mean_probability(ll))
    assert set(record.priors) == set(record.content_free) == set(record.premise) == {"eng_Latn", "swh_Latn", "tha_Thai"}
    assert len(set(record.content_free.values())) == 1, "one wording in all languages is asked once"
    assert len(record.validation.targets) == len(of_base.validation.targets) == 6, "read for the adapter, asked of both"
    last = [one for one in read_jsonl(adapted / "train.jsonl") if "validation_log_likelihood" in one]
    rows = np.array(record.validation.log_likelihoods)
    right = rows[np.arange(6), list(record.validation.targets)].mean()
    assert any(right == pytest.approx(one["validation_log_likelihood"], abs=1e-3) for one in last)
    table = read_table([adapted, base])
    for name in CALIBRATIONS:
        assert len(table.with_calibration(name).runs) == 2


@pytest.mark.parametrize("method", methods.names())
def test_the_same_seed_gives_the_same_scores_for_every_method(method: str, tiny_folder: Path, tmp_path: Path) -> None:
    results = [read_result(run(config(tiny_folder, method=method, seed=3), out=tmp_path / side)[0]) for side in "ab"]
    assert results[0].scores == results[1].scores
    assert results[0].run_id == results[1].run_id


def test_the_base_is_evaluated_once(tiny_folder: Path, tmp_path: Path) -> None:
    _, first = run(config(tiny_folder), out=tmp_path, beside_base=True)
    stamp = (first / "result.json").stat().st_mtime_ns
    _, second = run(config(tiny_folder, seed=1), out=tmp_path, beside_base=True)
    assert first == second and (second / "result.json").stat().st_mtime_ns == stamp


def test_a_saved_adapter_evaluates_to_the_same_scores(tiny_folder: Path, tmp_path: Path) -> None:
    [trained] = run(config(tiny_folder), out=tmp_path)
    settings = read_result(trained).config
    [evaluated] = run(config(tiny_folder, method=settings["method"], adapter=str(trained / "adapter")), out=tmp_path)
    assert read_result(evaluated).scores == read_result(trained).scores
    assert not (evaluated / "adapter").exists()


class Notes:
    """A reporter that keeps what its bars said."""

    def __init__(self) -> None:
        self.said: list[str] = []

    @contextmanager
    def phase(self, title: str, total: int) -> Iterator[Notes]:
        yield self

    def advance(self, count: int, note: str = "") -> None:
        self.said.append(note)


def test_progress_shows_the_scores_of_finished_languages(tiny_folder: Path, tmp_path: Path) -> None:
    notes = Notes()
    [folder] = run(config(tiny_folder, method="none"), out=tmp_path, reporter=notes)
    first, *_, last = read_result(folder).scores.items()
    figure = f"{100 * first[1]['accuracy'].value:.1f}%"
    assert any(note.startswith(f"{first[0]} {figure}, ") for note in notes.said)
    assert notes.said[-1].endswith(last[0])


def test_every_setting_of_a_method_is_written_out(tiny_folder: Path) -> None:
    resolved = methods.resolve(config(tiny_folder, method="soft-prompt"))
    assert resolved.method["length"] and resolved.train.learning_rate
    assert methods.resolve(resolved) == resolved
    idle = methods.resolve(config(tiny_folder, method="none", seed=5))
    assert idle.run_id() == methods.resolve(config(tiny_folder, method="none", seed=6)).run_id()
    assert dataclasses.is_dataclass(methods.kind("prefix").defaults)
