"""Law: intervals for languages that were not tested hold 90 to 97% of scores, each language of the kept study left out in turn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.linear_model import Ridge

from polyprefix import languages
from polyprefix.results.table import read_table
from polyprefix.statistics.contrasts import quantile
from polyprefix.statistics.untested import FEWEST, PENALTIES, _fitted, predict_untested

KEPT = Path(__file__).parents[2] / "studies" / "results" / "small"
RUNS = ("terms-*-gemma-*", "sib200-none-gemma-*", "sib200-full-gemma-*", "sib200-lora-*", "sib200-prefix-smollm2-*")


@pytest.fixture(scope="module")
def kept() -> list[dict[str, float]]:
    """Scores of every such run in at least 15 languages."""
    table = read_table([folder for pattern in RUNS for folder in sorted(KEPT.glob(pattern))])
    scores = [{c: one[run.metric].value for c, one in run.scores.items()} for run in table.runs.itertuples()]
    return [one for one in scores if len(one) >= 15]


def held(scores: dict[str, float]) -> list[bool]:
    found = []
    for code in [code for code in scores if code != "eng_Latn"]:
        predicted = predict_untested({c: v for c, v in scores.items() if c != code}, [code])
        assert not isinstance(predicted, str)
        low, high = predicted[0].ci95
        found.append(low <= scores[code] <= high)
    return found


def test_intervals_hold_languages_that_are_left_out(kept: list[dict[str, float]]) -> None:
    by_count: dict[bool, list[bool]] = {True: [], False: []}
    for scores in kept:
        by_count[len(scores) > 40] += held(scores)
    assert len(kept) > 20 and min(map(len, by_count.values())) > 100
    for found in by_count.values():
        assert 0.90 <= np.mean(found) <= 0.97


def test_a_property_that_decides_the_score_is_found() -> None:
    random = np.random.default_rng(0)
    codes = [one.code for one in languages.all_languages() if one.code != "eng_Latn"][:80]
    base = {code: float(value) for code, value in zip(codes, random.uniform(0.2, 0.6, 80), strict=True)}
    scores = {code: base[code] + 0.2 + float(random.normal(0, 0.01)) for code in codes[:60]}
    without = predict_untested(scores, codes[60:])
    informed = predict_untested(scores, codes[60:], {"base score": base})
    assert not isinstance(without, str) and not isinstance(informed, str)
    errors = [abs(one.value - base[one.language] - 0.2) for one in informed]
    assert max(errors) < 0.08 and "base score" in informed[0].properties and "base score" not in without[0].properties
    widths = [[one.ci95[1] - one.ci95[0] for one in found] for found in (informed, without)]
    assert np.mean(widths[0]) < 0.5 * np.mean(widths[1])


def test_the_error_is_that_of_languages_that_were_refitted_without() -> None:
    """By brute force: each row left out, the rest fitted, for every penalty."""
    random = np.random.default_rng(3)
    x, y = random.normal(size=(20, 9)), random.normal(size=20)
    squares = np.array(
        [
            [(y[i] - Ridge(a).fit(np.delete(x, i, 0), np.delete(y, i)).predict(x[[i]])[0]) ** 2 for i in range(20)]
            for a in PENALTIES
        ]
    )
    means = squares.mean(axis=1)
    best = int(means.argmin())
    chosen = max(i for i in range(len(PENALTIES)) if means[i] <= means[best] + squares[best].std(ddof=1) / np.sqrt(20))
    predicted, half = _fitted(x, y, x[:2])
    assert half == pytest.approx(quantile(19) * np.sqrt(means[chosen]), rel=1e-6)
    assert predicted == pytest.approx(Ridge(PENALTIES[chosen]).fit(x, y).predict(x[:2]))


def test_a_property_counts_only_where_it_is_known() -> None:
    codes = [one.code for one in languages.all_languages() if one.code != "eng_Latn"][:30]
    scores = dict.fromkeys(codes[:20], 0.5) | {codes[0]: 0.7}
    known = {"base score": dict.fromkeys(codes[:25], 0.4) | {codes[1]: 0.3}}
    found = predict_untested(scores, codes[20:], known)
    assert not isinstance(found, str) and [one.language for one in found] == codes[20:]
    assert ["base score" in one.properties for one in found] == [True] * 5 + [False] * 5


def test_predictions_are_shares_and_tested_languages_are_not_predicted() -> None:
    codes = [one.code for one in languages.all_languages()][:40]
    found = predict_untested(dict.fromkeys(codes[:20], 1.0) | {codes[3]: 0.9}, codes)
    assert not isinstance(found, str) and {one.language for one in found} == set(codes[20:])
    assert all(0 <= one.ci95[0] <= one.value <= one.ci95[1] <= 1 for one in found)


def test_few_languages_predict_nothing() -> None:
    codes = [one.code for one in languages.all_languages()][: FEWEST - 1]
    assert "too few" in str(predict_untested(dict.fromkeys(codes, 0.5), ["swh_Latn"]))
