"""Law: a comparison fits the terminal, hides no figure, and its CSV and JSON hold what was computed."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from rich.cells import cell_len
from rich.console import Console

from polyprefix.cli import command
from polyprefix.report.comparison import as_dict, render
from polyprefix.statistics.compare import Comparison, compare

WriteRun = Callable[..., Path]
CODES = ["eng_Latn", "swh_Latn", "arb_Arab", "zho_Hant", "uzn_Cyrl", "deu_Latn"]
METHODS = ("none", "prefix", "lora", "soft-prompt", "llama-adapter", "full")


@pytest.fixture
def folder(write_run: WriteRun) -> Path:
    for row, method in enumerate(METHODS):
        path = write_run("x" * (row + 1), CODES, 0.2 + 0.1 * row, method={"name": method})
    return path.parent


@pytest.fixture
def comparison(folder: Path) -> Comparison:
    return compare(folder, "none", resamples=300)


@pytest.mark.parametrize("width", [60, 80, 104, 160])
def test_no_line_is_too_long_and_no_figure_is_cut(comparison: Comparison, width: int) -> None:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    render(comparison, console)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert max(cell_len(line) for line in text.splitlines()) <= width
    assert "…" not in text
    for pair in comparison.settings[0].by_language:
        assert f"{100 * pair.difference.value:+.1f}" in text
    assert "Swahili" in text and "Holm" in text and "One seed" in text


def test_csv_has_one_line_a_comparison(comparison: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(comparison.to_pandas().to_csv(index=False))))
    setting = comparison.settings[0]
    pairs = (*setting.averages, *setting.by_language, *setting.by_group)
    assert len(rows) == len(pairs)
    for row, pair in zip(rows, pairs, strict=True):
        assert float(row["difference"]) == pair.difference.value
        assert float(row["p_runs_adjusted"]) == pair.adjusted_runs
        assert (row["system"], row["name"], row["p_seeds"]) == (pair.system, pair.name, "")


def test_json_holds_everything(comparison: Comparison) -> None:
    values = json.loads(json.dumps(as_dict(comparison), allow_nan=False))
    assert [s["system"] for s in values["settings"][0]["systems"]] == sorted(METHODS, key=lambda m: (m != "none", m))
    assert values["settings"][0]["by_language"][0]["significance"] == comparison.settings[0].by_language[0].significance
    assert values["corrected_over"]["by_language"] == 30


def test_the_command(folder: Path) -> None:
    run = CliRunner().invoke(command, ["compare", str(folder), "--baseline", "none", "--resamples", "200", "--csv"])
    assert run.exit_code == 0 and run.output.startswith("task,model")
    run = CliRunner().invoke(command, ["compare", str(folder), "--baseline", "none", "--resamples", "200", "--json"])
    assert run.exit_code == 0 and json.loads(run.output)["settings"]
    run = CliRunner().invoke(command, ["compare", str(folder), "--baseline", "none", "--resamples", "200"])
    assert run.exit_code == 0 and "Swahili" in run.output
