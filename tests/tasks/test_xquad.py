"""Law: ids and counts are the published ones, training is apart by article, and all four metrics tell their story."""

from __future__ import annotations

from typing import Any

import pytest
from tests.tasks.rows import Rows

from polyprefix.errors import DataError
from polyprefix.tasks import xquad
from polyprefix.tasks.base import Source
from polyprefix.tasks.xquad import ROWS, SQUAD, TASK, Xquad
from polyprefix.types import Prediction


def rows(kind: str, count: int, **cells: object) -> Rows:
    columns: dict[str, list[Any]] = {
        "id": [f"{kind}{i}" for i in range(count)],
        "title": [f"article {i // 10}" for i in range(count)],
        "context": [f"{kind} context {i // 5}" for i in range(count)],
        "question": [f"{kind} question {i}?" for i in range(count)],
        "answers": [{"text": [f"context {i // 5}"], "answer_start": [0]} for i in range(count)],
    }
    for name, value in cells.items():
        columns[name][7] = value
    return Rows(columns)


def serve(monkeypatch: pytest.MonkeyPatch, train: dict[str, object] | None = None, **cells: object) -> None:
    def load(dataset: str, *_: object) -> Rows:
        return rows("s", 2_000, **(train or {})) if dataset == SQUAD else rows("x", ROWS, **cells)

    monkeypatch.setattr(xquad, "load_rows", load)


def test_rows_become_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, answers={"text": ["one ", "two", "one"], "answer_start": [0, 0, 0]})
    example = Xquad().examples("test", "tha_Thai", Source())[7]
    assert example.references == ("one", "two")
    prompt = TASK.prompt(example)
    assert prompt.text == (
        "Answer the question with words of the context.\nContext: x context 1\nQuestion: x question 7?\nAnswer:"
    )
    assert (prompt.target, prompt.choices, prompt.stop) == (" one", (), ("\n",))


def test_train_and_validation_share_no_article_and_both_have_some(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch)
    source = Source()
    train, validation = (Xquad().examples(split, "eng_Latn", source) for split in ("train", "validation"))  # type: ignore[arg-type]
    assert len(train) + len(validation) == 2_000 and 20 <= len(validation) <= 220
    articles = [{int(e.id[1:]) // 10 for e in part} for part in (train, validation)]
    assert articles[0].isdisjoint(articles[1])
    assert "2,000 rows of rajpurkar/squad here, a subset of the published 87,599" in source.notes[0]
    assert [note.split()[2:4] for note in source.notes[1:]] == [["0", "of"]] * 2


@pytest.mark.parametrize("cells", [{"context": "X context 3."}, {"question": "x  question 1190"}])
def test_training_rows_of_the_test_set_are_dropped(monkeypatch: pytest.MonkeyPatch, cells: dict[str, object]) -> None:
    serve(monkeypatch, train=cells, question="x question 1190?")
    task, source = Xquad(), Source()
    everything = [*task.examples("train", "eng_Latn", source), *task.examples("validation", "eng_Latn", source)]
    assert len(everything) == 1_999 and "s7" not in {e.id for e in everything}
    assert sum(" 1 of" in note for note in source.notes) == 1


def test_an_example_without_an_answer_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, answers={"text": [" "], "answer_start": [0]})
    with pytest.raises(DataError, match=r"google/xquad xquad.th validation, row 7: no answer"):
        Xquad().examples("test", "tha_Thai", Source())


def test_official_and_language_aware_metrics_side_by_side() -> None:
    scores = TASK.score(
        [Prediction("a", "zho_Hans", ("北京",), "北京。"), Prediction("b", "zho_Hans", ("上海",), "上")]
    )
    figures = {name: score.value for name, score in scores.items()}
    assert figures == {
        "f1": 0, "exact_match": 0, "f1_language_aware": pytest.approx((1 + 2 / 3) / 2), "exact_match_language_aware": 0.5,
    }  # fmt: skip


def test_thai_words_are_found() -> None:
    scores = TASK.score([Prediction("a", "tha_Thai", ("ประเทศไทย",), "ในประเทศไทย")])
    assert scores["f1"].value == 0 < scores["f1_language_aware"].value < 1


def test_correctness_is_the_official_f1_and_averages_to_it() -> None:
    predictions = [
        Prediction("a", "eng_Latn", ("the red house",), "a red car"),
        Prediction("b", "eng_Latn", ("1990", "in 1990"), "In 1990."),
    ]
    values = [TASK.correctness(p) for p in predictions]
    assert values == [0.5, 1]
    assert TASK.score(predictions)["f1"].value == sum(values) / 2
