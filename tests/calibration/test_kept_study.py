"""Law: batch calibration of the kept study's answers gives the figures that are published; raw scores stay what they are."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from polyprefix.calibration.answers import CALIBRATIONS
from polyprefix.calibration.probabilities import calibrated, dirichlet_mean
from polyprefix.calibration.table import CALIBRATED, answers_by_run, metric_name
from polyprefix.errors import ConfigError
from polyprefix.results.table import ResultsTable, read_table
from polyprefix.statistics.calibration import calibrations
from polyprefix.statistics.compare import compare

KEPT = Path(__file__).parents[2] / "studies" / "results" / "small"
THREE = "sib200-none-gemma-3-270m-s0-6e3b3d03"
"""The base model in English, Swahili, Thai and Urdu, 204 sentences each."""
MANY = "sib200-none-gemma-3-270m-s0-a05ad0bc"
"""The base model in English and 59 languages, 10 sentences each."""


@cache
def table(*runs: str) -> ResultsTable:
    return read_table([KEPT / run for run in runs])


def averages(run: str, calibration: str) -> tuple[float, float]:
    """Raw and calibrated, over languages other than English, in points."""
    scores = table(run).with_calibration(calibration).runs.at[run, "scores"]
    others = [one for code, one in scores.items() if code != "eng_Latn"]
    name = metric_name("accuracy", calibration)  # type: ignore[arg-type]
    return tuple(round(100 * float(np.mean([one[m].value for one in others])), 1) for m in ("accuracy", name))  # type: ignore[return-value]


def test_the_published_figures() -> None:
    assert averages(THREE, "batch") == (37.3, 53.3)
    assert averages(THREE, "batch-unshrunken") == (37.3, 53.4)
    assert averages(MANY, "batch-unshrunken") == (41.7, 48.6)
    assert averages(MANY, "batch") == (41.7, 51.0)


def test_the_pseudo_count_alone_gives_the_figure_of_59_languages() -> None:
    """What the guard against texts of one label costs where there are ten: half a point."""
    answers = answers_by_run(table(MANY))[0][MANY]
    others = answers.priors("prior")
    right = [
        (
            calibrated(ll, dirichlet_mean(answers.means[code], len(ll), others[code])).argmax(1)
            == answers.targets[code]
        ).mean()
        for code, ll in answers.log_likelihoods.items()
        if code != "eng_Latn"
    ]
    assert round(100 * float(np.mean(right)), 1) == 51.5


def test_raw_scores_stay_beside_calibrated_ones() -> None:
    raw, done = table(THREE), table(THREE).with_calibration("batch")
    assert done.runs["metric"].tolist() == ["accuracy, batch-calibrated"]
    for code, scores in raw.runs.at[THREE, "scores"].items():
        assert done.runs.at[THREE, "scores"][code]["accuracy"] == scores["accuracy"]
    assert done.examples["prediction"].tolist() == raw.examples["prediction"].tolist()
    assert (done.examples[CALIBRATED] != done.examples["prediction"]).any()
    means = done.examples.groupby("language")["accuracy, batch-calibrated"].mean()
    for code, scores in done.runs.at[THREE, "scores"].items():
        assert scores["accuracy, batch-calibrated"].value == pytest.approx(means[code])


def test_texts_of_one_class_in_the_kept_study_lose_little() -> None:
    """Each language of the kept runs with 204 answers, cut to the texts of one label, beside the other languages as they are."""
    folders = sorted(path.name for path in KEPT.glob("sib200-*-gemma-3-270m-s0-*"))
    answers, _ = answers_by_run(table(*folders))
    from dataclasses import replace

    gains: dict[str, list[float]] = {}
    for run, one in answers.items():
        if len(one.targets) != 4:
            continue
        for code in set(one.targets) - {"eng_Latn"}:
            for label in range(7):
                of_one = one.targets[code] == label
                ll = {**one.log_likelihoods, code: one.log_likelihoods[code][of_one]}
                done = replace(one, log_likelihoods=ll).calibrated("batch")[code].argmax(1) == label
                gains.setdefault(run, []).append(100 * float(done.mean() - (ll[code].argmax(1) == label).mean()))
    assert len(gains) == 2
    assert all(np.mean(found) > -3 for found in gains.values()) and np.mean([*gains.values()]) > 0


def test_a_comparison_of_calibrated_answers_names_its_metric() -> None:
    both = table(THREE, "sib200-lora-gemma-3-270m-s0-3c220e63")
    (setting,) = compare(both, calibration="batch", resamples=100, mixed=False).settings
    assert setting.metric == "accuracy, batch-calibrated"
    (pair,) = setting.averages
    assert (round(100 * pair.baseline_score, 1), round(100 * pair.score, 1)) == (53.3, 58.5)


def test_calibrations_compare_the_same_answers() -> None:
    (system,) = calibrations(table(THREE)).systems
    assert round(100 * system.difference.value, 1) == 16.0
    assert system.temperature is None and len(system.languages) == 4
    swahili = next(one for one in system.languages if one.language == "swh_Latn")
    assert swahili.difference.value == pytest.approx(swahili.calibrated - swahili.raw)
    assert sum(swahili.predicted) == pytest.approx(1) and sum(swahili.mean) == pytest.approx(1)
    assert swahili.before.accuracy == pytest.approx(swahili.raw) and swahili.after.accuracy == pytest.approx(
        swahili.calibrated
    )
    assert {level.level for level in system.levels} == {"medium", "low"}
    assert len(calibrations(table(THREE)).to_pandas()) == 4


def test_what_cannot_be_calibrated_is_said() -> None:
    generated = table("xquad-none-gemma-3-270m-s0-644c7ce0")
    with pytest.raises(ConfigError, match="generated, not chosen"):
        generated.with_calibration("batch")
    with pytest.raises(ConfigError, match="kept no pmi scores"):
        table(THREE).with_calibration("pmi")
    with pytest.raises(ConfigError, match="did you mean 'batch'"):
        table(THREE).with_calibration("bach")
    both = table(THREE, "xquad-none-gemma-3-270m-s0-644c7ce0").with_calibration("batch")
    assert any("xquad" in note for note in both.notes) and len(both.runs) == 1
    assert "batch" in CALIBRATIONS
