"""The benchmarks' own arithmetic, and each of them once at a tiny size: all compute the same thing, and a failure is a result too."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from accelerate.state import AcceleratorState

from benchmarks import compare, gpu, growth, levers, page, rounds, worker
from benchmarks.rounds import Entry
from benchmarks.workload import Document, Row, Workload, prepare
from polyprefix.adapters import registry
from polyprefix.adapters.attach import attach
from polyprefix.evaluation import shared_activations
from polyprefix.testing.tiny import tiny_base

ROWS = tuple(Row(tuple(range(4, 9 + n)), (50 + n % 3,)) for n in range(8))
DOCUMENTS = tuple(
    Document(language, f"{language} text {n}:", (" yes", " no", " perhaps"))
    for language in ("x", "y")
    for n in range(3)
)


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Workers in this process: the same code without a second import of everything."""

    def run_once(entry: Entry, folder: Path, limit: float = 0) -> dict[str, Any]:
        given, out = folder / "work.json", folder / "result.json"
        AcceleratorState._reset_state(
            reset_partial_state=True
        )  # a tool's default precision outlives its own process otherwise
        worker.main([entry.contestant, entry.part, str(entry.work.write(given)), str(out), "0"])
        return json.loads(out.read_text())

    monkeypatch.setattr(rounds, "run_once", run_once)


def workload(tmp_path: Path, method: str, **settings: Any) -> Workload:
    fields = prepare(tiny_base("llama-gqa-tied"), tmp_path, method, settings, ajar=method == "llama-adapter")
    return Workload(name="tiny", **fields, rows=ROWS, documents=DOCUMENTS, batch_size=4, seconds=0, max_steps=3)


def test_a_workload_is_what_was_written(tmp_path: Path) -> None:
    work = workload(tmp_path, "prefix", length=3)
    assert Workload.read(work.write(tmp_path / "w.json")) == work and work.at_own_defaults().setting == "own"


@pytest.mark.parametrize("method", ["prefix", "llama-adapter", "lora", "soft-prompt"])
def test_peft_under_trainer_computes_the_same(method: str, tmp_path: Path, here: None) -> None:
    settings = {"lora": {}, "llama-adapter": {"length": 3, "variant": "peft", "layers": "top:2"}}.get(
        method, {"length": 3}
    )
    work = workload(tmp_path, method, **settings)
    found = rounds.alternate(
        [Entry(name, "check", work) for name in ("polyprefix", "peft-trainer")], 1, say=lambda line: None
    )
    assert rounds.same_losses(found)[0].startswith("tiny: loss of polyprefix and peft-trainer: the same")
    trained = rounds.alternate([Entry(name, "train", work) for name in ("polyprefix", "peft-trainer", "peft-trainer-grouped")], 2,
                               say=lambda line: None)  # fmt: skip
    assert not [r["error"] for r in trained if "error" in r]
    records = {r["contestant"]: r for r in rounds.medians(trained)}
    assert (
        records["polyprefix"]["padding_share"]["median"] == 0
        and records["peft-trainer"]["first_step_seconds"]["rounds"] == 2
    )
    ours, theirs = (
        next(r["losses"] for r in trained if r["contestant"] == name) for name in ("polyprefix", "peft-trainer")
    )
    assert ours[0] == pytest.approx(theirs[0], abs=1e-3)
    assert ours == pytest.approx(theirs, abs=0.1), (
        "the same curve; Adam does not see keys alike that are rotated differently"
    )


def test_machines_have_a_letter_each() -> None:
    one, other = rounds.machine(), rounds.machine() | {"processor": "another"}
    assert page.letters([one, other, one | {"time": "later"}]) == ["A", "B", "A"]
    own = one | {"environments": {"unsloth": {"unsloth": "1.0"}}}
    said = page.machine(
        {"first": {"machine": one}, "second": {"machine": other}, "third": {"machine": own}}
    ).splitlines()
    assert (
        said[0].startswith("- **A** ") and "first" in said[0] and "third" in said[0] and said[1].startswith("- **B** ")
    )
    assert said[2] == "- unsloth, in an environment of its own: unsloth 1.0"


def test_a_tool_with_other_versions_runs_in_its_own_environment(tmp_path: Path) -> None:
    assert rounds.interpreter("polyprefix") == rounds.interpreter("trl-packed") == Path(sys.executable)
    assert (
        rounds.interpreter("adapterhub-sdpa")
        == rounds.interpreter("adapterhub")
        == rounds.ROOT / ".venv-adapterhub/bin/python"
    )
    missing = Entry("unsloth", "check", Workload(name="w", model="m"))
    with mock.patch.object(rounds, "ROOT", tmp_path):
        (tmp_path / "benchmarks/environments").mkdir(parents=True)
        (tmp_path / "benchmarks/environments/unsloth.txt").touch()
        assert rounds.run_once(missing, tmp_path)["error"] == "not installed: make peers"
    pinned = {path.stem for path in (rounds.ROOT / "benchmarks/environments").glob("*.txt")}
    assert pinned <= set(worker.CONTESTANTS) and all(
        f".venv-{name}/.installed" in (rounds.ROOT / "Makefile").read_text() for name in pinned
    )


