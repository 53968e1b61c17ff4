"""Law: a solution counts by the number it ends with, in the digits and separators of every script."""

from __future__ import annotations

from typing import Any

import pytest
from tests.tasks.rows import SOURCE, Rows

from polyprefix.errors import DataError
from polyprefix.tasks import mgsm
from polyprefix.tasks.base import Source
from polyprefix.tasks.mgsm import CONFIGS, GSM8K, PHRASES, TASK, Mgsm, strict_match, worked_solution
from polyprefix.types import Prediction


def serve(monkeypatch: pytest.MonkeyPatch, **cells: object) -> None:
    def load(dataset: str, config: str, split: str, hub: object) -> Rows:
        count = {"train": 7_473, "test": 1_319}[split] if dataset == GSM8K else {"train": 8, "test": 250}[split]
        kind = "problem" if split == "test" else "training problem"
        columns: dict[str, list[Any]] = {"question": [f"Frage: {kind} {i}" for i in range(count)]}
        columns["answer"] = [f"Lösung: It is <<{i}+1={i + 1}>>{i + 1}.\n#### {i + 1:,}" for i in range(count)]
        columns["answer_number"] = list(range(1, count + 1))
        for name, value in cells.items():
            columns[name][7] = value
        return Rows(columns)

    monkeypatch.setattr(mgsm, "load_rows", load)


def test_a_worked_solution_has_no_annotations_and_says_the_answer() -> None:
    text = "He pays $<<5*200=1000>>1,000.\n\nThat is all.\n#### 1,000"
    assert worked_solution(text) == ("He pays $1,000.\nThat is all.\nThe answer is 1000.", "1000")


def test_training_teaches_the_solution_and_testing_asks_for_the_number(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch)
    train, test = TASK.examples("train", "eng_Latn", Source())[1_000], TASK.examples("test", "deu_Latn", Source())[0]
    assert train.references == ("Lösung: It is 1001.\nThe answer is 1001.", "1001")
    assert test.references == ("The answer is 1.", "1")
    prompt = TASK.prompt(test)
    assert prompt.text == (
        'Solve the problem step by step and end with "The answer is" and the number.\nQuestion: Frage: problem 0\nAnswer:'
    )
    assert prompt.target == " The answer is 1." and not prompt.choices
    assert not any(stop in TASK.prompt(train).target for stop in prompt.stop)


def test_english_validation_is_what_mgsm_left_of_gsm8k(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch)
    validation = Mgsm().examples("validation", "eng_Latn", Source())
    assert len(validation) == 1_319 - 250 == 1_069
    assert validation[0].inputs["question"] == "Frage: problem 250"


def test_shared_problems_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, question="the same question")
    source = Source()
    assert len(Mgsm().examples("train", "eng_Latn", source)) == 7_472
    assert source.notes == [
        "MGSM train: 1 of 7,473 rows share a question with the test set and are dropped, such as 'the same question'."
    ]


def test_a_solution_without_a_number_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, answer="No idea.\n#### ?")
    with pytest.raises(DataError, match="openai/gsm8k main train, row 7: no number after ####"):
        Mgsm().examples("train", "eng_Latn", Source())


@pytest.mark.parametrize(
    ("language", "text", "flexible", "strict"),
    [
        ("eng_Latn", "16 - 3 = 13. The answer is 1,234.", 1, 1), ("eng_Latn", "It is 1234.", 1, 0),
        ("eng_Latn", "The answer is 1234. Of 5.", 0, 1), ("eng_Latn", "The answer is 12345.", 0, 0),
        ("deu_Latn", "Die Antwort lautet 1.234,00.", 1, 1), ("fra_Latn", "La réponse est 1\u202f234.", 1, 1),
        ("deu_Latn", "La réponse est 1234", 1, 0), ("ben_Beng", "উত্তর হল ১২৩৪।", 1, 1), ("jpn_Jpan", "答えは1234個です", 1, 1),
        ("tha_Thai", "คำตอบคือ ๑,๒๓๔", 1, 1), ("rus_Cyrl", "Ответ — 1 234.", 1, 1), ("zho_Hans", "答案是１２３４。", 1, 1),
        ("swh_Latn", "the answer is: $1234", 1, 1), ("tel_Telu", "", 0, 0), ("spa_Latn", "no lo sé", 0, 0),
    ],
)  # fmt: skip
def test_flexible_and_strict(language: str, text: str, flexible: int, strict: int) -> None:
    prediction = Prediction("test-0", language, ("The answer is 1234.", "1234"), text)
    assert (TASK.correctness(prediction), strict_match(prediction)) == (flexible, strict)
    scores = TASK.score([prediction])
    assert [scores[name].value for name in ("exact_match_flexible", "exact_match_strict")] == [flexible, strict]


@pytest.mark.hub
@pytest.mark.parametrize("language", [code for code in CONFIGS if code != "eng_Latn"])
def test_the_solved_problems_announce_their_answer_as_the_phrases_say(language: str) -> None:
    solved = TASK.examples("validation", language, SOURCE)
    assert [e.references[-1] for e in solved] == ["11", "29", "39", "9", "33", "8", "8", "5"]
    for example in solved:
        assert any(phrase in example.references[0] for phrase in PHRASES[language])
        prediction = Prediction(example.id, language, example.references, example.references[0])
        assert TASK.correctness(prediction) == strict_match(prediction) == 1
        assert not example.inputs["question"].startswith(("Frage", "Question", "Задача"))
