"""The learning rates on the page of methods are those of the kept cells."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from polyprefix.results.files import TRAIN_LOG, read_result
from polyprefix.results.log import read_jsonl

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "methods.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([\w-]+) \| (\**[\d.]+: -[^|]*\|[^|]*\|[^|]*)\|$", PAGE, re.MULTILINE)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row[0])
def test_figures_are_those_of_the_cells_and_the_bold_one_is_the_best(row: tuple[str, str]) -> None:
    method, cells = row
    found = {}
    for folder in sorted((ROOT / "studies" / "results" / "methods").iterdir()):
        config = read_result(folder).config
        points = (
            [r for r in read_jsonl(folder / TRAIN_LOG) if "validation_log_likelihood" in r]
            if config["train"]["steps"]
            else []
        )
        if config["method"]["name"] == method and len(points) > 1:
            last = points[-1]
            found[config["train"]["learning_rate"]] = (last["validation_log_likelihood"], last["validation_accuracy"])
    shown = re.findall(r"(\**)([\d.]+): (-[\d.]+), (\d+)", cells)
    assert {float(rate): (float(value), int(share)) for _, rate, value, share in shown} == {
        rate: (pytest.approx(value, abs=0.0051), round(100 * share)) for rate, (value, share) in found.items()
    }
    (bold,) = [float(rate) for mark, rate, *_ in shown if mark]
    assert found[bold] == max(found.values())


def test_the_table_is_there() -> None:
    assert len(ROWS) == 4
