"""Law: a language that some run was trained in is in no average over other languages, and every table says which those are."""

from __future__ import annotations

import random
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console
from tests.statistics.conftest import CODES, WriteRun, answers

from polyprefix.report import comparison as compared
from polyprefix.report import run as shown
from polyprefix.report.findings import overall
from polyprefix.report.grid import read_grid
from polyprefix.report.page import write_page
from polyprefix.report.tables import as_latex, as_markdown, paper_tables, scores_frame
from polyprefix.results.table import read_table
from polyprefix.results.trained_in import TrainedIn
from polyprefix.statistics.compare import compare
from polyprefix.statistics.settings import read_settings

TRAIN = {"train": {"epochs": 1, "steps": None}}
NOTHING = {"train": {"epochs": 0, "steps": 0}}


def write_some(write_run: WriteRun, rng: random.Random, task: str) -> tuple[Path, dict[str, tuple[set[str], set[str]]]]:
    """A base model and up to four systems with source and target languages of their own; system's method -> both."""
    write_run("none", answers(0.4), task=task, source_languages=[], target_languages=[], target_size=None, **NOTHING)
    trained = {}
    for number in range(rng.randint(1, 4)):
        codes = rng.sample(CODES, len(CODES))
        sources, targets = codes[: rng.randint(1, 2)], codes[2 : 2 + rng.randint(0, 1)]
        folder = write_run(
            f"m{number}", answers(0.6, seed=number), task=task, source_languages=sources, target_languages=targets,
            target_size=50 if targets else None, **TRAIN,
        )  # fmt: skip
        trained[f"m{number}"] = set(sources), set(targets)
    return folder, trained


@pytest.mark.parametrize("seed", range(8))
def test_no_average_of_other_languages_holds_a_language_of_training(seed: int, write_run: WriteRun) -> None:
    folder, trained = write_some(write_run, random.Random(seed), "law")
    learned = {code for sources, targets in trained.values() for code in sources | targets}
    others = set(CODES) - learned
    examples = read_table([folder]).examples
    for run_id, rows in examples.groupby("run_id"):
        sources, targets = trained.get(str(run_id).split("-")[1], (set(), set()))
        for code, status in zip(rows["language"], rows["training"], strict=True):
            expected = "source" if code in sources else "few-shot" if code in targets else "zero-shot"
            assert status == (expected if sources else "untrained")
    [found] = compare(folder, "none", resamples=100, mixed=False).settings
    for pair in found.averages:
        assert set(pair.languages) == (others or set(CODES))
        assert pair.name == (
            "languages of training, for no other was tested" if not others else "zero-shot languages"
        ) or (learned == {"eng_Latn"} and pair.name == "all but English")
    assert all(not learned & set(codes) for codes in found.groups.values()) or not others
    [view] = read_grid([folder]).views
    for row in view.averages:
        assert row.name == "all languages" or not learned & set(row.languages)
    [setting] = read_settings(read_table([folder]))
    mean = (
        setting.table.examples[lambda e: e["language"].isin(others or CODES)]
        .groupby(["run_id", "language"])["accuracy"]
        .mean()
    )
    for system in found.systems:
        run_id = setting.systems[system.system][0]
        assert system.score.value == pytest.approx(mean[run_id].mean())


@pytest.mark.parametrize("seed", range(4))
def test_the_gap_is_measured_from_the_sources_of_each_system(seed: int, write_run: WriteRun) -> None:
    folder, trained = write_some(write_run, random.Random(100 + seed), "gap")
    [found] = compare(folder, "none", resamples=100, mixed=False).settings
    [setting] = read_settings(read_table([folder]))
    learned = {code for sources, targets in trained.values() for code in sources | targets}
    for system in found.systems:
        if system.system == "none":
            one = {frozenset(sources) for sources, _ in trained.values()}
            assert (system.transfer_gap is None) == (len(one) > 1 or learned >= set(CODES))
            continue
        scores = setting.table.runs.at[setting.systems[system.system][0], "scores"]
        values = {code: scores[code]["accuracy"].value for code in CODES}
        sources, others = trained[system.system][0], set(CODES) - learned
        source = sum(values[code] for code in sources) / len(sources)
        if not others:
            assert system.transfer_gap is None
            continue
        assert system.source == pytest.approx(source)
        assert system.transfer_gap is not None
        assert system.transfer_gap.value == pytest.approx(source - sum(values[c] for c in others) / len(others))


