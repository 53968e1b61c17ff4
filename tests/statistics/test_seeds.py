"""Law: a score over seeds is their mean, and its interval knows of examples and seeds."""

from __future__ import annotations

import numpy as np
import pytest
from tests.statistics.conftest import WriteRun, answers

from polyprefix.results.table import ResultsTable, read_table
from polyprefix.scoring.metrics import wilson
from polyprefix.statistics.seeds import scores_over_seeds
from polyprefix.types import Score


def scores(write_run: WriteRun, *seeds: dict[str, dict[str, float]]) -> dict[str, Score]:
    return scores_over_seeds(*table(write_run, *seeds))


def table(write_run: WriteRun, *seeds: dict[str, dict[str, float]]) -> tuple[ResultsTable, list[str]]:
    for seed, correctness in enumerate(seeds):
        folder = write_run("prefix", correctness, seed=seed)
    found = read_table([folder])
    assert not found.notes
    return found, list(found.runs.sort_values("seed").index)


def test_one_seed_keeps_the_score_of_its_file(write_run: WriteRun) -> None:
    found, (run,) = table(write_run, answers(0.6))
    assert scores_over_seeds(found, [run]) == {c: one["accuracy"] for c, one in found.runs.at[run, "scores"].items()}


def test_the_value_is_the_mean_over_the_seeds_that_have_the_language(write_run: WriteRun) -> None:
    first, second = answers(0.5), answers(0.7, seed=1)
    del second["fin_Latn"]
    second["deu_Latn"] = {"other": 1.0}
    found = scores(write_run, first, second)
    mean = [np.mean(list(one["hin_Deva"].values())) for one in (first, second)]
    assert found["hin_Deva"].value == pytest.approx(np.mean(mean)) and found["hin_Deva"].n == 60
    for code in ("fin_Latn", "deu_Latn"):
        assert found[code].value == pytest.approx(np.mean(list(first[code].values())))


def test_seeds_that_agree_are_as_one_and_seeds_that_do_not_widen_the_interval(write_run: WriteRun) -> None:
    same = answers(0.6)
    alike = scores(write_run, same, same, same)
    for score in alike.values():
        assert score.ci95 == pytest.approx(wilson(score.value, score.n), abs=0.01)
    apart = scores(write_run, answers(0.3), answers(0.6), answers(0.9))
    for code, score in apart.items():
        assert score.ci95[1] - score.ci95[0] > 1.5 * (alike[code].ci95[1] - alike[code].ci95[0])
        assert 0 <= score.ci95[0] <= score.value <= score.ci95[1] <= 1


def test_no_mistake_in_any_seed_is_no_certainty(write_run: WriteRun) -> None:
    right = {"deu_Latn": {str(i): 1.0 for i in range(40)}}
    (score,) = scores(write_run, right, right).values()
    assert score.value == 1 and score.ci95 == pytest.approx(wilson(1.0, 40))
