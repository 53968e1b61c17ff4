"""Law: temperatures, thresholds and predictions rest on the source languages of a run, whichever they are, and never on English by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest

from polyprefix import languages
from polyprefix.calibration.answers import CALIBRATIONS, LabelAnswers
from polyprefix.calibration.measures import answers_of
from polyprefix.calibration.probabilities import calibrated, log_softmax, mean_probability, shrunken
from polyprefix.calibration.questions import question_prior
from polyprefix.calibration.record import CalibrationRecord, LabelPrior, Validation
from polyprefix.calibration.temperature import fit_temperature
from polyprefix.results.table import ResultsTable
from polyprefix.statistics.abstention import NOTHING, SystemAbstention, abstentions
from polyprefix.statistics.untested import predict_untested

LABELS = ("a", "b", "c")
SOURCES = ("hin_Deva", "swh_Latn")
TESTED = ("hin_Deva", "swh_Latn", "urd_Arab", "deu_Latn")


def scores(random: np.random.Generator, n: int, bias: float) -> tuple[np.ndarray, np.ndarray]:
    """Log-likelihoods `[N, K]` with a preference for the first label, and the right places."""
    targets = random.integers(0, len(LABELS), n)
    return 2.0 * np.eye(len(LABELS))[targets] + random.normal(0, 1, (n, 3)) + [bias, 0, 0] - 3, targets


def drawn(
    seed: int, *, kept: bool = True, tested: tuple[str, ...] = TESTED, sources: tuple[str, ...] = SOURCES
) -> tuple[LabelAnswers, Validation]:
    """Answers of a run whose source languages prefer different labels."""
    random = np.random.default_rng(seed)
    made = {code: scores(random, 80, bias) for bias, code in enumerate(tested)}
    parts = [(*scores(random, 40, 2.0 * place), code) for place, code in enumerate(sources)]
    validation = Validation(
        tuple(tuple(row) for ll, _, _ in parts for row in ll.tolist()),
        tuple(int(t) for _, targets, _ in parts for t in targets),
        tuple(code for _, _, code in parts for _ in range(40)),
    )
    record = CalibrationRecord(
        LABELS,
        {code: LabelPrior(80, tuple(mean_probability(ll).tolist())) for code, (ll, _) in made.items()},
        {code: (tuple(ll[0].tolist()),) for code, (ll, _) in made.items()},
        {code: tuple(ll[1].tolist()) for code, (ll, _) in made.items()},
        validation if kept else Validation(),
    )
    rows = {code: np.arange(80) + 80 * i for i, code in enumerate(made)}
    answers = LabelAnswers(
        LABELS, {c: ll for c, (ll, _) in made.items()}, {c: t for c, (_, t) in made.items()}, rows, record, sources[0]
    )
    return answers, validation


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_each_source_language_of_validation_has_its_own_prior(calibration: Any, seed: int) -> None:
    answers, validation = drawn(seed)
    kept = answers.validation(calibration)
    assert kept is not None and answers.validated == SOURCES
    ll, own = np.array(validation.log_likelihoods), slice(0, 40)
    alone = LabelAnswers(LABELS, {**answers.log_likelihoods, "hin_Deva": ll[own], "swh_Latn": ll[40:]}, {}, {},
                         answers.record)  # fmt: skip
    priors = alone.priors(calibration)
    parts = [calibrated(ll[own], priors["hin_Deva"]), calibrated(ll[40:], priors["swh_Latn"])]
    T = fit_temperature(np.concatenate(parts), kept[1])
    assert kept[0] == pytest.approx(log_softmax(np.concatenate(parts) / T))
    assert answers.temperature(calibration) == pytest.approx(T)


def test_the_batch_prior_of_validation_is_the_mean_of_its_own_texts() -> None:
    answers, validation = drawn(0)
    ll = np.array(validation.log_likelihoods)
    means = {**answers.means, "hin_Deva": mean_probability(ll[:40]), "swh_Latn": mean_probability(ll[40:])}
    others = np.mean([mean for code, mean in means.items() if code != "swh_Latn"], axis=0)
    kept = answers.validation("batch")
    assert kept is not None
    T = answers.temperature("batch")
    assert kept[0][40:] == pytest.approx(calibrated(ll[40:], shrunken(ll[40:], others), T or 1))


def test_a_record_without_languages_is_of_the_runs_first_source_language() -> None:
    answers, _ = drawn(0, sources=("hin_Deva",))
    assert answers.record is not None
    bare = Validation(answers.record.validation.log_likelihoods, answers.record.validation.targets)
    record = CalibrationRecord(LABELS, answers.record.priors, validation=bare)
    told, untold = (LabelAnswers(LABELS, answers.log_likelihoods, answers.targets, answers.rows, one, "hin_Deva")
                    for one in (answers.record, record))  # fmt: skip
    assert untold.validated == ("hin_Deva",)
    assert untold.temperature("batch") == pytest.approx(told.temperature("batch"))


def test_questions_are_scaled_by_the_same_rule() -> None:
    """Two source languages with opposite preferences: each divided out by itself, the temperature is lower than of both together."""
    answers, validation = drawn(1)
    record = answers.record
    assert record is not None
    ll = np.array(validation.log_likelihoods)
    parts = [calibrated(part, mean_probability(part)) for part in (ll[:40], ll[40:])]
    expected = fit_temperature(np.concatenate(parts), np.array(validation.targets))
    assert question_prior("prior", record, LABELS, "urd_Arab", "run").temperature == pytest.approx(expected)


def table(answers: LabelAnswers, sources: tuple[str, ...], *, trains: bool = True) -> ResultsTable:
    """A table of results with one run."""
    settings = {"task": "drawn", "method": {"name": "prefix"}, "source_languages": list(sources),
                "train": {"epochs": 1 if trains else 0, "steps": None if trains else 0}}  # fmt: skip
    run = {"task": "drawn", "model": "tiny", "method": "prefix", "shots": 0, "seed": 0, "metric": "accuracy", "scores": {},
           "settings": {}, "config": settings, "calibration": answers.record, "fertility": {}, "origins": {}}  # fmt: skip
    rows = [
        {"run_id": "r", "language": code, "example_id": str(i), "log_likelihoods": row.tolist(),
         "prediction": LABELS[int(row.argmax())], "references": [LABELS[int(t)]], "accuracy": float(row.argmax() == t)}
        for code, ll in answers.log_likelihoods.items()
        for i, (row, t) in enumerate(zip(ll, answers.targets[code], strict=True))
    ]  # fmt: skip
    frame = pd.DataFrame(rows)
    import pyarrow as pa

    lists = pa.array([row["log_likelihoods"] for row in rows], pa.list_(pa.float64()))
    frame["log_likelihoods"] = pd.arrays.ArrowExtensionArray(pa.chunked_array([lists]))
    return ResultsTable(pd.DataFrame([run], index=["r"]), frame, ())


def abstention(answers: LabelAnswers, sources: tuple[str, ...]) -> SystemAbstention:
    [one], _ = abstentions(table(answers, sources), 0.6)
    return one


def test_the_threshold_is_chosen_in_the_source_languages() -> None:
    answers, _ = drawn(2)
    validated = abstention(answers, SOURCES)
    assert validated.source == "Hindi and Swahili validation: 80 answers" and validated.threshold is not None
    answers, _ = drawn(2, kept=False)
    tested = abstention(answers, SOURCES)
    assert tested.source == "Hindi and Swahili test answers, because the run kept no validation: 160 answers"
    confidence, right = (
        np.concatenate(side)
        for side in zip(*(answers_of(log_softmax(answers.log_likelihoods[c]), answers.targets[c]) for c in SOURCES),
                        strict=True)
    )  # fmt: skip
    assert tested.threshold is not None and right[confidence >= tested.threshold].mean() >= 0.6
    [alone], _ = abstentions(table(answers, ("swh_Latn",)), 0.6)
    assert alone.source.startswith("Swahili test answers") and alone.source.endswith(": 80 answers")


def test_without_answers_in_a_source_language_there_is_no_threshold() -> None:
    answers, _ = drawn(2, kept=False, tested=("urd_Arab", "eng_Latn"))
    one = abstention(answers, SOURCES)
    assert one.threshold is None and one.source == NOTHING and not one.prices


@pytest.mark.parametrize("seed", range(4))
def test_predictions_leave_every_language_of_training_out(seed: int) -> None:
    """Whatever was scored in a language of training changes no prediction; English counts where it was not trained in."""
    random = np.random.default_rng(seed)
    codes = [one.code for one in languages.all_languages()]
    tested = ["eng_Latn", *random.choice([c for c in codes if c != "eng_Latn"], 30, replace=False).tolist()]
    trained, wanted = set(tested[5:8]), [c for c in codes if c not in tested][:9]
    made = {code: float(value) for code, value in zip(tested, random.uniform(0.2, 0.9, 31), strict=True)}
    first = predict_untested(made, wanted, None, trained)
    assert not isinstance(first, str) and [one.language for one in first] == wanted
    assert predict_untested(made | dict.fromkeys(trained, 1.0), wanted, None, trained) == first
    assert predict_untested({c: v for c, v in made.items() if c not in trained}, wanted, None, trained) == first
    assert predict_untested(made | {"eng_Latn": 0.0}, wanted, None, trained) != first
    known = predict_untested({c: v for c, v in made.items() if c not in trained}, [*trained, *wanted], None, trained)
    assert known == first, "a language of training is not predicted from zero-shot languages"


def test_too_few_languages_are_counted_without_those_of_training() -> None:
    codes = ["eng_Latn", *[one.code for one in languages.all_languages() if one.code != "eng_Latn"][:12]]
    few = predict_untested(dict.fromkeys(codes, 0.5), ["swh_Latn"], None, set(codes[1:3]))
    assert few == "11 tested zero-shot languages are too few to predict others; 12 are needed"
