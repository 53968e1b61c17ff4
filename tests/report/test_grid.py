"""Law: runs that differ in their seed only are one cell; what is missing is named, and never becomes a number."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.report.studies import some_languages, write_cell

from polyprefix.errors import ConfigError, OutputError
from polyprefix.report.findings import finding, overall
from polyprefix.report.grid import Grid, read_grid
from polyprefix.results.files import read_result
from polyprefix.statistics.groups import GROUPINGS, group
from polyprefix.study.locks import unfinished_in

CODES = some_languages(6)


def test_seeds_are_one_cell_and_its_score_is_their_mean(tmp_path: Path) -> None:
    folders = [write_cell(tmp_path, CODES, seed=seed) for seed in (0, 1, 2)]
    grid = read_grid([tmp_path])
    (cell,) = grid.cells
    assert cell.seeds == (0, 1, 2) and grid.baseline is None and grid.missing == ()
    for code in CODES:
        values = [read_result(folder).scores[code]["accuracy"].value for folder in folders]
        assert cell.scores[code].value == pytest.approx(sum(values) / 3)


def test_one_seed_keeps_the_interval_of_its_file(tmp_path: Path) -> None:
    folder = write_cell(tmp_path, CODES)
    (cell,) = read_grid([folder]).cells
    assert cell.scores == {code: scores["accuracy"] for code, scores in read_result(folder).scores.items()}


def test_settings_that_differ_name_the_method(tmp_path: Path) -> None:
    for length in (4, 16):
        write_cell(tmp_path, CODES, settings={"length": length})
    write_cell(tmp_path, CODES, method="lora")
    write_cell(tmp_path, CODES, method="none", train_size=8)
    assert set(read_grid([tmp_path]).methods) == {"none", "prefix (length=4)", "prefix (length=16)", "lora"}


def test_tasks_of_one_name_and_other_content_have_names_of_their_own(tmp_path: Path) -> None:
    for digest in ("1234abcd5678", "ffff00001111"):
        write_cell(tmp_path, CODES, task="files/mine.yaml", task_digest=digest)
    write_cell(tmp_path, CODES, task="xnli", protocol="lm-eval")
    assert read_grid([tmp_path]).tasks == ("mine [1234abcd]", "mine [ffff0000]", "xnli (lm-eval)")


def test_methods_go_by_trained_parameters_and_models_by_size(small_grid: Grid) -> None:
    assert small_grid.methods == ("none", "soft-prompt", "prefix", "llama-adapter", "lora", "full")
    assert small_grid.models == ("tiny-a", "tiny-b") and small_grid.tasks == ("alpha", "beta")
    assert small_grid.baseline == "none" and small_grid.missing == ()
    assert len(small_grid.cells) == 24 and sum(len(cell.runs) for cell in small_grid.cells) == 44


def test_everything_that_is_missing_is_named(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_cell(tmp_path, CODES, method="lora", seed=seed)
    write_cell(tmp_path, CODES[:4], method="prefix")
    write_cell(tmp_path, CODES, task="beta", method="lora")
    damaged = write_cell(tmp_path, CODES, task="beta", method="full")
    (damaged / "predictions.parquet").write_bytes(b"not parquet")
    (tmp_path / ".beta-prefix-s0.partial").mkdir()
    failed = tmp_path / ".study" / "failed" / "beta-none-s0.json"
    failed.parent.mkdir(parents=True)
    failed.write_text(json.dumps({"error": "TrainingError: the loss is nan"}))
    missing = "\n".join(read_grid([tmp_path], unfinished=unfinished_in(tmp_path)).missing)
    for text in (
        "alpha, tiny-a, prefix: no run with seed 1", "no score in 2 of 6 languages: ", *CODES[4:],
        "beta, tiny-a: no run of prefix", "predictions.parquet: damaged", "beta-prefix-s0: started, and not finished",
        "beta-none-s0: failed: TrainingError: the loss is nan",
    ):  # fmt: skip
        assert text in missing


def test_no_result_is_an_error_that_says_so(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"no finished run to report; run something with --out"):
        read_grid([tmp_path])
    folder = write_cell(tmp_path, CODES)
    (folder / "result.json").write_text("{")
    with pytest.raises(OutputError, match=r"no finished run to report; the first of 1 says: .*damaged"):
        read_grid([tmp_path])


def test_an_unknown_baseline_names_the_nearest(small_study: Path) -> None:
    with pytest.raises(ConfigError, match="did you mean 'lora'"):
        read_grid([small_study], "lorra")
    assert read_grid([small_study], "lora").baseline == "lora"


def test_averages_leave_english_out_and_say_over_how_many(tmp_path: Path) -> None:
    folder = write_cell(tmp_path, CODES)
    (view,) = read_grid([tmp_path]).views
    scores = read_result(folder).scores
    others = [scores[code]["accuracy"].value for code in CODES if code != "eng_Latn"]
    assert view.summaries["prefix"].score.value == pytest.approx(sum(others) / len(others))
    gap = view.summaries["prefix"].transfer_gap
    assert gap and gap.value == pytest.approx(scores["eng_Latn"]["accuracy"].value - sum(others) / len(others))
    for grouping in GROUPINGS:
        members = [code for (by, _), codes in view.groups.items() if by == grouping for code in codes]
        alone = [codes for (by, _), codes in group(CODES[1:]).items() if by == grouping and len(codes) == 1]
        assert sorted([*members, *(code for codes in alone for code in codes)]) == sorted(set(CODES) - {"eng_Latn"})


def test_the_best_has_every_language(tmp_path: Path) -> None:
    write_cell(tmp_path, CODES, method="soft-prompt")
    write_cell(tmp_path, CODES[:2], method="full", model="tiny-a")
    (view,) = read_grid([tmp_path]).views
    assert view.best == {"soft-prompt"}


def found(grid: Grid) -> tuple[str, str]:
    return finding(grid, overall(grid))


def test_the_finding_is_two_sentences(small_grid: Grid, tmp_path: Path) -> None:
    first, second = found(small_grid)
    assert "has the highest average" in first and "8 languages other than English, 2 tasks, 2 models" in first
    assert "none (" in second and "Holm over all" in second and "carries over best" not in first + second
    write_cell(tmp_path, CODES)
    alone = read_grid([tmp_path])
    first, second = found(alone)
    assert "best" not in first and "holds no other method" in second
    write_cell(tmp_path, CODES[:3], method="lora")
    shutil.rmtree(next(tmp_path.glob("*prefix*")))
    write_cell(tmp_path, CODES[2:], method="prefix")
    crossed = read_grid([tmp_path])
    assert "1 of 5 languages other than English" in found(crossed)[0]
    write_cell(tmp_path, CODES, method="lora", task="beta")
    write_cell(tmp_path, CODES, method="prefix", task="beta", seed=5)
    apart = read_grid([tmp_path])
    assert "No method can be compared with the others in every task" in found(apart)[0]
