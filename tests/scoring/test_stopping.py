"""Laws of adaptive evaluation: a language is asked as a subset of that size would be, no further than its interval needs; a result says so,
gives its scores again, and is compared on examples that both runs asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyprefix.config import RunConfig
from polyprefix.data.select import evaluation_subset
from polyprefix.errors import ConfigError
from polyprefix.recipe import run
from polyprefix.results.files import PREDICTIONS, read_predictions, read_result
from polyprefix.results.rescore import rescore
from polyprefix.results.table import read_table
from polyprefix.scoring.metrics import accuracy, macro_f1
from polyprefix.scoring.stopping import StoppingRule
from polyprefix.settings import validate
from polyprefix.tasks import registry
from polyprefix.tasks.base import Task, stopping_rule
from polyprefix.types import Example, Prediction

EXAMPLES = [Example(str(n), "eng_Latn", {"text": str(n)}, ("a", "b"), ("a",)) for n in range(3000)]


@dataclass
class Oracle:
    """Answers right where its table says so, and remembers what it was asked."""

    right: Sequence[bool]
    looks: list[list[int]] = field(default_factory=list)

    @property
    def asked(self) -> list[int]:
        return [place for look in self.looks for place in look]

    def __call__(self, places: Sequence[int]) -> list[Prediction]:
        self.looks.append(list(places))
        return [
            Prediction(EXAMPLES[place].id, "eng_Latn", ("a",), "a" if self.right[place] else "b") for place in places
        ]


def rule(points: float, *, of_mean: bool = True) -> StoppingRule:
    def score(predictions: Sequence[Prediction]) -> dict[str, Any]:
        gold, found = [p.references[0] for p in predictions], [p.prediction for p in predictions]
        main = accuracy([correct(p) for p in predictions]) if of_mean else macro_f1(gold, found, ("a", "b"))
        return {"main": main, "other": accuracy([correct(p) for p in predictions])}

    def correct(prediction: Prediction) -> float:
        return float(prediction.prediction in prediction.references)

    info = SimpleNamespace(name="toy", metrics=("main", "other"))
    found = stopping_rule(cast(Task, SimpleNamespace(info=info, score=score, correctness=correct)), points)
    assert found is not None
    return found


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 100), st.integers(1, 20), st.integers(1, 3000), st.integers(0, 999))
def test_asks_the_first_by_hash_until_it_is_narrow_enough(share: int, points: int, size: int, seed: int) -> None:
    draw = Random(seed)
    oracle = Oracle([draw.randrange(100) < share for _ in EXAMPLES])
    asking = rule(points)
    predictions = asking.ask(oracle, EXAMPLES[:size])
    ids = [p.example_id for p in predictions]
    assert ids == [example.id for example in evaluation_subset(EXAMPLES[:size], len(ids))]
    assert len(oracle.asked) == len(set(oracle.asked)) == len(ids)
    scores = asking.score(predictions, size)
    low, high = scores["main"].ci95
    assert low <= scores["main"].value <= high and scores["main"].n == len(ids)
    assert scores["other"] == asking.scores(predictions)["other"]
    if len(ids) < size:
        assert (high - low) / 2 <= points / 100 + 1e-9
    if len(oracle.looks) > 1:
        earlier = {EXAMPLES[place].id for look in oracle.looks[:-1] for place in look}
        low, high = asking.score([p for p in predictions if p.example_id in earlier], size)["main"].ci95
        assert (high - low) / 2 > points / 100 - 1e-9


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 100), st.integers(1, 20), st.integers(1, 600), st.integers(0, 10**6))
def test_a_warning_beforehand_is_true(share: int, points: int, size: int, seed: int) -> None:
    """Where nothing can be saved, nothing is, whatever the answers; else something is where all are right."""
    random, chosen = Random(seed), rule(points)
    said = chosen.warning({"eng_Latn": size})
    right = [random.random() < share / 100 for _ in range(size)] if said else [True] * size
    oracle = Oracle(right)
    chosen.ask(oracle, EXAMPLES[:size])
    assert (len(oracle.asked) == size) == (said is not None)


def test_a_metric_that_is_no_mean_is_refused_after_the_first_look() -> None:
    oracle = Oracle([n % 3 > 0 for n in range(3000)])
    with pytest.raises(ConfigError, match=r"main of toy is not a mean over examples.*leave eval_until out"):
        rule(5, of_mean=False).ask(oracle, EXAMPLES)
    assert len(oracle.asked) == 64


def emoji(model: Path, size: int, points: Any) -> RunConfig:
    """A run on the names of emojis, of which there are 1,580 a language."""
    given = {"task": "emoji", "method": "none", "languages": ["en", "sw"], "runtime": {"dtype": "float32"}}
    return validate(RunConfig, {**given, "model": str(model), "eval_size": size, "eval_until": points}, "run")


@pytest.fixture(scope="module")
def folders(tiny_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[Any, Path]:
    """Points -> a finished run."""
    out = tmp_path_factory.mktemp("runs")
    return {points: run(emoji(tiny_folder, 300, points), out=out)[0] for points in ("±4.5", 25.0, None)}


def test_a_run_says_how_many_it_asked_and_gives_its_scores_again(folders: dict[Any, Path]) -> None:
    result = read_result(folders["±4.5"])
    assert result.config["eval_until"] == 4.5 and result.available == {"eng_Latn": 300, "swh_Latn": 300}
    counts = {code: metrics["accuracy"].n for code, metrics in result.scores.items()}
    assert all(count > 64 for count in counts.values()) and min(counts.values()) < 300, counts
    (note,) = [note for note in result.notes if "±4.5" in note]
    assert f"languages stopped early, {sum(counts.values())} of 600 examples were asked" in note
    assert rescore(folders["±4.5"], registry.get("emoji")) == result.scores
    assert folders["±4.5"] != folders[25.0] != folders[None]


def test_what_was_asked_got_the_answers_of_the_whole_run(folders: dict[Any, Path]) -> None:
    part, whole = (
        {(p.language, p.example_id): p for p in read_predictions(folders[k] / PREDICTIONS)[0]} for k in (25.0, None)
    )
    assert len(part) < len(whole) == 600
    for key, prediction in part.items():
        assert prediction.prediction == whole[key].prediction
        assert prediction.log_likelihoods == pytest.approx(whole[key].log_likelihoods, abs=1e-3)


def test_comparisons_are_on_common_examples(folders: dict[Any, Path]) -> None:
    """Two runs of one system, asked differently: the same system in the table, and no difference on what both asked."""
    table = read_table([folders["±4.5"].parent])
    assert table.runs["settings"].map(str).nunique() == 1
    few, more = (table.examples[table.examples["run_id"] == folders[k].name] for k in (25.0, "±4.5"))
    both = few.merge(more, on=["language", "example_id"])
    assert len(both) == len(few) < len(more)
    assert (both["accuracy_x"] == both["accuracy_y"]).all()


def test_asked_again_after_an_interruption(tiny_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A language that was stopped early and is finished is not asked again."""
    config = emoji(tiny_folder, 200, 14)
    (once,) = run(config, out=tmp_path / "once")
    asked: list[int] = []
    true = StoppingRule.ask

    def ask(self: StoppingRule, answers_to: Any, examples: Any) -> Any:
        if asked and asked[-1] == 0:
            asked.append(1)
            raise KeyboardInterrupt
        asked.append(0)
        return true(self, answers_to, examples)

    monkeypatch.setattr(StoppingRule, "ask", ask)
    with pytest.raises(KeyboardInterrupt):
        run(config, out=tmp_path / "twice")
    (twice,) = run(config, out=tmp_path / "twice")
    assert asked == [0, 1, 0]
    assert read_result(twice).scores == read_result(once).scores


@pytest.mark.parametrize("points", [0, -1, 51, "narrow", "±"])
def test_points_that_are_none(points: Any) -> None:
    with pytest.raises(ConfigError, match="eval_until"):
        validate(RunConfig, {"model": "m", "task": "terms", "eval_until": points}, "run")


def test_ids_of_earlier_runs_stay() -> None:
    plain = RunConfig(model="m", task="terms")
    assert (
        plain.run_id()
        == plain.model_copy(update={"eval_until": None}).run_id()
        != plain.model_copy(update={"eval_until": 2.0}).run_id()
    )
