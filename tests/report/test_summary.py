"""Law: a summary holds what the files hold; what cannot be compared is named, and never becomes a number."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar

from polyprefix import languages
from polyprefix.analysis.groups import ENGLISH, UNKNOWN
from polyprefix.errors import OutputError
from polyprefix.report.plain import as_dict
from polyprefix.report.summary import summarise
from polyprefix.results.files import read_correctness, read_result

WriteRun = Callable[..., Path]

CODES = ["eng_Latn", "swh_Latn", "arb_Arab", "deu_Latn"]


def test_figures_are_those_of_the_files(write_run: WriteRun) -> None:
    base = write_run("base", CODES, 0.3, method={"name": "none"})
    folder = write_run("adapted", CODES, 0.8)
    summary = summarise(folder, base)
    scores = read_result(folder).scores
    assert {row.language.code: row.adapted for row in summary.rows} == {c: scores[c]["accuracy"] for c in CODES}
    adapted, unadapted = (read_correctness(path / "predictions.parquet") for path in (folder, base))
    overall = summary.averages[0]
    gains = [np.mean(list(adapted[code].values())) - np.mean(list(unadapted[code].values())) for code in CODES]
    assert overall.difference and overall.difference.value == pytest.approx(np.mean(gains))
    rest, english = np.mean(gains[1:]), gains[0]
    assert summary.averages[1].difference and summary.averages[1].difference.value == pytest.approx(rest)
    assert summary.carried and summary.carried.value == pytest.approx(rest / english)
    assert overall.adapted.value == pytest.approx(sum(scores[c]["accuracy"].value for c in CODES) / 4)
    assert overall.baselines["majority"].value == pytest.approx(1 / 3)
    assert summary.gap and summary.base_gap and (summary.method, summary.metric) == ("prefix", "accuracy")
    for row in summary.rows:
        code = row.language.code
        pairs = [(adapted[code][key], unadapted[code][key]) for key in adapted[code]]
        up, down = sum(a > b for a, b in pairs), sum(a < b for a, b in pairs)
        assert row.difference and row.difference.p_value == pytest.approx(
            mcnemar([[0, up], [down, 0]], exact=False, correction=True).pvalue
        )
        assert row.difference.adjusted_p >= row.difference.p_value


def test_rows_go_by_family_then_score(write_run: WriteRun) -> None:
    rows = summarise(write_run("adapted", CODES, 0.5)).rows
    keys = [(row.language.family, -row.adapted.value) for row in rows]
    assert keys == sorted(keys)


def test_english_counts_in_the_first_average_only(write_run: WriteRun) -> None:
    averages = summarise(write_run("adapted", CODES, 0.5)).averages
    assert averages[0].languages == tuple(CODES)
    assert averages[1].name == "all but English"
    for item in averages[1:]:
        assert ENGLISH not in item.languages
    for grouping in {item.grouping for item in averages} - {"languages"}:
        members = [code for item in averages if item.grouping == grouping for code in item.languages]
        assert sorted(members) == sorted(CODES[1:])
    writing = {item.name: item.languages for item in averages if item.grouping == "writing"}
    assert writing == {"Latin script": ("swh_Latn", "deu_Latn"), "other scripts": ("arb_Arab",)}


def test_every_language_has_a_place_in_each_grouping(write_run: WriteRun) -> None:
    codes = [language.code for language in languages.all_languages()]
    averages = summarise(write_run("adapted", codes, 0.5, n=3)).averages
    assert all(item.name for item in averages)
    assert [item.name for item in averages if item.name == UNKNOWN] in ([], [UNKNOWN], [UNKNOWN] * 2)


def test_without_a_base_there_is_no_difference(write_run: WriteRun) -> None:
    summary = summarise(write_run("adapted", ["swh_Latn"], 0.5))
    assert summary.gap is None and summary.base_gap is None and summary.base_run_id is None
    assert all(row.base is None and row.difference is None for row in summary.rows)
    assert [item.name for item in summary.averages][:1] == ["all languages"]


def test_what_cannot_be_paired_is_named(write_run: WriteRun) -> None:
    folder = write_run("adapted", CODES, 0.5, notes=("from the run",))
    base = write_run("base", CODES[:3], 0.5, n=20, method={"name": "none"}, model="other")
    summary = summarise(folder, base)
    assert all(row.difference is None for row in summary.rows)
    assert {row.language.code: row.base and row.base.n for row in summary.rows} == {
        "eng_Latn": 20, "swh_Latn": 20, "arb_Arab": 20, "deu_Latn": None,
    }  # fmt: skip
    assert all(item.base is None and item.difference is None for item in summary.averages)
    notes = "\n".join(summary.notes)
    assert summary.notes[0] == "from the run"
    assert "other examples (20, not 40) in Swahili" in notes
    assert "no score in German" in notes and "another model: other, not tiny" in notes


def test_another_task_is_refused(write_run: WriteRun) -> None:
    base = write_run("base", CODES, 0.5, task="xnli")
    with pytest.raises(OutputError, match="task is xnli"):
        summarise(write_run("adapted", CODES, 0.5), base)


def test_another_protocol_is_another_task(write_run: WriteRun) -> None:
    ours, base = write_run("ours", ["eng_Latn"], 0.8), write_run("base", ["eng_Latn"], 0.5, method={"name": "none"})
    theirs = write_run("theirs", ["eng_Latn"], 0.8, protocol="lm-eval")
    default = write_run("default", ["eng_Latn"], 0.8, protocol="default")
    assert summarise(theirs).task == "terms (lm-eval)" and summarise(default).task == "terms"
    assert summarise(default, base).base_run_id == "base"  # results from before protocols have no such key
    with pytest.raises(OutputError, match="lm-eval"):
        summarise(theirs, base)
    assert summarise(ours, base).base_run_id == "base"


def test_files_that_disagree_are_refused(write_run: WriteRun, tmp_path: Path) -> None:
    folder = write_run("adapted", CODES, 0.5)
    path = folder / "result.json"
    values = json.loads(path.read_text())
    values["scores"]["swh_Latn"]["accuracy"]["value"] += 0.01
    path.write_text(json.dumps(values))
    with pytest.raises(OutputError, match="accuracy of swh_Latn"):
        summarise(folder)
    del values["scores"]["swh_Latn"]
    path.write_text(json.dumps(values))
    with pytest.raises(OutputError, match=r"only one of .* has swh_Latn"):
        summarise(folder)


def test_as_dict_is_json(write_run: WriteRun) -> None:
    base = write_run("base", CODES, 0.3, method={"name": "none"})
    values = as_dict(summarise(write_run("adapted", CODES, 0.8), base))
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    row = next(row for row in values["rows"] if row["language"]["code"] == "arb_Arab")
    assert row["language"] == {"code": "arb_Arab", "name": languages.get("arb_Arab").name, "family": "Afro-Asiatic",
                               "script": "Arab", "direction": "rtl"}  # fmt: skip
    assert set(row["adapted"]) == {"value", "n", "ci95"} and len(row["difference"]["ci95"]) == 2
