"""Law: what holds for every task in every language, so that a score of any can be trusted like a score of any other.

Gold answers score 1, empty ones 0, and nothing is scored without predictions; ids are unique, and those of a parallel
task are the same in all languages; a prompt ends before its target and without white space; training never sees the
test set. A language that the mirror lacks is reported as missing data.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from typing import Any

import pytest
from tests.tasks.rows import MIRROR, SOURCE

from polyprefix import languages
from polyprefix.data.hub import MissingDataError
from polyprefix.errors import LanguageError
from polyprefix.tasks import registry
from polyprefix.tasks.base import Source, Task, score_all
from polyprefix.types import Example, Prediction, Split

ENGLISH = "eng_Latn"
TEST_ROWS = {"belebele": 900, "mgsm": 250, "sib200": 204, "xnli": 5_010, "xquad": 1_190}
"""The published size of each test split; a task that is not named here makes its own."""
LANGUAGES = {"belebele": 122, "mgsm": 11, "sib200": 205, "xnli": 15, "xquad": 12}
OWN_SPLITS = {"terms", "emoji"}
"""Tasks whose items have their split by the hash of the id; languages differ in their items."""
SUBSETS = {("belebele", "jav_Latn"): 280, ("belebele", "sun_Latn"): 280}


def reads_hub(name: str) -> bool:
    """Whether the task's source is a data set of the Hub."""
    return "/" in registry.get(name).info.source


def param(name: str, *values: Any) -> Any:
    marks = [pytest.mark.hub] if reads_hub(name) else []
    return pytest.param(name, *values, marks=marks, id="-".join((name, *values)))


TASKS = [param(name) for name in registry.names()]
PAIRS = [param(name, code) for name in registry.names() for code in registry.get(name).languages()]


@cache
def load(name: str, split: Split, language: str) -> Sequence[Example] | None:
    """The examples; None where the mirror lacks the language."""
    try:
        return registry.get(name).examples(split, language, SOURCE)
    except MissingDataError:
        return None


@pytest.mark.parametrize("name", registry.names())
def test_languages_are_in_the_table_and_english_comes_first(name: str) -> None:
    codes = registry.get(name).languages()
    assert codes[0] == ENGLISH
    assert len(set(codes)) == len(codes) == LANGUAGES.get(name, len(codes))
    assert all(languages.get(code).code == code for code in codes)


@pytest.mark.parametrize("name", registry.names())
def test_the_header_is_complete(name: str) -> None:
    info = registry.get(name).info
    assert info.name == name and info.title and info.source and info.licence and info.metrics
    assert 0 <= info.chance < 1 and set(info.splits) == {"train", "validation", "test"}


@pytest.mark.parametrize("name", registry.names())
def test_no_predictions_have_no_score(name: str) -> None:
    with pytest.raises(ValueError):
        registry.get(name).score([])


@pytest.mark.parametrize(("name", "language"), PAIRS)
def test_every_language(name: str, language: str) -> None:
    examples = load(name, "test", language)
    if examples is None:
        assert language != ENGLISH
        with pytest.raises(MissingDataError, match=r"configuration|mirror"):
            registry.get(name).examples("test", language, SOURCE)
        return
    rows = SUBSETS.get((name, language), TEST_ROWS.get(name, len(examples)))
    assert len(examples) == rows > 0
    assert len({example.id for example in examples}) == rows
    assert all(example.language == language for example in examples)
    check_ids(name, language, examples)
    check_prompts(name, examples)
    check_scores(name, examples)


def check_ids(name: str, language: str, examples: Sequence[Example]) -> None:
    """An id is the same item in every language: the same id has the same label, or the same number."""
    english = {example.id: example for example in load(name, "test", ENGLISH) or ()}
    if not registry.get(name).info.parallel or (name, language) in SUBSETS:
        return
    assert {example.id for example in examples} <= english.keys()
    if name in TEST_ROWS:
        assert {example.id for example in examples} == english.keys()
    if name != "xquad":  # its answers are words of the language
        assert all(example.references == english[example.id].references for example in examples)


def check_prompts(name: str, examples: Sequence[Example]) -> None:
    task = registry.get(name)
    for example in examples:
        prompt = task.prompt(example)
        assert (prompt.example_id, prompt.language) == (example.id, example.language)
        assert prompt.text == prompt.text.rstrip()
        assert prompt.target.strip() and not prompt.text.endswith(prompt.target.strip())
        assert prompt.target.strip() == example.references[0]
        assert all(piece.strip() in prompt.text for piece in example.inputs.values())
        assert tuple(example.inputs) == task.info.inputs
        assert example.choices == task.info.labels
        if example.choices:
            assert prompt.choices == tuple(f" {choice}" for choice in example.choices)
            assert len(set(prompt.choices)) == len(prompt.choices) and prompt.target in prompt.choices
            assert len(example.references) == 1 and not prompt.stop
        else:
            assert not prompt.choices and prompt.stop
            assert not any(stop in prompt.target for stop in prompt.stop)


