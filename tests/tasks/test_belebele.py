"""Law: rows are joined by passage and question, subsets are named, and training follows the paper's recipe."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.tasks.rows import SOURCE, Rows

from polyprefix.data.hub import MissingDataError
from polyprefix.errors import DataError
from polyprefix.tasks import _belebele_training as training
from polyprefix.tasks import belebele
from polyprefix.tasks.base import Source
from polyprefix.tasks.belebele import TASK, Belebele

HUB = Source(Path("a-mirror"))
TEXTS = ("flores_passage", "question", "mc_answer1", "mc_answer2", "mc_answer3", "mc_answer4")


def rows(count: int = 900, reverse: bool = False, **cells: object) -> Rows:
    order = list(range(count))[:: -1 if reverse else 1]
    columns: dict[str, list[Any]] = {name: [f"{name} {i}" for i in order] for name in TEXTS}
    columns |= {"link": [f"https://w/{i // 2}" for i in order], "question_number": [i % 2 + 1 for i in order]}
    columns |= {"correct_answer_num": [str(i % 4 + 1) for i in order], "seahelm_id": order}
    for name, value in cells.items():
        columns[name][7] = value
    return Rows(columns)


PARTS: dict[str, dict[str, list[Any]]] = {
    "ehovy/race": {
        "example_id": ["high1.txt"] * 2 + ["high2.txt"] * 2,
        "article": ["Short. Text."] * 2 + ["One. " * 26, "flores passage 3!"],
        "question": ["Who?", "The man is _ .", "Too long?", "Shared?"],
        "options": [["a", "b", "c", "d"]] * 4,
        "answer": ["C", "A", "B", "D"],
    },
    "aps/super_glue": {
        "paragraph": ["P."] * 9,
        "question": ["one right"] * 5 + ["two right"] * 4,
        "answer": ["r", "w1", "w2", "w3", "w4", "x", "y", "z", "q"],
        "idx": [{"paragraph": 0, "question": 0}] * 5 + [{"paragraph": 0, "question": 1}] * 4,
        "label": [1, 0, 0, 0, 0, 1, 1, 0, 0],
    },
    "sagnikrayc/mctest": {
        "idx": [{"story": "mc500.train.0", "question": 0}],
        "story": ["S."],
        "question": ["Why?"],
        "answer_options": [{"A": "1", "B": "2", "C": "3", "D": "4"}],
        "answer": ["B"],
    },
    "local/mcscript": {
        "passage_id": ["0", "0", "0", "1"],
        "question_id": ["0", "1", "2", "0"],
        "passage": ["T."] * 3 + ["U."],
        "question": ["q0", "q1", "q2", "alone"],
        "answer_0": ["Yes", "home", "no", "red"],
        "answer_1": ["No", "shop", "late", "blue"],
        "label": [1, 0, 1, 0],
    },
}


def serve(monkeypatch: pytest.MonkeyPatch, parts: dict[str, dict[str, list[Any]]] = PARTS, **cells: object) -> None:
    def load(dataset: str, config: str | None, split: str, hub: Path | None) -> Rows:
        if dataset == belebele.BELEBELE and config not in ("jav_Latn", "zul_Latn"):
            return rows(reverse=config == "ind_Latn", **cells)
        if dataset == belebele.SUBSET and config == "jav_Latn":
            return rows(280)
        if dataset not in parts:
            raise MissingDataError(f"{dataset}: not in the local mirror {hub}")
        return Rows(parts[dataset])

    monkeypatch.setattr(belebele, "load_rows", load)
    monkeypatch.setattr(training, "load_rows", load)


def test_rows_in_any_order_have_the_ids_of_their_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch)
    english, indonesian = (TASK.examples("test", code, HUB) for code in ("eng_Latn", "ind_Latn"))
    assert english[0].id == indonesian[-1].id == "https://w/0#1"
    assert {e.id: e.references for e in english} == {e.id: e.references for e in indonesian}
    assert TASK.prompt(english[1]).text == (
        "Read the passage and answer the question with A, B, C or D.\nPassage: flores_passage 1\nQuestion: question 1\n"
        "A: mc_answer1 1\nB: mc_answer2 1\nC: mc_answer3 1\nD: mc_answer4 1\nAnswer:"
    )
    assert TASK.prompt(english[1]).target == " B"


def test_a_subset_is_read_only_from_a_mirror_and_named(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch)
    task, fresh = Belebele(), Source(HUB.hub)
    assert [e.id for e in task.examples("test", "jav_Latn", fresh)[:2]] == ["seahelm-0", "seahelm-1"]
    assert "jav_Latn: a subset, SEA-HELM's 280 of the 900" in fresh.notes[0]
    for language, source in (("jav_Latn", Source()), ("zul_Latn", HUB)):
        with pytest.raises(MissingDataError, match="facebook/belebele"):
            task.examples("test", language, source)


@pytest.mark.parametrize(
    ("cells", "words"),
    [
        ({"correct_answer_num": "5"}, "row 7: correct_answer_num '5', expected 1 to 4"),
        ({"mc_answer2": ""}, "row 7: the B is empty"),
        ({"question_number": 1}, r"1 repeated \(link, question_number\)"),
    ],
)
def test_a_bad_row_is_named(monkeypatch: pytest.MonkeyPatch, cells: dict[str, object], words: str) -> None:
    serve(monkeypatch, **cells)
    with pytest.raises(DataError, match=words):
        TASK.examples("test", "eng_Latn", HUB)


def test_the_recipe_keeps_what_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch)
    fresh = Source(HUB.hub)
    examples = {e.id.removeprefix("train-"): e for e in Belebele().examples("train", "eng_Latn", fresh)}
    mcscript = {f"mcscript-{p}-{q}" for p, q in ((0, 0), (0, 1), (0, 2), (1, 0))}
    assert set(examples) == {"race-high1.txt-1", "multirc-0-0", "mc500.train.0-0", *mcscript}
    race = examples["race-high1.txt-1"]
    assert race.references == ("C",) and [race.inputs[c] for c in "ABCD"] == ["a", "b", "c", "d"]
    multirc = examples["multirc-0-0"]
    assert multirc.inputs[multirc.references[0]] == "r"
    assert {multirc.inputs[c] for c in "ABCD"} - {"r"} < {"w1", "w2", "w3", "w4"}
    notes = " ".join(fresh.notes)
    assert "without SciQ (no allenai/sciq)" in notes and "without ReClor" in notes
    assert "RACE has 4 of 87,866 rows here" in notes
    assert "1 of 8 rows share a passage or question with the test set and are dropped" in notes


def test_two_answers_are_padded_with_those_of_other_questions(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch)
    examples = {e.id: e for e in TASK.examples("train", "eng_Latn", HUB)}
    first, alone = examples["train-mcscript-0-0"], examples["train-mcscript-1-0"]
    assert first.inputs[first.references[0]] == "No"
    options = [first.inputs[c] for c in "ABCD"]
    assert {"Yes", "No"} < set(options) <= {"Yes", "No", "home", "shop", "late"}  # `no` would be a second right one
    assert alone.inputs[alone.references[0]] == "red"
    assert {alone.inputs[c] for c in "ABCD"} - {"red", "blue"} < {"No", "home", "late"}  # right answers elsewhere
    assert examples == {e.id: e for e in TASK.examples("train", "eng_Latn", HUB)}


def test_sciq_and_reclor_where_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    sciq = {
        "support": ["S.", "S.", " "],
        "question": ["What?", "It is _?", "No passage?"],
        "correct_answer": ["right"] * 3,
        **{f"distractor{i}": [f"wrong {i}"] * 3 for i in (1, 2, 3)},
    }
    reclor = {"context": ["C. " * 30], "question": ["Which?"], "answers": [["a", "b", "c", "d"]], "label": [3]}
    serve(monkeypatch, parts={"allenai/sciq": sciq, "metaeval/reclor": reclor})
    examples = {e.id: e for e in TASK.examples("train", "eng_Latn", HUB)}
    assert set(examples) == {"train-sciq-0", "train-reclor-0"}
    first = examples["train-sciq-0"]
    assert first.inputs[first.references[0]] == "right"
    assert sorted(first.inputs[c] for c in "ABCD") == ["right", "wrong 1", "wrong 2", "wrong 3"]
    assert examples["train-reclor-0"].references == ("D",)


def test_training_without_any_part_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, parts={})
    with pytest.raises(DataError, match="none of RACE"):
        TASK.examples("train", "eng_Latn", HUB)


def test_a_damaged_file_of_a_mirror_is_an_error_and_of_the_hub_a_note(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch)
    good = training.load_rows

    def load(dataset: str, *rest: Any) -> Any:
        if dataset == "sagnikrayc/mctest":
            raise DataError("mctest: damaged")
        return good(dataset, *rest)

    monkeypatch.setattr(training, "load_rows", load)
    with pytest.raises(DataError, match="damaged"):
        training.training_questions("train", HUB)
    _, notes = training.training_questions("train", Source())
    assert "Belebele train: without MCTest (mctest: damaged)." in notes
    assert "Belebele train: without MCScript 1.0 (no local/mcscript)." in notes


@pytest.mark.hub
def test_both_subsets_have_the_same_ids_and_answers() -> None:
    javanese, sundanese = (TASK.examples("test", code, SOURCE) for code in ("jav_Latn", "sun_Latn"))
    assert [(e.id, e.references) for e in javanese] == [(e.id, e.references) for e in sundanese]


@pytest.mark.hub
def test_the_passages_are_the_published_488() -> None:
    for code in ("eng_Latn", "deu_Latn", "ind_Latn", "tha_Thai", "vie_Latn"):
        assert len({e.inputs["passage"] for e in TASK.examples("test", code, SOURCE)}) == 488
