"""Law: at known truth a language is called clearly above in at most 5% of studies where it is not, over all languages together."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from tests.statistics.conftest import CODES, WriteRun, answers

import polyprefix as pp
from polyprefix.errors import ConfigError, OutputError
from polyprefix.results.table import read_table
from polyprefix.statistics.answers import Answers
from polyprefix.statistics.verdicts import chance_score, judge, verdicts

KEPT = Path(__file__).parents[2] / "studies" / "results" / "small"
STUDIES = 150
CHANCE = 0.25


@pytest.fixture(autouse=True, scope="module")
def nothing_to_collect() -> Iterator[None]:
    """statsmodels collects garbage at each correction, a tenth of a second with all libraries loaded."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gc, "collect", lambda *_: 0)
        yield


def study(
    random: np.random.Generator, score: np.ndarray, base: np.ndarray, *, n: int, seeds: int = 1, between: float = 0.0
) -> Answers:
    """Right and wrong answers of a system and the base model; items are hard or easy in all languages, seeds good or bad."""
    L = len(score)
    item = random.normal(0, 0.6, n)
    values = np.zeros((2, seeds, L, n))
    for s in range(seeds):
        moved = random.normal(0, between, (L, 1)) if between else 0.0
        values[0, s] = random.random((L, n)) < tilted(score[:, None], item + moved)
    values[1] = random.random((L, n)) < tilted(base[:, None], item)
    return Answers(
        ("new", "base"), tuple(range(seeds)), tuple(f"l{i}" for i in range(L)), values, np.ones((L, n), dtype=bool)
    )


def tilted(p: np.ndarray, logit: np.ndarray) -> np.ndarray:
    """Probabilities whose mean over standard items is about p."""
    p = np.clip(p, 1e-6, 1 - 1e-6)
    return 1 / (1 + np.exp(-(np.log(p / (1 - p)) + logit)))


