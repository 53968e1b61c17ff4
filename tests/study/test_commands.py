"""The commands: a study from a file is run, looked at, reported and planned; mistakes and failures have their exit status."""

from __future__ import annotations

import csv
import dataclasses
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.docs.pages import ROOT
from tests.study.studies import write

import polyprefix.study.worker as attempt
from polyprefix.models import embedded
from polyprefix.results.files import find_results, read_predictions, read_result

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def file(tmp_path: Path, tiny_folder: Path) -> Path:
    (tmp_path / "model").symlink_to(tiny_folder)
    return write(tmp_path, axes={"method": ["none", "prefix"]}, seeds=[0, 1])


def test_a_study_from_file_to_page(polyprefix: Command, file: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    status, printed, err = polyprefix("study", "run", file, "--out", out)
    assert status == 0 and "3 run, 0 there already, 0 failed" in printed, err
    assert len(find_results(out)) == 3
    status, printed, _ = polyprefix("study", "status", file, "--out", out, "--json")
    assert status == 0 and json.loads(printed)["counts"] == {"main": {"done": 3}} and json.loads(printed)["complete"]
    assert "complete" in polyprefix("study", "status", file, "--out", out)[1]
    status, printed, err = polyprefix("study", "report", file, "--out", out)
    assert status == 0 and "prefix" in printed and (out / "report.html").is_file(), err
    status, printed, err = polyprefix("study", "run", file, "--out", out)
    assert status == 0 and "0 run, 3 there already" in printed


def test_a_plan_says_how_many_of_its_cells_have_no_estimate(
    polyprefix: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A task of one's own where there is no tokenizer to measure it with: no time is not a time of nothing."""
    monkeypatch.setattr(embedded, "cached", lambda model: False)
    shutil.copytree(ROOT / "examples" / "things", tmp_path / "things")
    grid = {"model": "gemma-3-270m", "method": "prefix", "languages": []}
    file = write(tmp_path, base=grid, axes={"task": [str(tmp_path / "things")]})
    assert "1 cells, 1 of unknown time; 0 do not fit" in polyprefix("study", "plan", file)[1].replace("\n", " ")
    file = write(tmp_path, base=grid, axes={"task": [str(tmp_path / "things"), "terms"]})
    printed = polyprefix("study", "plan", file, "--device", "h100")[1].replace("\n", " ")
    assert "one after the other on h100, 1 of unknown time" in printed


def test_kept_runs_are_the_runs_without_adapters_and_texts(polyprefix: Command, file: Path, tmp_path: Path) -> None:
    out, kept = tmp_path / "runs", tmp_path / "kept"
    status, _, err = polyprefix("study", "keep", file, "--out", out, "--to", kept)
    assert status == 2 and "no finished cell" in err
    assert polyprefix("study", "run", file, "--out", out)[0] == 0
    status, printed, err = polyprefix("study", "keep", file, "--out", out, "--to", kept)
    assert status == 0 and "3 runs" in printed, err
    assert not list(kept.rglob("*.safetensors"))
    before = sorted(out.rglob("*"))
    status, _, err = polyprefix("study", "keep", file, "--out", out, "--to", out)
    assert status == 2 and "holds the runs themselves" in err and sorted(out.rglob("*")) == before
    status, _, err = polyprefix("study", "keep", file, "--out", out, "--to", kept, "--texts", "term")
    assert status == 2 and "--texts term: no such task" in err and "terms" in err
    for run, copy in zip(find_results(out), find_results(kept), strict=True):
        assert read_result(run) == read_result(copy) and run.name == copy.name
        (said, correct), (left, same) = (read_predictions(folder / "predictions.parquet") for folder in (run, copy))
        assert correct == same and [dataclasses.replace(p, text="") for p in said] == left and any(p.text for p in said)
    assert "0 run, 3 there already" in polyprefix("study", "run", file, "--out", kept)[1]
    figures = [polyprefix("study", "report", file, "--out", folder)[1] for folder in (out, kept)]
    assert figures[0].replace(str(out), "") == figures[1].replace(str(kept), "")
    polyprefix("study", "keep", file, "--out", out, "--to", kept, "--texts", "terms")
    assert all(p.text for p in read_predictions(find_results(kept)[0] / "predictions.parquet")[0])


def test_status_shows_the_figures_of_the_report_which_names_what_is_missing(
    polyprefix: Command, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, run_on = tmp_path / "runs", attempt.run_on

    def fail_once(inputs: Any, config: Any, *rest: Any, **more: Any) -> Path:
        if config.seed == 1 and config.trains:
            raise RuntimeError("out of cheese")
        return run_on(inputs, config, *rest, **more)

    monkeypatch.setattr(attempt, "run_on", fail_once)
    assert polyprefix("study", "run", file, "--out", out)[0] == 1
    for folder in find_results(out)[:1]:  # a run of nobody's study
        shutil.copytree(folder, out / "stranger")
    figures = [
        polyprefix("study", what, file, "--out", out)[1].split("has the highest average")[1]
        for what in ("status", "report")
    ]
    assert figures[0] == figures[1] and "1 entry is missing or failed" in figures[0]
    page = (out / "report.html").read_text(encoding="utf-8")
    assert "failed: RuntimeError: out of cheese" in page and "stranger" not in page
    assert polyprefix("report", out, "--out", tmp_path / "all.html")[0] == 0
    status, printed, _ = polyprefix(
        "study", "report", file, "--out", out, "--format", "csv", "--to", tmp_path / "files"
    )
    assert status == 0 and "wrote 1 files" in printed
    rows = list(csv.DictReader((tmp_path / "files" / "scores.csv").read_text(encoding="utf-8").splitlines()))
    assert {row["method"] for row in rows} == {"none", "prefix"} and {row["seeds"] for row in rows} == {"1"}
    status, _, err = polyprefix("study", "report", file, "--out", out, "--baseline", "prefx")
    assert status == 2 and "did you mean 'prefix'" in err


def test_runs_that_choose_settings_are_no_methods_of_the_report(
    polyprefix: Command, tmp_path: Path, tiny_folder: Path
) -> None:
    (tmp_path / "model").symlink_to(tiny_folder)
    values = {"prefix": {"train.learning_rate": [1e-2, 3e-2]}}
    tune = {"base": {"languages": [], "eval_size": 1}, "values": values}
    file = write(tmp_path, axes={"method": ["none", "prefix"]}, seeds=[0], tune=tune)
    out = tmp_path / "runs"
    status, _, err = polyprefix("study", "run", file, "--out", out)
    assert status == 0, err
    for words in (("study", "report", file, "--out", out), ("report", out, "--out", out / "report.html")):
        assert polyprefix(*words)[0] == 0
        page = (out / "report.html").read_text(encoding="utf-8")
        assert "learning_rate=" not in page and "no scores" not in page and "Nothing: every method" in page
    assert polyprefix("compare", out, "--baseline", "none", "--resamples", "100")[0] == 0


def test_a_report_calls_systems_what_the_study_calls_them_and_may_be_of_one_part(
    polyprefix: Command, tmp_path: Path, tiny_folder: Path
) -> None:
    (tmp_path / "model").symlink_to(tiny_folder)
    method = {"none": None, "mine": {"method": {"name": "prefix", "length": 2}}}
    parts = {"length": {"axes": {"method": ["prefix"], "method.length": [2, 3]}}}
    file, out = write(tmp_path, axes={"method": method}, seeds=[0], parts=parts), tmp_path / "runs"
    status, _, err = polyprefix("study", "run", file, "--out", out, "--part", "length")
    assert status == 0 and len(find_results(out)) == 2, err
    assert polyprefix("study", "status", file, "--out", out)[1].count("complete") == 0
    for parts, expected in ((["length"], {"prefix (length=2)", "prefix (length=3)"}), (["main"], {"mine"})):
        words = [word for part in parts for word in ("--part", part)]
        _, printed, err = polyprefix(
            "study", "report", file, "--out", out, "--format", "csv", "--to", tmp_path / "f", *words
        )
        rows = list(csv.DictReader((tmp_path / "f" / "scores.csv").read_text(encoding="utf-8").splitlines()))
        assert {row["method"] for row in rows} == expected, (printed, err)
    status, _, err = polyprefix("study", "plan", file, "--part", "lenght")
    assert status == 2 and "did you mean 'length'" in err


def test_a_failure_is_exit_status_1_and_is_named(
    polyprefix: Command, file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> Path:
        raise RuntimeError("out of cheese")

    monkeypatch.setattr(attempt, "run_on", fail)
    status, printed, _ = polyprefix("study", "run", file, "--out", tmp_path / "runs")
    assert status == 1 and "3 failed" in printed and "RuntimeError: out of cheese" in printed
    assert "out of cheese" in polyprefix("study", "status", file, "--out", tmp_path / "runs")[1]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("run", "nothing.yaml"), "no such file"),
        (("status", "nothing.yaml"), "no such file"),
        (("report", "{file}"), "no finished cell"),
        (("plan", "{file}", "--device", "h1000"), "did you mean 'h100'"),
        (("run", "{file}", "--track", "wand"), "did you mean 'wandb'"),
    ],
)
def test_mistakes_are_one_line(
    polyprefix: Command, file: Path, tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    status, _, err = polyprefix("study", *(w.format(file=file) for w in words), "--out", tmp_path / "runs")
    assert status == 2 and said in err.splitlines()[-1] and err.splitlines()[-1].startswith("polyprefix: ")