def test_tables_tell_source_few_shot_and_zero_shot(write_run: WriteRun, tmp_path: Path) -> None:
    more: dict[str, Any] = {"source_languages": ["eng_Latn"], "target_languages": ["swh_Latn"], "target_size": 50}
    write_run("none", answers(0.4), source_languages=["eng_Latn"], target_languages=[], target_size=None, **NOTHING)
    folder = write_run("prefix", answers(0.6), **more, **TRAIN)
    grid = read_grid([folder])
    run_id = next(run for run in read_table([folder]).runs.index if "prefix" in run)
    out = Console(file=StringIO(), width=160)
    shown.render(shown.view_of(grid, run_id), out)
    compared.render(compare(folder, "none", resamples=100, mixed=False), out)
    text = out.file.getvalue()  # type: ignore[attr-defined]
    assert "Swahili [few-shot, 50 rows]" in text and "English [source]" in text and "German [" not in text
    assert text.count("zero-shot languages") >= 2 and "English, Swahili, the languages of training, count" in text
    rows = {row["language"]["code"]: row["training"] for row in shown.as_dict(shown.view_of(grid, run_id))["rows"]}
    assert rows["swh_Latn"] == "few-shot, 50 rows" and rows["deu_Latn"] == "zero-shot" and rows["eng_Latn"] == "source"
    frame = scores_frame(grid)
    told = frame[frame["method"] == "prefix"].set_index("language")["training"].to_dict()
    assert told == rows and set(frame[frame["method"] == "none"]["training"]) == {"untrained"}
    table = next(one for one in paper_tables(grid) if one.name.startswith("languages"))
    for written in (as_latex(table), as_markdown(table)):
        assert "few-shot, 50 rows" in written.replace("\\", "") and "zero-shot" in written
    write_page(grid, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text(encoding="utf-8")
    assert (
        "[few-shot, 50 rows]" in page and "other than English" not in page and "Transfer from English, Swahili" in page
    )
    whole = overall(grid)
    assert whole is not None and len(whole.columns) == len(CODES) - 2


def test_runs_of_earlier_versions_were_trained_in_english() -> None:
    one = TrainedIn.of({"train": {"epochs": 4}})
    assert [one.status(code) for code in ("eng_Latn", "swh_Latn")] == ["source", "zero-shot"]
    assert TrainedIn.of({"train": {"epochs": 0, "steps": 0}}).status("eng_Latn") == "untrained"
    assert TrainedIn.of({"train": {"epochs": None, "steps": 0}, "adapter": "a"}).status("eng_Latn") == "source"


def test_old_and_new_runs_of_one_system_are_one_system(write_run: WriteRun) -> None:
    """A setting that an earlier version did not have makes no other system where it means what was done then."""
    write_run("prefix", answers(0.6), seed=0, **TRAIN)
    later = {
        "source_languages": ["eng_Latn"],
        "source_sampling": "size",
        "source_temperature": 5.0,
        "target_languages": [],
    }
    folder = write_run("prefix", answers(0.6), seed=1, **later, target_size=None, **TRAIN)
    [setting] = read_settings(read_table([folder]))
    assert list(setting.systems) == ["prefix"] and len(setting.systems["prefix"]) == 2


def test_sources_are_part_of_the_name_where_they_differ(write_run: WriteRun) -> None:
    write_run("prefix", answers(0.6), **TRAIN)
    folder = write_run("prefix", answers(0.6), source_languages=["hin_Deva", "swh_Latn"], **TRAIN)
    [setting] = read_settings(read_table([folder]))
    assert set(setting.systems) == {"prefix (source_languages=eng_Latn)", "prefix (source_languages=hin_Deva+swh_Latn)"}
