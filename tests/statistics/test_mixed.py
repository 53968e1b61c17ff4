"""Law: the mixed-effects model keeps its level where languages, examples and seeds are drawn, and finds effects that are there; what
cannot be fitted says why."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from polyprefix.statistics.answers import Answers
from polyprefix.statistics.mixed import MixedModel, mixed_model

LANGUAGES = list(range(16))


def study(random: np.random.Generator, gain: float, seed_sd: float) -> Answers:
    """A base model and three systems, the first better by `gain` in log-odds."""
    S, L, ids, n = 3, len(LANGUAGES), 60, 8
    present = random.random((L, ids)).argsort(axis=1).argsort(axis=1) < n
    common = -0.3 + random.normal(size=(L, 1)) + 1.2 * random.normal(size=ids)
    values = np.empty((4, S, L, ids))
    for m in range(4):
        odds = common + 0.35 * random.normal(size=(L, 1)) + 0.7 * random.normal(size=ids) + gain * (m == 1)
        seeds = seed_sd * random.normal(size=(S, 1, 1)) * (m > 0)
        values[m] = random.random((S, L, ids)) < 1 / (1 + np.exp(-(odds + seeds)))
    values[0] = values[0, 0]
    return Answers(
        ("none", "a", "b", "c"), tuple(range(S)), tuple(f"l{i}" for i in LANGUAGES), values * present, present
    )


def fit(answers: Answers, baseline: int) -> MixedModel:
    found = mixed_model(answers, baseline, LANGUAGES)
    assert isinstance(found, MixedModel), found
    return found


@pytest.mark.parametrize("seed_sd", [0.0, 0.8])
def test_the_level_is_kept_and_intervals_hold_the_truth(seed_sd: float) -> None:
    false = {0: 0, 2: 0}
    studies = 40
    for number in range(studies):
        answers = study(np.random.default_rng(number), 0.0, seed_sd)
        for baseline in false:
            effect = next(one for one in fit(answers, baseline).effects if one.system == "a")
            false[baseline] += effect.p_value < 0.05
            assert (effect.ci95[0] > 0 or effect.ci95[1] < 0) == (effect.p_value < 0.05)
    for count in false.values():
        assert binomtest(count, studies).proportion_ci(0.999).low <= 0.05


def test_an_effect_that_is_there_is_found() -> None:
    found = [fit(study(np.random.default_rng(number), 1.5, 0.1), 0) for number in range(6)]
    effects = [one.effects[0] for one in found]
    assert all(effect.system == "a" for effect in effects) and sum(effect.p_value < 0.05 for effect in effects) >= 5
    assert np.mean([effect.log_odds for effect in effects]) == pytest.approx(1.5, abs=0.4)
    assert found[0].baseline == "none" and found[0].degrees == 6 and set(found[0].sds) >= {"language", "run"}


def test_the_same_answers_give_the_same_figures() -> None:
    answers = study(np.random.default_rng(0), 0.5, 0.2)
    assert fit(answers, 0) == fit(answers, 0)


def test_what_cannot_be_fitted_says_why() -> None:
    answers = study(np.random.default_rng(0), 0.5, 0.2)
    assert "long" in str(mixed_model(answers, 0, LANGUAGES, most=100))
    assert "too few" in str(mixed_model(answers, 0, LANGUAGES[:3]))

    def changed(values: np.ndarray) -> Answers:
        return Answers(answers.systems, answers.seeds, answers.languages, values, answers.present)

    wrong = answers.values.copy()
    wrong[2] = 0
    assert "b: every answer is wrong" in str(mixed_model(changed(wrong), 0, LANGUAGES))
    assert "fractions" in str(mixed_model(changed(answers.values / 2), 0, LANGUAGES))
