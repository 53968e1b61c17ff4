"""Laws of the plan: counts are those of the methods' formulas, more work costs more, what does not fit is told a way that does."""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest
from tests.study.studies import grid

from polyprefix.adapters.registry import resolve
from polyprefix.config import RunConfig
from polyprefix.errors import ConfigError
from polyprefix.models import embedded
from polyprefix.prefix.token_tree import common_length
from polyprefix.settings import validate
from polyprefix.study import lengths as study_lengths
from polyprefix.study.devices import GPUS, HERE, device
from polyprefix.study.estimate import Estimate, estimate
from polyprefix.study.lengths import Lengths, lengths, table
from polyprefix.study.locks import Bookkeeping
from polyprefix.study.plan import MARGIN, check, plan, remedy
from polyprefix.study.shapes import FILE, parameters
from polyprefix.tasks import registry as tasks
from polyprefix.tasks.base import Source
from polyprefix.testing.tiny import tiny_tokenizer
from polyprefix.text.batches import group_by_common_prefix

ROOT = Path(__file__).parents[2]
PUBLISHED = {
    "meta-llama/Llama-3.1-8B": 8_030_261_248,
    "meta-llama/Llama-3.2-1B": 1_235_814_400,
    "meta-llama/Llama-3.2-3B": 3_212_749_824,
    "mistralai/Mistral-7B-v0.3": 7_248_023_552,
    "mistralai/Mistral-Small-24B-Base-2501": 23_572_403_200,
    "gemma-3-270m": 268_098_176,
    "smollm2-135m": 134_515_008,
}


def config(model: str = "meta-llama/Llama-3.1-8B", **more: object) -> RunConfig:
    values = {"model": model, "task": "xnli", "train_size": 960, "train": {"steps": 60}, **more}
    return resolve(validate(RunConfig, values, "test"))


def cost(on: str = "h100", **more: object) -> Estimate:
    found = estimate(config(**more), device(on))
    assert found is not None
    return found


def test_the_shapes_that_come_with_us_are_the_published_ones() -> None:
    assert set(json.loads(FILE.read_text())) == set(PUBLISHED)
    assert {name: parameters(name) for name in PUBLISHED} == PUBLISHED


def test_trained_parameters_are_those_of_the_source() -> None:
    prefix = {"name": "prefix", "length": 10, "parametrization": "projected", "layers": "top:30"}
    assert cost(method=prefix).trained == 1_228_800
    assert cost(method="lora").trained == 3_407_872
    assert cost(method="full").trained == PUBLISHED["meta-llama/Llama-3.1-8B"] and cost(method="none").trained == 0


def test_more_work_costs_more() -> None:
    one = cost(method="prefix")
    assert cost(method="prefix", train_size=9600, train={"steps": 600}).train_seconds > 5 * one.train_seconds
    assert cost(method="prefix", eval_size=100).eval_seconds < 0.1 * one.eval_seconds
    assert cost(method="full").train_seconds > 1.5 * one.train_seconds
    assert cost(method="none").train_seconds == 0 and cost(method="none").memory < one.memory
    assert cost(method={"name": "prefix", "layers": "top:8"}).train_seconds < one.train_seconds
    assert cost(on="l4", method="prefix").seconds > 4 * one.seconds
    lean = {"steps": 60, "gradient_checkpointing": True}
    assert cost(method="prefix", train=lean).activations < 0.5 * one.activations
    assert cost(method="prefix", train=lean).train_seconds > one.train_seconds
    assert cost(method="prefix", runtime={"quantize": "4bit"}).memory < 0.65 * one.memory


def test_kept_lower_layers_take_memory_and_save_time_from_the_second_pass_on() -> None:
    upper = {"name": "prefix", "layers": "top:8"}
    once = [cost(method=upper, train={"epochs": 1, "cache_lower_layers": kept}) for kept in (None, False)]
    assert once[0] == once[1]
    kept, again = (cost(method=upper, train={"epochs": 3, "cache_lower_layers": kept}) for kept in (None, False))
    assert (
        1.3 < again.train_seconds / kept.train_seconds < 5 / 3
    )  # (1 + 1/4) / (1/4 + 3/4 / 3 + 1/4), and what is not layers
    assert kept.activations > again.activations and kept.weights == again.weights