def test_packed_texts_are_kept_apart_with_lora_and_not_with_pefts_prefix(tmp_path: Path, here: None) -> None:
    pytest.importorskip("trl")
    for method, settings, verdict in (("lora", {}, "the same"), ("prefix", {"length": 3}, "DIFFERENT")):
        work = workload(tmp_path, method, **settings)
        found = rounds.alternate(
            [Entry(name, "check", work) for name in ("polyprefix", "trl-packed")], 1, say=lambda line: None
        )
        assert verdict in rounds.same_losses(found)[0]


def test_what_fails_is_a_result_and_not_asked_again(tmp_path: Path, here: None) -> None:
    work = workload(tmp_path, "prefix", length=3)
    broken = Workload(name="tiny", model=str(tmp_path / "nowhere"), rows=ROWS)
    said: list[str] = []
    found = rounds.alternate(
        [Entry("peft-trainer", "train", broken), Entry("polyprefix", "check", work)], 2, say=said.append
    )
    assert [("error" in r, r["contestant"]) for r in found] == [
        (True, "peft-trainer"),
        (False, "polyprefix"),
        (False, "polyprefix"),
    ]
    assert len(said) == 3


def test_other_losses_and_other_predictions_are_called_different() -> None:
    def result(name: str, **figures: Any) -> dict[str, Any]:
        return {"workload": "w", "setting": "same", "contestant": name, **figures}

    assert "DIFFERENT" in rounds.same_losses([result("polyprefix", loss=1.0), result("peft-trainer", loss=1.01)])[0]
    ours = result("polyprefix", log_likelihoods=[[-1.0, -2.0]])
    assert "DIFFERENT" in rounds.same_predictions([ours, result("lm-eval", log_likelihoods=[[-2.0, -1.0]])])[0]
    assert "the same" in rounds.same_predictions([ours, result("lm-eval", log_likelihoods=[[-1.0001, -2.0]])])[0]


def test_trl_computes_the_same(tmp_path: Path, here: None) -> None:
    pytest.importorskip("trl")
    work = workload(tmp_path, "prefix", length=3)
    found = rounds.alternate([Entry(name, "check", work) for name in ("polyprefix", "trl")], 1, say=lambda line: None)
    assert "the same" in rounds.same_losses(found)[0]
    trained = rounds.alternate(
        [Entry("trl", "train", w) for w in (work, work.at_own_defaults())], 1, say=lambda line: None
    )
    assert "error" not in trained[0] and "error" in trained[1], (
        "its default, gradient checkpointing, and PEFT's prefix do not go together"
    )


def test_lm_eval_predicts_the_same(tmp_path: Path, here: None) -> None:
    pytest.importorskip("lm_eval")
    work = workload(tmp_path, "none")
    found = rounds.alternate(
        [Entry(name, "evaluate", work) for name in ("polyprefix", "lm-eval")], 1, say=lambda line: None
    )
    assert not [r["error"] for r in found if "error" in r]
    assert rounds.same_predictions(found) == ["tiny: log likelihoods of polyprefix and lm-eval: the same"]
    questions = tuple(Document(doc.language, doc.text, (), ("\n",), 5) for doc in DOCUMENTS)
    asked = replace(work, documents=questions)
    written = rounds.alternate(
        [Entry(name, "evaluate", asked) for name in ("polyprefix", "lm-eval")], 1, say=lambda line: None
    )
    assert rounds.same_predictions(written) == ["tiny: answers of polyprefix and lm-eval: the same"]
    assert len(written[0]["answers"]) == len(questions)
    written[1]["answers"][0] += "!"
    assert "DIFFERENT" in rounds.same_predictions(written)[0]


def test_the_comparison_and_its_page(tmp_path: Path, here: None, monkeypatch: pytest.MonkeyPatch) -> None:
    options = compare.options_from(
        ["--rounds", "1", "--seconds", "0", "--batch", "4", "--max-steps", "2", "--methods", "prefix",
         "--out", str(tmp_path)]
    )  # fmt: skip
    monkeypatch.setitem(compare.METHODS, "prefix", ("prefix", {"length": 3}, ("peft-trainer",)))
    result = compare.run(lambda: tiny_base("llama-gqa-tied"), ROWS, {}, options)
    assert "the same" in result["agreement"][0] and result["machine"]["packages"]["torch"]
    table = page.comparison([result], "same")
    assert "peft-trainer" in table and "times" in table and page.comparison([], "own") == page.NOT_MEASURED
    assert "%" in page.ceiling([result]) and page.machine(
        {"growth": result, "levers": result, "GPU": None}
    ).splitlines()[0].startswith("- **A** ")


