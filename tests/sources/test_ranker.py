"""Laws of the ranker and of its validation."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import ndcg_score
from tests.sources.worlds import FEATURES, SOURCES, TARGETS, by_nothing, by_relation, observed

from polyprefix.sources.features import NAMES
from polyprefix.sources.fitted import as_dict, fitted, from_dict
from polyprefix.sources.ranker import ALL_NAMES, Observed, cells_of, fit, names_of, places_of
from polyprefix.sources.ranking import advice
from polyprefix.sources.validation import BASELINES, Preference, ndcg, ranking, ranking_of_new, validate

RNG = np.random.default_rng
LANGUAGES = "languages"


def moved(one: Observed, constant: float) -> Observed:
    """Every score is higher by a constant."""
    answers = one.matrix.answers
    values = answers.values + constant * answers.present
    return replace(one, matrix=replace(one.matrix, answers=replace(answers, values=values)))


@pytest.mark.parametrize("seed", range(4))
def test_weights_are_those_of_ridge_on_what_differs_within_a_target(seed: int) -> None:
    many = [observed(seed, by_relation(RNG(seed))), observed(seed + 50, by_relation(RNG(seed)))]
    ranker = fit(many, [LANGUAGES])
    x, y = [], []
    for one in many:
        for _, features, scores in cells_of(one):
            standard = np.nan_to_num((features - ranker.means) / ranker.scales)
            x.append(standard - standard.mean(axis=0))
            y.append(scores - scores.mean())
    for names in (names_of(LANGUAGES), ("same family", "same script")):
        places = [ALL_NAMES.index(name) for name in names]
        rows, wanted = np.concatenate(x)[:, places], np.concatenate(y)
        reference = Ridge(alpha=0.1 * len(wanted), fit_intercept=False).fit(rows, wanted)
        assert ranker.sums.weights(0.1, places)[places] == pytest.approx(reference.coef_)


@pytest.mark.parametrize("seed", range(4))
def test_adding_a_constant_to_all_scores_changes_nothing(seed: int) -> None:
    one = observed(seed, by_relation(RNG(seed)))
    for other in (moved(one, 0.25), moved(one, -0.125)):
        a, b = fit([one], [LANGUAGES]), fit([other], [LANGUAGES])
        assert a.sums.moment == pytest.approx(b.sums.moment, abs=1e-9) and a.measured == pytest.approx(b.measured)
        for t in range(len(TARGETS)):
            assert a.predict(FEATURES[:, t], SOURCES, LANGUAGES) == pytest.approx(
                b.predict(FEATURES[:, t], SOURCES, LANGUAGES), abs=1e-9
            )
    first, second = validate([one], new=False).known, validate([moved(one, 0.25)], new=False).known
    for name in first:
        assert first[name].gain.value == pytest.approx(second[name].gain.value, abs=1e-9)
        assert first[name].ndcg.value == pytest.approx(second[name].ndcg.value, abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_a_candidates_figure_depends_on_no_other_candidate(seed: int) -> None:
    rng = RNG(seed)
    ranker = fit([observed(seed, by_relation(rng))], [LANGUAGES])
    target = int(rng.integers(len(TARGETS)))
    whole = dict(zip(SOURCES, ranker.predict(FEATURES[:, target], SOURCES, LANGUAGES), strict=True))
    some = list(rng.permutation(len(SOURCES))[:5])
    known = ~np.isnan(FEATURES[:, target]).all(axis=0)
    assert np.array_equal(known, ~np.isnan(FEATURES[some, target]).all(axis=0))
    found = ranker.predict(FEATURES[some, target], [SOURCES[i] for i in some], LANGUAGES)
    assert dict(zip([SOURCES[i] for i in some], found, strict=True)) == pytest.approx(
        {SOURCES[i]: whole[SOURCES[i]] for i in some}
    )


@pytest.mark.parametrize("learner", [ranking(LANGUAGES), ranking_of_new(LANGUAGES)])
def test_a_choice_knows_no_answer_in_its_target(learner: object) -> None:
    """Neither as a target nor as a source, in any matrix."""
    true = by_relation(RNG(1))
    for target in ("swh_Latn", "spa_Latn"):
        place = TARGETS.index(target)
        changed = true.copy()
        changed[:, place] = RNG(2).random(len(SOURCES))
        if target in SOURCES:
            changed[SOURCES.index(target)] = RNG(3).random(len(TARGETS))
        one, other = (_certain(x) for x in (true, changed))
        preferences: list[Preference] = [learner([x], target) for x in (one, other)]  # type: ignore[operator]
        here = one.matrix.candidates[:, place]
        assert preferences[0](one, place)[here] == pytest.approx(preferences[1](other, place)[here])


def _certain(true: np.ndarray) -> Observed:
    """Scores that are the true ones: no draw is shared by two worlds that differ in a language."""
    one = observed(0, true, n=1, seeds=1)
    answers = one.matrix.answers
    return replace(
        one, matrix=replace(one.matrix, answers=replace(answers, values=true[:, None, :, None] * answers.present))
    )


def test_a_new_candidate_is_ranked_by_what_others_showed() -> None:
    true = by_relation(RNG(1))
    changed = true.copy()
    changed[SOURCES.index("tur_Latn")] = 0.9
    preferences = [ranking_of_new(LANGUAGES)([_certain(x)], "spa_Latn") for x in (true, changed)]
    place = TARGETS.index("spa_Latn")
    row = SOURCES.index("tur_Latn")
    assert preferences[0](_certain(true), place)[row] == pytest.approx(preferences[1](_certain(changed), place)[row])


@pytest.mark.parametrize("seed", range(30))
def test_ndcg_is_that_of_scikit_learn(seed: int) -> None:
    rng = RNG(seed)
    scores, preferred = rng.random(8), rng.permutation(8).astype(float)
    expected = ndcg_score([scores - scores.min()], [preferred], k=3)
    assert ndcg(preferred, scores) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(10))
def test_candidates_that_are_preferred_alike_share_their_ranks(seed: int) -> None:
    rng = RNG(seed)
    scores, preferred = rng.random(6), rng.integers(0, 3, 6).astype(float)
    orders = [preferred + 1e-6 * rng.random(6) for _ in range(4000)]
    assert ndcg(preferred, scores) == pytest.approx(np.mean([ndcg(one, scores) for one in orders]), abs=0.02)
    assert ndcg(preferred, np.full(6, 0.5)) == 1.0


def test_where_relatives_help_the_ranker_is_better_than_english_and_says_so() -> None:
    found = fitted([observed(seed, by_relation(RNG(9))) for seed in range(2)])
    assert found.validation
    for part in (found.validation.known, found.validation.new):
        ranker = part[f"ranker: {LANGUAGES}"]
        assert ranker.gain.ci95[0] > 0 and ranker.minus["English"].value == pytest.approx(ranker.gain.value)
    known = found.validation.known
    assert known[f"ranker: {LANGUAGES}"].ndcg.value > known["English"].ndcg.value
    text = advice(known[f"ranker: {LANGUAGES}"], {name: known[name] for name in BASELINES}, 23, "Hindi")
    assert text.startswith("The first choice was better than English")
    unseen = advice(
        found.validation.new[f"ranker: {LANGUAGES}"], {name: known[name] for name in BASELINES}, 23, "Hindi"
    )
    assert "better than English" in unseen and "every baseline" not in unseen  # nothing else chose among new candidates


def test_where_nothing_helps_the_command_says_take_english() -> None:
    said = []
    for seed in range(8):
        known = validate([observed(seed, by_nothing(RNG(seed)))], new=False).known
        figures = known[f"ranker: {LANGUAGES}"]
        said.append(advice(figures, {name: known[name] for name in BASELINES}, 23, "Hindi"))
    assert sum("not significantly better than English" in text for text in said) >= 7
    assert sum("Take English unless" in text for text in said) >= 6


def test_every_regret_of_a_choice_is_at_least_zero_and_english_gains_nothing() -> None:
    known = validate([observed(3, by_relation(RNG(3)))], new=False).known
    assert all(one.regret.value >= 0 for one in known.values())
    assert known["English"].gain.value == 0 and known["English"].gain.ci95 == (0, 0)
    total = {name: one.gain.value + one.regret.value for name, one in known.items()}
    assert len({round(value, 9) for value in total.values()}) == 1  # one best source for all


def test_what_is_shipped_is_what_was_fitted() -> None:
    found = fitted([observed(4, by_relation(RNG(4)))], new=False)
    again = from_dict(json.loads(json.dumps(as_dict(found))))
    assert again.validation == found.validation and again.matrices == found.matrices
    for t in range(len(TARGETS)):
        one, other = (x.ranker.predict(FEATURES[:, t], SOURCES, LANGUAGES) for x in (found, again))
        assert one == pytest.approx(other, abs=1e-4)


def test_only_what_is_known_of_a_candidate_counts() -> None:
    """A fit without a feature is what predictions are where no candidate has it."""
    one = observed(5, by_relation(RNG(5)))
    ranker = fit([one], [LANGUAGES])
    hidden = FEATURES[:, 10].copy()
    hidden[:, NAMES.index("same family")] = np.nan
    found = ranker.predict(hidden, SOURCES, LANGUAGES)
    places = [i for i in places_of(LANGUAGES) if ALL_NAMES[i] not in ("same family", "training examples")]
    weights = ranker.sums.weights(ranker.penalties[LANGUAGES].value, places)
    assert weights[ALL_NAMES.index("same family")] == 0
    own = np.array([[ranker.measured[code]] for code in SOURCES])
    standard = np.nan_to_num((np.concatenate([hidden, own], axis=1) - ranker.means) / ranker.scales)
    assert found == pytest.approx(standard @ weights)