def test_weights_alone_are_a_lower_bound_of_memory() -> None:
    for model, count in PUBLISHED.items():
        assert cost(model=model, method="none").memory > 2 * count
        assert cost(model=model, method="full").memory >= 16 * count  # weights, gradients, two moments


@pytest.mark.parametrize(
    ("on", "model", "method", "words"),
    [
        ("rtx-4090", "meta-llama/Llama-3.1-8B", "full", "sharding over"),
        ("rtx-4090", "mistralai/Mistral-Small-24B-Base-2501", "prefix", "4 bit"),
        ("rtx-4090", "mistralai/Mistral-Small-24B-Base-2501", "none", "4 bit"),
    ],
)
def test_what_does_not_fit_is_told_a_way(on: str, model: str, method: str, words: str) -> None:
    asked = config(model=model, method=method)
    found = estimate(asked, device(on))
    assert found is not None and found.memory > MARGIN * device(on).memory
    assert words in remedy(asked, device(on))
    assert ("4 bit" in remedy(asked, device(on))) == (method != "full")


def test_what_fits_is_left_alone(tmp_path: Path) -> None:
    base = {"model": "meta-llama/Llama-3.2-1B", "task": "sib200"}
    cells = grid(tmp_path, base=base, axes={"method": ["none", "prefix", "lora"]}, seeds=[0, 1])
    found = plan(cells, GPUS["h100"])
    assert [(row.count, row.fits, row.remedy) for row in found.rows] == [(1, True, ""), (2, True, ""), (2, True, "")]
    assert found.seconds == pytest.approx(sum(r.count * r.cost.seconds for r in found.rows if r.cost))
    assert any("Gemma 3's tokenizer" in note for note in found.notes)


def test_a_model_or_task_that_nobody_knows_has_no_estimate_and_no_zero(tmp_path: Path) -> None:
    cells = grid(tmp_path, base={"model": "nobody/nothing"}, axes={"method": ["none"]})
    [row] = plan(cells, GPUS["h100"]).rows
    assert row.cost is None and "no estimate" in " ".join(plan(cells, GPUS["h100"]).notes)


def test_every_task_has_lengths_in_english() -> None:
    assert {key[1] for key in table()} == set(tasks.names())
    for task in tasks.names():
        for model in ("gemma-3-270m", "smollm2-135m"):
            train, test = (lengths(model, task, split, "eng_Latn") for split in ("train", "test"))
            assert train and test and train.prompt > train.shared and test.examples > 0


@pytest.mark.parametrize("share", [0.05, 0.3, 1.0])
def test_what_common_beginnings_save_is_what_evaluation_saves(share: float) -> None:
    rng = random.Random(0)
    split = [(*(passage, *range(40)), passage, question) for passage in range(400) for question in range(3)]
    drawn = rng.sample(split, round(share * len(split)))
    groups = group_by_common_prefix(drawn, [43] * len(drawn), 8192)
    saved = sum(common_length(drawn[a], drawn[b]) for group in groups for a, b in pairwise(group))
    whole = Lengths(len(split), 43.0, 0, 1.0, 3, 3.0, 0, together=3.0, saved=42 * 2 / (43 * 3))
    assert whole.saving(len(drawn)) == pytest.approx(saved / (43 * len(drawn)), rel=0.1, abs=0.02)
    assert Lengths(9, 43.0, 0, 1.0, 3, 3.0, 0).saving(9) == 0


def test_an_unknown_device_names_the_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'h100'"):
        device("h10")


def test_this_machine_is_measured() -> None:
    here = device(HERE)
    assert here.measured and here.float32 > 1e9 and here.bandwidth > 1e8 and here.memory > 1e9


