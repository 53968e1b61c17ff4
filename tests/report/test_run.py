"""Law: one run is a grid with one cell: the terminal, `--json` and the page show the figures of its files, and narrow terminals lose
columns, never digits."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from rich.cells import cell_len
from rich.console import Console
from statsmodels.stats.contingency_tables import mcnemar
from tests.report.test_page import Page

from polyprefix import languages
from polyprefix.errors import OutputError
from polyprefix.report.format import interval, percent, signed
from polyprefix.report.grid import grid_of, read_grid
from polyprefix.report.page import write_page
from polyprefix.report.run import RunView, as_dict, render, view_of
from polyprefix.results.files import read_result
from polyprefix.results.table import read_table, table_of
from polyprefix.statistics.groups import ENGLISH, group

WriteRun = Callable[..., Path]
CODES = ["eng_Latn", "swh_Latn", "arb_Arab", "deu_Latn", "fra_Latn"]


@pytest.fixture
def folders(write_run: WriteRun) -> list[Path]:
    base = write_run("base", CODES, 0.2, method={"name": "none"})
    return [write_run("adapted", CODES, 0.9, notes=("[bold]not markup[/bold]",)), base]


def of(folders: list[Path]) -> RunView:
    return view_of(read_grid(folders), folders[0].name)


def printed(shown: RunView, width: int) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    render(shown, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_figures_are_those_of_the_files(folders: list[Path]) -> None:
    shown, scores = of(folders), read_result(folders[0]).scores
    assert {code: score for code, score, _, _ in shown.rows} == {c: scores[c]["accuracy"] for c in CODES}
    examples = read_table(folders).examples
    wide = examples.pivot(index=["language", "example_id"], columns="run_id", values="accuracy")
    for code, _, _, pair in shown.rows:
        one = wide.loc[code]
        up, down = (one["adapted"] > one["base"]).sum(), (one["adapted"] < one["base"]).sum()
        assert pair and pair.difference.p_runs == pytest.approx(
            mcnemar([[0, up], [down, 0]], exact=False, correction=True).pvalue
        )
        assert pair.adjusted_runs >= pair.difference.p_runs
    gains = (wide["adapted"] - wide["base"]).groupby("language").mean()[CODES]
    (_, score, _, whole), (_, _, _, others), *_ = shown.averages()
    assert score.value == pytest.approx(np.mean([scores[c]["accuracy"].value for c in CODES]))
    assert whole and whole.difference.value == pytest.approx(gains.mean())
    assert others and others.difference.value == pytest.approx(gains.iloc[1:].mean())
    assert shown.transfer_ratio and shown.transfer_ratio.value == pytest.approx(gains.iloc[1:].mean() / gains.iloc[0])
    assert [name for name, _ in shown.gaps()] == ["adapted", "base"]


def test_rows_go_by_family_then_score(folders: list[Path]) -> None:
    keys = [(languages.get(code).family, -score.value) for code, score, _, _ in of(folders).rows]
    assert keys == sorted(keys)


def test_english_counts_in_the_first_average_only_and_a_language_alone_is_no_group(folders: list[Path]) -> None:
    averages = [one for one, *_ in of(folders).averages()]
    assert [one.name for one in averages[:2]] == ["all languages", "all but English"]
    assert averages[0].languages == tuple(CODES)
    assert all(ENGLISH not in one.languages for one in averages[1:])
    wanted = {key: codes for key, codes in group(CODES[1:]).items() if len(codes) > 1}
    assert {(one.grouping, one.name): one.languages for one in averages[2:]} == wanted
    assert averages[0].baselines["majority"] == (pytest.approx(1 / 3), 5)


def test_without_a_base_model_there_is_no_difference(folders: list[Path]) -> None:
    shown = of(folders[:1])
    assert all(base is None and pair is None for _, _, base, pair in shown.rows)
    text = printed(shown, 80)
    assert "difference" not in text and "base " not in text
    assert as_dict(shown)["base_run_id"] is None


def test_what_cannot_be_compared_is_named_and_still_shown(write_run: WriteRun) -> None:
    base = write_run("base", CODES[:3], 0.5, n=20, method={"name": "none"})
    shown = of([write_run("adapted", CODES, 0.5, notes=("from the run",)), base])
    assert shown.notes[0] == "from the run" and "2 of 5 languages left out" in "\n".join(shown.notes)
    assert {code: pair is None for code, _, _, pair in shown.rows} == {code: code not in CODES[:3] for code in CODES}


def test_files_that_disagree_are_refused(folders: list[Path]) -> None:
    path = folders[0] / "result.json"
    values = json.loads(path.read_text())
    values["scores"]["swh_Latn"]["accuracy"]["value"] += 0.01
    path.write_text(json.dumps(values))
    with pytest.raises(OutputError, match="accuracy of swh_Latn"):
        read_grid(folders[:1])
    del values["scores"]["swh_Latn"]
    path.write_text(json.dumps(values))
    with pytest.raises(OutputError, match=r"only one of .* has swh_Latn"):
        read_grid(folders[:1])


def test_as_dict_is_json(folders: list[Path]) -> None:
    values = as_dict(of(folders))
    assert json.loads(json.dumps(values, allow_nan=False)) == values
    row = next(row for row in values["rows"] if row["language"]["code"] == "arb_Arab")
    assert row["language"] == {"code": "arb_Arab", "name": languages.get("arb_Arab").name, "family": "Afro-Asiatic",
                               "script": "Arab", "direction": "rtl"}  # fmt: skip
    assert set(row["adapted"]) == {"value", "n", "ci95"} and len(row["difference"]["ci95"]) == 2
    assert row["difference"]["significance"] == "*" and values["base_run_id"] == "base"


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_line_is_too_long_and_no_figure_is_cut(folders: list[Path], width: int) -> None:
    shown = of(folders)
    text = printed(shown, width)
    assert max(cell_len(line) for line in text.splitlines()) <= width and "…" not in text
    for _, score, _, pair in shown.rows:
        assert pair
        change = signed(pair.difference.value)
        assert re.search(rf"{re.escape(percent(score.value))}\b.*{re.escape(change)}", text)


def test_80_columns_show_intervals_and_significance(folders: list[Path]) -> None:
    shown = of(folders)
    text = printed(shown, 80)
    _, score, _, pair = next(row for row in shown.rows if row[0] == "swh_Latn")
    assert pair
    line = next(line for line in text.splitlines() if line.startswith("  Swahili"))
    for figure in ("Latn", "40", percent(score.value), interval(score.ci95), signed(pair.difference.value),
                   interval(pair.difference.ci95, with_sign=True)):  # fmt: skip
        assert figure in line
    assert line.rstrip().endswith("*") and "B1: baseline, character n-grams" in text and "by family" in text
    assert "[bold]not markup[/bold]" in text
    wide = printed(shown, 120)
    assert "swh_Latn" in wide and "majority" in wide and "B1" not in wide


def test_the_page_of_one_run_has_all_of_it(folders: list[Path], tmp_path: Path) -> None:
    write_page(read_grid(folders), tmp_path / "new" / "report.html")
    page = Page((tmp_path / "new" / "report.html").read_text(encoding="utf-8"))
    shown = of(folders)
    for one, score, base, pair in shown.averages():
        assert base and pair
        for figure in (one.name, interval(score.ci95), interval(base.ci95), interval(pair.difference.ci95, True)):
            assert figure in page.text
    for fact in ("163,840 of 268,098,176 (0.061%)", "1 min 15 s", "2.5 GB", "method.name", "packages.torch", "2.13",
                 "baseline: majority", "[bold]not markup[/bold]"):  # fmt: skip
        assert fact in page.text
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="cannot be written"):
        write_page(read_grid(folders), tmp_path / "file" / "report.html")


def test_results_in_memory_have_the_page_of_their_files(folders: list[Path], tmp_path: Path) -> None:
    results = [(read_result(path), pq.read_table(path / "predictions.parquet").to_pandas()) for path in folders]
    grid = grid_of(table_of(results))
    write_page(grid, tmp_path / "memory.html")
    assert as_dict(view_of(grid, "adapted")) == as_dict(of(folders))
    assert "adapted" in Page((tmp_path / "memory.html").read_text(encoding="utf-8")).text