def test_the_gpu_benchmark_on_the_cpu(here: None) -> None:
    options = SimpleNamespace(
        shapes=["tiny"],
        lengths=[8, 30],
        device="cpu",
        dtype="float32",
        batch=4,
        rounds=2,
        seconds=0,
        max_steps=3,
        limit=300,
    )
    result = gpu.run(options)  # type: ignore[arg-type]
    assert [line.split(": ")[-1][:8] for line in result["agreement"]] == ["the same"] * 4 and not [
        r["error"] for r in result["rounds"] if "error" in r
    ]
    assert any("tokens/s" in line and "of the measured peak" in line for line in gpu.lines(result["medians"]))
    assert page.gpu(None).count(page.NOT_MEASURED.capitalize()) == 1


@pytest.mark.parametrize("axis", growth.AXES)
def test_a_point_of_each_growth(axis: str, tiny_folder: Path) -> None:
    point = growth.point(str(tiny_folder), axis, 16)
    assert point["size"] == 16 and point["seconds"] > 0


def test_levers_change_the_work_and_not_the_outcome(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared_activations, "BYTES_PER_SECOND", float("inf"))
    model = attach(tiny_base("llama-gqa-tied"), registry.build({"name": "prefix", "length": 3}))
    records = levers.measure(model, ROWS, DOCUMENTS, tmp_path, rounds=1, steps=1, batch=4)
    found = {(r["part"], r["lever"]): r for r in records}
    assert len(found) == 2 * len(levers.LEVERS) + 3
    second = found["second cell, upper third", levers.OTHERS.name]
    assert second["counted_without"]["flops"] > 1.2 * second["counted"]["flops"]
    kept = found[f"{levers.PASSES} passes, upper third", levers.LOWER.name]
    assert kept["counted_without"]["tokens"] == kept["counted"]["tokens"]
    assert kept["counted_without"]["flops"] > 1.2 * kept["counted"]["flops"]
    padded = found["training", "no padding"]
    assert padded["counted_without"]["passes"] > padded["counted"]["passes"] == 1
    shared = found["evaluation", "what texts share once a pass"]
    assert shared["counted_without"]["tokens"] >= shared["counted"]["tokens"]
    assert "| no padding | training |" in page.levers({"levers": records}) and page.levers(None) == page.NOT_MEASURED


def test_the_exponent_is_that_of_a_power_law() -> None:
    sizes = [1, 2, 4, 8, 16, 32]
    assert growth.exponent(sizes, [3 * s**1.5 for s in sizes]) == pytest.approx(1.5)
    assert growth.exponent(sizes, [5.0] * 6) == pytest.approx(0)
    assert growth.exponent([16], [1.0]) is None


def test_the_page_is_filled_between_its_marks() -> None:
    assert page.fill("a\n<!-- x -->\nold\n<!-- /x -->\nb", "x", "new\n") == "a\n<!-- x -->\nnew\n<!-- /x -->\nb"
    with pytest.raises(ValueError, match="no section 'y'"):
        page.fill("a", "y", "")
    text = page.PAGE.read_text(encoding="utf-8")
    for section in (*page.SETTINGS, "chart", "levers", "ceiling", "agreement", "gpu", "growth", "machine"):
        page.fill(text, section, "")


def test_the_page_and_its_charts_from_results(tmp_path: Path) -> None:
    pytest.importorskip("altair")
    pytest.importorskip("vl_convert")
    points = [{"size": n, "seconds": float(n), "peak_memory_bytes": 1e9} for n in (1, 2, 4, 8)]
    grown = {"label": "languages", "points": points, "time_exponent": 1.0, "memory_exponent": 0.0}
    span = {"median": 2.0, "least": 1.0, "most": 3.0, "rounds": 3}
    record = {
        "workload": "w",
        "setting": "same",
        "part": "train",
        "examples_per_second": span,
        "peak_memory_bytes": span,
    }
    records = [{**record, "contestant": name} for name in ("polyprefix", "peft-trainer")]
    for name, result in (
        ("growth.json", {"axes": {"languages": grown}}),
        ("compare-m.json", {"medians": records, "agreement": ["w: loss the same"]}),
    ):
        (tmp_path / name).write_text(json.dumps({**result, "model": "m", "machine": rounds.machine()}))
    copy = tmp_path / "page.md"
    copy.write_text(page.PAGE.read_text(encoding="utf-8"), encoding="utf-8")
    page.write(copy, tmp_path, tmp_path / "performance")
    text = copy.read_text(encoding="utf-8")
    assert "| languages | 1 | 8 | 1.00 | 0.00 |" in text and "1.00 times" in text and "- w: loss the same" in text
    assert {p.name for p in (tmp_path / "performance").iterdir()} == {"comparison.svg", "growth-languages.svg"}