def share_with_error(wrong: str, truth: str, **how: float) -> float:
    """Of studies with at least one verdict `wrong` where `truth` says it should not be."""
    found = []
    for seed in range(STUDIES):
        random = np.random.default_rng(seed)
        L = 20
        base = random.uniform(0.3, 0.6, L)
        if truth == "as the base model":
            score = base
        elif truth == "at chance":
            base = np.full(L, 0.15)
            score = np.full(L, CHANCE)
        else:  # half of them better, which makes Holm's steps larger for the others
            score = base + np.where(np.arange(L) < L // 2, 0.35, 0.0)
        made = study(random, score, base, **how)  # type: ignore[arg-type]
        judged = judge(made, made_chance(truth, made))
        bad = judged[L // 2 :] if truth == "half better" else judged
        found.append(any(one.verdict == wrong for one in bad))
    return float(np.mean(found))


def made_chance(truth: str, made: Answers) -> float:
    """Where the truth is at chance, items tilt the mean a little: the level is that of the simulated items."""
    if truth != "at chance":
        return CHANCE
    return float(tilted(np.array([CHANCE]), np.random.default_rng(1).normal(0, 0.6, 100_000)).mean())


@pytest.mark.parametrize("truth", ["as the base model", "at chance", "half better"])
@pytest.mark.parametrize(("n", "seeds", "between"), [(60, 1, 0.0), (60, 3, 0.4)])
def test_at_most_5_percent_of_studies_find_what_is_not_there(truth: str, n: int, seeds: int, between: float) -> None:
    upper = 0.05 + 2.6 * np.sqrt(0.05 * 0.95 / STUDIES)  # 99% of simulations of a true 5%
    assert share_with_error("clearly above", truth, n=n, seeds=seeds, between=between) <= upper


def test_at_most_5_percent_of_studies_reject_what_is_fit() -> None:
    assert share_with_error("do not use", "as the base model", n=100) <= 0.1


def test_what_is_there_is_found() -> None:
    made = study(np.random.default_rng(0), np.array([0.8, 0.1, 0.4]), np.array([0.4, 0.4, 0.4]), n=200)
    assert [one.verdict for one in judge(made, CHANCE)] == ["clearly above", "do not use", "not clear"]
    assert [one.reason for one in judge(made, CHANCE)][1] in ("below the base model", "not above chance")


def test_both_are_needed() -> None:
    """Far above the base model, but not above chance; and the other way round."""
    made = study(np.random.default_rng(0), np.array([0.25, 0.6]), np.array([0.02, 0.6]), n=200)
    assert [one.verdict for one in judge(made, CHANCE)] == ["not clear", "not clear"]


def test_intervals_hold_together() -> None:
    held = []
    for seed in range(STUDIES):
        random = np.random.default_rng(seed)
        truth = random.uniform(0.2, 0.8, 20)
        values = (random.random((1, 1, 20, 50)) < truth[:, None]).astype(float)
        made = Answers(("new",), (0,), tuple(f"l{i}" for i in range(20)), values, np.ones((20, 50), dtype=bool))
        held.append(all(one.ci[0] <= p <= one.ci[1] for one, p in zip(judge(made, CHANCE), truth, strict=True)))
    assert np.mean(held) > 0.92


def test_verdicts_of_kept_runs() -> None:
    found = pp.verdicts(
        [KEPT / f"sib200-{name}" for name in ("none-gemma-3-270m-s0-6e3b3d03", "lora-gemma-3-270m-s0-3c220e63")]
    )
    (lora,) = found.systems
    assert lora.chance == 0.25, "a quarter of the sentences have the most frequent topic"
    assert lora.counts() == {"clearly above": 4, "not clear": 0, "do not use": 0}
    frame = found.to_pandas()
    assert frame["verdict"].tolist() == ["clearly above"] * 4 and frame["score"].is_monotonic_decreasing
    calibrated = pp.verdicts(
        [KEPT / f"sib200-{name}" for name in ("none-gemma-3-270m-s0-6e3b3d03", "lora-gemma-3-270m-s0-3c220e63")],
        calibration="batch",
    )
    assert calibrated.systems[0].metric == "accuracy, batch-calibrated"
    assert calibrated.systems[0].counts()["clearly above"] == 2, (
        "much of the gain is the base model's preference for labels"
    )


def test_a_run_alone_is_judged_by_chance(write_run: WriteRun) -> None:
    runs = write_run("prefix", answers(0.9))
    (one,) = verdicts(read_table([runs])).systems
    assert one.base is None and all(language.difference is None for language in one.languages)


def test_untested_languages_are_marked(write_run: WriteRun) -> None:
    runs = write_run("prefix", answers(0.9))
    (one,) = verdicts(read_table([runs]), untested=["tha_Thai"]).systems
    assert isinstance(one.untested, str) and "5 tested languages" in one.untested
    frame = pp.verdicts(KEPT / "terms-none-gemma-3-270m-s0-b0b9133e", untested=["xh"]).to_pandas()
    assert set(frame.loc[frame["kind"] == "predicted", "language"]) == {"xho_Latn"} and len(CODES) == 6


def test_bad_questions_are_refused_in_one_line(write_run: WriteRun, tmp_path: Path) -> None:
    runs = read_table([write_run("prefix", answers(0.9))])
    with pytest.raises(ConfigError, match="margin 2"):
        verdicts(runs, margin=2)
    with pytest.raises(ConfigError, match="did you mean 'prefix'"):
        verdicts(runs, "prefx")
    (tmp_path / "empty").mkdir()
    with pytest.raises(OutputError, match="no finished runs"):
        verdicts(read_table([tmp_path / "empty"]))


def test_written_answers_are_not_guessed() -> None:
    from polyprefix.statistics.settings import read_settings

    (setting,) = read_settings(read_table([KEPT / "xquad-none-gemma-3-270m-s0-644c7ce0"]))
    assert chance_score(setting) == 0.0
