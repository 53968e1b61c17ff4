"""Law: topics are the published ones under the same ids everywhere, and each starts with a token of its own."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from tests.tasks.rows import SOURCE, Rows

from polyprefix.errors import DataError, LanguageError
from polyprefix.models.load import load_model
from polyprefix.tasks import sib200
from polyprefix.tasks.base import Source
from polyprefix.tasks.sib200 import LABELS, ROWS, TASK, TOPICS, Sib200
from polyprefix.types import Prediction


def rows(split: str, **cells: object) -> Rows:
    count = ROWS[split]  # type: ignore[index]
    columns: dict[str, list[Any]] = {
        "index_id": list(range(count)),
        "category": [list(TOPICS)[i % 7] for i in range(count)],
        "text": [f" {split} text {i}" for i in range(count)],
    }
    for name, value in cells.items():
        columns[name][7] = value
    return Rows(columns)


def serve(monkeypatch: pytest.MonkeyPatch, **cells: object) -> None:
    monkeypatch.setattr(sib200, "load_rows", lambda dataset, config, split, hub: rows(split, **cells))


def test_rows_become_examples(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch)
    examples = Sib200().examples("test", "swh_Latn", Source())
    assert [e.id for e in examples[:2]] == ["flores-0", "flores-1"]
    assert [e.references for e in examples[:2]] == [("science",), ("travel",)]
    assert TASK.prompt(examples[0]).text == (
        "Is the topic of the text science, travel, politics, sports, health, entertainment or geography?\n"
        "Text: test text 0\nTopic:"
    )


def test_training_rows_with_a_test_text_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, text="The SAME text!")
    monkeypatch.setattr(
        sib200, "load_rows", lambda d, c, split, h: rows(split, text="the same text" + "." * len(split))
    )
    source = Source()
    assert len(Sib200().examples("train", "eng_Latn", source)) == 700
    assert source.notes == [
        "SIB-200 train: 1 of 701 rows share a text with the test set and are dropped, such as 'the same text.....'."
    ]


@pytest.mark.parametrize(
    ("cells", "words"),
    [({"category": "cooking"}, "row 7: category 'cooking', expected"), ({"text": " "}, "row 7.*empty")],
)
def test_a_bad_row_is_named(monkeypatch: pytest.MonkeyPatch, cells: dict[str, object], words: str) -> None:
    serve(monkeypatch, **cells)
    with pytest.raises(DataError, match=words):
        Sib200().examples("test", "eng_Latn", Source())


def test_a_short_split_or_an_unknown_language_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sib200, "load_rows", lambda *_: rows("validation"))
    with pytest.raises(DataError, match="99 rows, the published split has 204"):
        Sib200().examples("test", "fra_Latn", Source())
    with pytest.raises(LanguageError, match="did you mean 'fra_Latn'"):
        TASK.examples("test", "fra_Latin", Source())


def test_macro_f1_counts_topics_alike() -> None:
    answers = ["science"] * 9 + ["travel"]
    predictions = [Prediction(str(i), "eng_Latn", (a,), "science") for i, a in enumerate(answers)]
    scores = TASK.score(predictions)
    assert scores["accuracy"].value == 0.9
    assert scores["macro_f1"].value == pytest.approx(18 / 19 / 7)


@pytest.mark.hub
def test_the_baseline_answers_the_most_frequent_topic_of_training() -> None:
    train = Counter(e.references[0] for e in TASK.examples("train", "eng_Latn", SOURCE))
    assert tuple(label for label, _ in train.most_common()) == LABELS
    test = TASK.examples("test", "eng_Latn", SOURCE)
    score = TASK.baselines(SOURCE, {"eng_Latn": test, "deu_Latn": []})["most frequent topic"]
    assert score["eng_Latn"].value == 51 / 204 and set(score) == {"eng_Latn"}


@pytest.mark.hub
def test_validation_is_there_in_every_language_with_the_same_ids() -> None:
    english, thai = (TASK.examples("validation", code, SOURCE) for code in ("eng_Latn", "tha_Thai"))
    assert [(e.id, e.references) for e in english] == [(e.id, e.references) for e in thai]


@pytest.mark.real
@pytest.mark.parametrize("model", ["gemma-3-270m", "smollm2-135m"])
def test_labels_are_single_tokens(model: str) -> None:
    tokenizer = load_model(model).tokenizer
    ids = [tokenizer(f" {label}", add_special_tokens=False)["input_ids"] for label in LABELS]
    assert all(len(row) == 1 for row in ids) and len(set(map(tuple, ids))) == 7
