"""Law: `calibrate` and `verdict` say of kept runs what the statistics say, as a table, JSON and CSV, and refuse mistakes in one line."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from pathlib import Path

import pytest

KEPT = Path(__file__).parents[1] / "studies" / "results" / "small"
BASE, LORA = (KEPT / f"sib200-{name}" for name in ("none-gemma-3-270m-s0-6e3b3d03", "lora-gemma-3-270m-s0-3c220e63"))
Command = Callable[..., tuple[int, str, str]]


def test_calibrate_shows_both_sides(polyprefix: Command) -> None:
    status, out, err = polyprefix("calibrate", BASE)
    assert status == 0, err
    assert "raw 37.3, batch-calibrated 53.3" in out and "not kept, nothing is scaled" in out
    _, out, _ = polyprefix("calibrate", BASE, "--json")
    (system,) = json.loads(out)["systems"]
    assert system["languages"][0]["language"] == "eng_Latn" and system["calibration"] == "batch"
    _, out, _ = polyprefix("calibrate", BASE, LORA, "--csv", "--calibration", "prior")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 8 and {row["calibration"] for row in rows} == {"prior"}


def test_verdict_shows_verdicts_thresholds_and_predictions(polyprefix: Command) -> None:
    status, out, err = polyprefix("verdict", LORA, "--base", BASE, "--accuracy", 80)
    assert status == 0, err
    assert "4 clearly above" in out and "the run kept no validation: 204 answers" in " ".join(out.split())
    _, out, _ = polyprefix("verdict", LORA, "--base", BASE, "--accuracy", 80, "--json")
    found = json.loads(out)
    assert {one["verdict"] for one in found["systems"][0]["languages"]} == {"clearly above"}
    english = found["abstention"][0]["prices"]["eng_Latn"]
    assert english["accuracy"] >= 0.8 and english["kept"] >= 20
    _, out, _ = polyprefix("verdict", KEPT / "terms-none-gemma-3-270m-s0-b0b9133e", "--untested", "xh, gn", "--csv")
    kinds = [(row["language"], row["kind"]) for row in csv.DictReader(io.StringIO(out)) if row["kind"] == "predicted"]
    assert kinds == [("xho_Latn", "predicted"), ("grn_Latn", "predicted")]


def test_a_threshold_that_nothing_reaches_is_said(polyprefix: Command) -> None:
    status, out, _ = polyprefix("verdict", BASE, "--accuracy", 100)
    assert status == 0 and "no threshold gives that" in out


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("calibrate", BASE, "--calibration", "bach"), "did you mean 'batch'"),
        (("calibrate", BASE, "--json", "--csv"), "choose one"),
        (("calibrate", KEPT / "xquad-none-gemma-3-270m-s0-644c7ce0"), "generated, not chosen"),
        (("calibrate", BASE, "--calibration", "pmi"), "kept no pmi scores"),
        (("verdict", BASE, "--margin", 200), "margin 2.0"),
        (("verdict", BASE, "--accuracy", 0), "wanted accuracy 0.0"),
        (("verdict", BASE, "--untested", "swahilli"), "swahilli"),
        (("verdict", KEPT / "nowhere"), "no such folder"),
        (("verdict", BASE, "--json", "--csv"), "choose one"),
        (("verdict", BASE, "--baseline", "lor"), "baseline 'lor'"),
        (("compare", KEPT, "--baseline", "none", "--calibration", "bach"), "did you mean 'batch'"),
    ],
)
def test_mistakes_are_one_line(polyprefix: Command, words: tuple[object, ...], said: str) -> None:
    status, out, err = polyprefix(*words)
    lines = [line for line in err.splitlines() if line.startswith("polyprefix: ")]
    assert status == 2 and not out and len(lines) == 1 and said in lines[0], err