def test_estimates_are_set_beside_finished_cells(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    from polyprefix.results.folder import RunFolder
    from polyprefix.types import RunResult, Score

    [cell] = grid(tmp_path, base={"model": "gemma-3-270m"}, axes={"method": ["prefix"]})
    here = replace(GPUS["h100"], host=1e9)
    expected = estimate(cell.config, here)
    assert expected is not None
    figures = {
        "train_seconds": expected.train_seconds,
        "eval_seconds": expected.eval_seconds,
        "peak_memory_bytes": 2 * expected.memory,
    }
    scores = {"eng_Latn": {"accuracy": Score(1.0, 1, (0.0, 1.0))}}
    result = RunResult(cell.config.run_id(), {}, {"device": "cpu"}, {"trainable": 1, "total": 2}, scores, figures)
    RunFolder(tmp_path / "runs", cell.config.run_id()).finish(result)
    errors = {c.quantity: c.error for c in check([cell], Bookkeeping(tmp_path / "runs"), here)}
    assert errors == {"time": pytest.approx(0), "memory": pytest.approx(-0.5)}


def test_an_estimate_is_for_the_speed_that_the_machine_had_when_the_cell_was_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dataclasses import replace

    from polyprefix.results.folder import RunFolder
    from polyprefix.types import RunResult, Score

    [cell] = grid(tmp_path, base={"model": "gemma-3-270m"}, axes={"method": ["prefix"]})
    here = replace(GPUS["h100"], host=1e9, start=0.5)
    slow = estimate(cell.config, here.times(0.5))
    assert slow is not None
    monkeypatch.setattr("polyprefix.engine.peak.measured_peak", lambda device, dtype: 2e11)
    seconds = {"train_seconds": slow.train_seconds, "eval_seconds": slow.eval_seconds}
    figures = {**seconds, "peak_memory_bytes": slow.memory, "peak_flops_per_second": 1e11}
    scores = {"eng_Latn": {"accuracy": Score(1.0, 1, (0.0, 1.0))}}
    result = RunResult(cell.config.run_id(), {}, {"device": "cpu"}, {"trainable": 1, "total": 2}, scores, figures)
    RunFolder(tmp_path / "runs", cell.config.run_id()).finish(result)
    assert [c.error for c in check([cell], Bookkeeping(tmp_path / "runs"), here)] == [pytest.approx(0)] * 2


def test_the_papers_plan_is_printed_in_time_without_network() -> None:
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "polyprefix", "study", "plan", "studies/paper.yaml", "--device", "h100", "--json"],
        cwd=ROOT, capture_output=True, text=True, env={**os.environ, "HF_HUB_OFFLINE": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    seconds = time.perf_counter() - start
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert all(row["cost"] for row in found["rows"])
    assert {row["config"]["model"] for row in found["rows"]} == {m for m in PUBLISHED if "/" in m}
    assert seconds < 20


def test_a_task_of_ones_own_is_planned_from_its_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As they are now, with the tokenizer that lengths are measured with; nothing is fetched or converted for it."""
    own = shutil.copytree(Path(__file__).parents[2] / "examples" / "things", tmp_path / "things")
    monkeypatch.setattr(embedded, "cached", lambda model: True)
    monkeypatch.setattr(study_lengths, "_tokenizer", lambda model: tiny_tokenizer())
    cells = grid(
        tmp_path, base={"model": "gemma-3-270m", "task": str(own), "train_size": None}, axes={"method": ["prefix"]}
    )
    assert all(row.cost and row.cost.seconds > 0 for row in plan(cells, GPUS["h100"]).rows)

    def found(split: str, language: str, task: str = str(own)) -> Lengths | None:
        return study_lengths.of_own_task("nobody/nothing", task, "default", split, language)

    for split, language in (("train", "eng_Latn"), ("test", "swh_Latn")):
        rows = tasks.get(str(own)).examples(split, language, Source(None))
        assert found(split, language) == study_lengths.measure(
            tasks.get(str(own)), rows, split, tiny_tokenizer(), len(rows)
        )
    assert found("test", "jpn_Jpan") is None and found("test", "eng_Latn", "xnli") is None
    before, file = found("test", "swh_Latn"), own / "test.sw.csv"
    file.write_text("\n".join(file.read_text(encoding="utf-8").splitlines()[:-10]) + "\n", encoding="utf-8")
    after = found("test", "swh_Latn")
    assert before and after and after.examples == before.examples - 10
    monkeypatch.setattr(embedded, "cached", lambda model: False)
    assert found("test", "swh_Latn") is None and plan(cells, GPUS["h100"]).rows[0].cost is None