def check_scores(name: str, examples: Sequence[Example]) -> None:
    task = registry.get(name)

    def answered(predicted: Sequence[str]) -> list[Prediction]:
        return [Prediction(e.id, e.language, e.references, p) for e, p in zip(examples, predicted, strict=True)]

    gold = answered([task.prompt(example).target for example in examples])
    if examples[0].choices:  # the engine names the choice, without the space before it
        gold = answered([example.references[0] for example in examples])
    check_complete(task, examples, gold)
    for predictions, value in ((gold, 1.0), (answered([""] * len(examples)), 0.0)):
        scores = task.score(predictions)
        assert tuple(scores) == task.info.metrics
        assert {(score.value, score.n) for score in scores.values()} == {(value, len(examples))}
        assert {task.correctness(prediction) for prediction in predictions} == {value}


def check_complete(task: Task, examples: Sequence[Example], gold: Sequence[Prediction]) -> None:
    """An example without an answer, one with two, and an answer to no example are errors."""
    few, answers, code = examples[:5], list(gold[:5]), examples[0].language
    assert set(score_all(task, {code: few}, {code: answers})) == {code}
    for wrong in (answers[:4], [], [*answers, answers[0]], [*answers[:4], replace(answers[4], example_id="other")]):
        with pytest.raises(ValueError, match=code):
            score_all(task, {code: few}, {code: wrong})
    with pytest.raises(ValueError, match="5 examples without an answer"):
        score_all(task, {code: few}, {})


@pytest.mark.parametrize("name", TASKS)
def test_training_is_english_and_apart_from_the_test_set(name: str) -> None:
    test = load(name, "test", ENGLISH) or ()
    test_ids = {example.id for example in test}
    test_texts = {tuple(example.inputs.values()) for example in test}
    learned: dict[str, set[str]] = {}
    for split in ("train", "validation"):
        examples = load(name, split, ENGLISH) or ()  # type: ignore[arg-type]
        learned[split] = {example.id for example in examples}
        assert len(learned[split]) == len(examples) > 0
        assert learned[split].isdisjoint(test_ids)
        assert all(example.language == ENGLISH for example in examples)
        assert test_texts.isdisjoint(tuple(example.inputs.values()) for example in examples)
        check_prompts(name, examples[:: max(1, len(examples) // 500)])
    assert learned["train"].isdisjoint(learned["validation"])


@pytest.mark.parametrize("name", ["sib200", "xnli", "terms", "emoji"])
def test_training_in_other_languages_is_apart_from_every_test_set(name: str) -> None:
    """By id, which is the same in all languages, and by text in its own."""
    task = registry.get(name)
    asked = {tuple(e.inputs.values()) for e in load(name, "test", "swh_Latn") or ()}
    tested = task.test_ids(Source(MIRROR))
    assert {e.id for e in load(name, "test", "swh_Latn") or ()} <= tested
    first = {e.id for e in load(name, "train", "deu_Latn") or ()}
    for code in ("swh_Latn", "tha_Thai"):
        trained = load(name, "train", code) or ()
        assert trained and all(e.language == code and e.id not in tested for e in trained)
        assert name in OWN_SPLITS or {e.id for e in trained} == first
    assert asked.isdisjoint(tuple(e.inputs.values()) for e in load(name, "train", "swh_Latn") or ())


@pytest.mark.parametrize("name", TASKS)
def test_the_notes_are_sentences_without_paths(name: str) -> None:
    source = Source(MIRROR)
    registry.get(name).examples("train", ENGLISH, source)
    assert source.notes
    assert all(note and "\n" not in note and str(MIRROR) not in note for note in source.notes)


@pytest.mark.parametrize("name", TASKS)
def test_rows_shared_with_the_test_set_are_counted_in_the_notes(name: str) -> None:
    source = Source(MIRROR)
    registry.get(name).examples("train", ENGLISH, source)
    if name not in OWN_SPLITS:
        assert any("with the test set and are dropped" in note for note in source.notes)


SHOT_PAIRS = [param(name, code) for name in registry.names() for code in registry.get(name).shot_languages()]


@pytest.mark.parametrize(("name", "language"), SHOT_PAIRS)
def test_shots_are_development_data_and_never_test_data(name: str, language: str) -> None:
    task = registry.get(name)
    assert task.shot_languages()[0] == ENGLISH and language in task.languages()
    pool = task.shot_pool(language, SOURCE)
    english = task.shot_pool(ENGLISH, SOURCE)
    test = load(name, "test", language) or ()
    assert {e.id for e in pool} == {e.id for e in english} and len({e.id for e in pool}) == len(pool) >= 8
    assert {e.id for e in pool}.isdisjoint(e.id for e in test)
    assert {tuple(e.inputs.values()) for e in pool}.isdisjoint(tuple(e.inputs.values()) for e in test)
    assert all(e.language == language for e in pool)
    check_prompts(name, pool[:50])


@pytest.mark.parametrize("name", [name for name in registry.names() if reads_hub(name)])
def test_where_there_is_no_development_data_there_are_no_shots(name: str) -> None:
    task = registry.get(name)
    for language in set(task.languages()[:3]) - set(task.shot_languages()):
        with pytest.raises(LanguageError, match="English only"):
            task.shot_pool(language, SOURCE)
