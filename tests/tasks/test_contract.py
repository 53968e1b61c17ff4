"""Law: what holds for every task in every language, so that a score of any can be trusted like a score of any other.

Gold answers score 1, empty ones 0, and nothing is scored without predictions; ids are unique, and those of a parallel
task are the same in all languages; a prompt ends before its target and without white space; training never sees the
test set. A language that the mirror lacks is reported as missing data.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any

import pyarrow.parquet as parquet
import pytest
from tests.tasks.rows import MIRROR, SOURCE, Rows

from polyprefix import languages
from polyprefix.data.hub import MissingDataError, load_rows
from polyprefix.records import Example, Prediction, Split
from polyprefix.tasks import registry, sib200

ENGLISH = "eng_Latn"
TEST_ROWS = {"belebele": 900, "mgsm": 250, "sib200": 204, "xnli": 5_010, "xquad": 1_190}
"""The published size of each test split; a task that is not named here makes its own."""
LANGUAGES = {"belebele": 122, "mgsm": 11, "sib200": 205, "xnli": 15, "xquad": 12}
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


@pytest.fixture(autouse=True)
def quick_sib200(monkeypatch: pytest.MonkeyPatch) -> None:
    """Most of SIB-200's languages straight from the file: for each, `datasets` parses all 205 configurations."""

    def quick(dataset: str, config: str, split: str, hub: Path) -> Any:
        if sib200.LANGUAGES.index(config) % 25 == 0:
            return load_rows(dataset, config, split, hub)
        (file,) = (hub / dataset / config).glob(f"{split}-*.parquet")
        return Rows(parquet.read_table(file).to_pydict())

    monkeypatch.setattr(sib200, "load_rows", quick)


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
        assert all(example.answers == english[example.id].answers for example in examples)


def check_prompts(name: str, examples: Sequence[Example]) -> None:
    task = registry.get(name)
    for example in examples:
        prompt = task.prompt(example)
        assert (prompt.example_id, prompt.language) == (example.id, example.language)
        assert prompt.text == prompt.text.rstrip()
        assert prompt.target.strip() and not prompt.text.endswith(prompt.target.strip())
        assert prompt.target.strip() == example.answers[0]
        assert all(piece in prompt.text for piece in example.inputs.values())
        assert tuple(example.inputs) == task.info.inputs
        assert example.choices == task.info.labels
        if example.choices:
            assert prompt.choices == tuple(f" {choice}" for choice in example.choices)
            assert len(set(prompt.choices)) == len(prompt.choices) and prompt.target in prompt.choices
            assert len(example.answers) == 1 and not prompt.stop
        else:
            assert not prompt.choices and prompt.stop
            assert not any(stop in prompt.target for stop in prompt.stop)


def check_scores(name: str, examples: Sequence[Example]) -> None:
    task = registry.get(name)

    def answered(predicted: Sequence[str]) -> list[Prediction]:
        return [Prediction(e.id, e.language, e.answers, p) for e, p in zip(examples, predicted, strict=True)]

    gold = answered([task.prompt(example).target for example in examples])
    if examples[0].choices:  # the engine names the choice, without the space before it
        gold = answered([example.answers[0] for example in examples])
    for predictions, value in ((gold, 1.0), (answered([""] * len(examples)), 0.0)):
        scores = task.score(predictions)
        assert tuple(scores) == task.info.metrics
        assert {(score.value, score.n) for score in scores.values()} == {(value, len(examples))}
        assert {task.correctness(prediction) for prediction in predictions} == {value}


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


@pytest.mark.parametrize("name", TASKS)
def test_the_notes_are_sentences_without_paths(name: str) -> None:
    load(name, "train", ENGLISH)
    notes = registry.get(name).notes()
    assert all(note and "\n" not in note and str(MIRROR) not in note for note in notes)
