"""Law: the report and `polyprefix compare` show the same figures of the same runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from tests.report.studies import FAST, some_languages, write_cell

from polyprefix.report.findings import finding, overall
from polyprefix.report.format import interval, percent, signed
from polyprefix.report.grid import read_grid
from polyprefix.report.view import View
from polyprefix.statistics.compare import compare as compare_runs

CODES = some_languages(8)


def test_views_are_the_comparison_of_the_folder(small_views: tuple[View, ...], small_study: Path) -> None:
    found = compare_runs(small_study, "none", resamples=FAST)
    settings = {(setting.task, setting.model): setting for setting in found.settings}
    assert len(settings) == len(small_views) == 4
    for view in small_views:
        theirs = settings[view.task, view.model]
        assert list(view.differences.values()) == list(theirs.by_language)
        assert list(view.mean_differences.values()) == list(theirs.averages)
        for summary in theirs.systems:
            assert view.summaries[summary.system] == replace(summary, regression=None)
        assert theirs.seeds == (0, 1)


def test_seeds_are_a_level_of_their_own(small_views: tuple[View, ...]) -> None:
    for pair in small_views[0].differences.values():
        assert pair.difference.p_seeds is not None and pair.adjusted_seeds is not None
        assert pair.difference.p_seeds >= pair.difference.p_runs - 1e-12


def test_one_certain_language_among_many_is_found(tmp_path: Path) -> None:
    """No p-value has a floor that a correction over 200 languages cannot pass."""
    codes = some_languages(205)
    write_cell(tmp_path, codes, method="none", n=40, share=0.5)
    write_cell(tmp_path, codes, method="prefix", n=40, share=0.5, shares={codes[7]: 1.0})
    (view,) = read_grid([tmp_path]).views
    assert view.differences["prefix", codes[7]].significance == "*"
    assert sum(bool(pair.significance) for pair in view.differences.values()) <= 2


def test_the_finding_on_one_task_is_the_average_of_its_table(tmp_path: Path) -> None:
    for method in ("none", "lora"):
        for seed in (0, 1):
            write_cell(tmp_path, CODES, method=method, seed=seed)
    grid = read_grid([tmp_path])
    (view,) = grid.views
    first, second = finding(grid, overall(grid))
    score, change = view.summaries["lora"].score, view.mean_differences["lora"].difference
    assert f"{percent(score.value)}% {interval(score.ci95)}" in first
    assert f"none ({signed(change.value)} points {interval(change.ci95, with_sign=True)})" in second
    assert ("significantly higher than none" in second) == bool(view.mean_differences["lora"].significance)


def test_the_finding_names_what_was_not_run_everywhere(tmp_path: Path) -> None:
    for task in ("alpha", "beta"):
        write_cell(tmp_path, CODES, method="none", task=task, share=0.3)
        write_cell(tmp_path, CODES, method="lora", task=task, share=0.5)
    write_cell(tmp_path, CODES, method="full", task="beta", share=0.9)
    write_cell(tmp_path, CODES, method="soft-prompt", task="beta", share=0.1)
    grid = read_grid([tmp_path])
    first, second = finding(grid, overall(grid))
    assert first.startswith("lora has the highest average of the 2 methods that every task and model has")
    assert (
        "not in that comparison: soft-prompt, full; full has the highest average in 1 of the 1 where it was." in second
    )


def test_what_cannot_be_compared_is_said_and_still_shown(tmp_path: Path) -> None:
    write_cell(tmp_path, CODES, method="prefix", seed=0)
    write_cell(tmp_path, CODES, method="lora", seed=1)
    grid = read_grid([tmp_path])
    (view,) = grid.views
    assert set(view.summaries) == {"prefix", "lora"} and view.differences == {} and view.mean_differences == {}
    assert "no seed in common" in view.left_out[0] and overall(grid) is None


def test_an_ablation_with_one_seed_takes_no_seeds_from_the_finding(tmp_path: Path) -> None:
    for seed in (0, 1):
        write_cell(tmp_path, CODES, method="lora", seed=seed)
        write_cell(tmp_path, CODES, method="full", seed=seed)
        write_cell(tmp_path, CODES, method="full", seed=seed, task="beta")
        write_cell(tmp_path, CODES, method="lora", seed=seed, task="beta")
    write_cell(tmp_path, CODES, method="lora", settings={"rank": 2})
    grid = read_grid([tmp_path])
    whole = overall(grid)
    assert whole and whole.answers.seeds == (0, 1) and len(whole.ranked) == 2
    assert "not known" not in finding(grid, whole)[1]
