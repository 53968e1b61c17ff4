"""Law: every language has the same 5,010 items under the same ids, labels are as published, and shortness is told."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from polyprefix.data.hub import MissingDataError
from polyprefix.errors import DataError, LanguageError
from polyprefix.tasks import xnli
from polyprefix.tasks.base import Source
from polyprefix.tasks.xnli import CONFIGS, LABELS, ROWS, Xnli
from polyprefix.types import Prediction

SOURCE = Source()
MIRROR = Path(os.environ.get("POLYPREFIX_HUB", Path(__file__).parents[3] / "shared" / "hub"))


class Rows(dict[str, list[Any]]):
    """Columns with the length of a data set."""

    def __len__(self) -> int:
        return len(next(iter(self.values())))


def rows(count: int, kind: str = "test", **cells: object) -> Rows:
    """Rows without an error but for the given cells, which go into row 7."""
    columns: dict[str, list[Any]] = {
        "premise": [f"{kind} premise {i}" for i in range(count)],
        "hypothesis": [f"{kind} hypothesis {i}" for i in range(count)],
        "label": [i % 3 for i in range(count)],
    }
    for name, value in cells.items():
        columns[name][7] = value
    return Rows(columns)


def serve(monkeypatch: pytest.MonkeyPatch, **cells: object) -> list[tuple[str, str | None, str]]:
    """Serve rows as the Hub would; returns what was asked for."""
    asked = []

    def load(dataset: str, config: str | None, split: str, hub: Path | None) -> Rows:
        asked.append((dataset, config, split))
        return rows(1_000 if split == "train" else ROWS[split], split, **cells)  # type: ignore[index]

    monkeypatch.setattr(xnli, "load_rows", load)
    return asked


def test_the_test_split_is_test_and_ids_are_row_numbers(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = serve(monkeypatch)
    task = Xnli()
    english = task.examples("test", "eng_Latn", SOURCE)
    swahili = task.examples("test", "swh_Latn", SOURCE)
    assert asked == [("facebook/xnli", "en", "test"), ("facebook/xnli", "sw", "test")]
    assert [e.id for e in english] == [e.id for e in swahili] == [f"test-{i}" for i in range(5_010)]
    assert [e.references for e in english[:3]] == [("yes",), ("maybe",), ("no",)]
    assert len(set(CONFIGS.values())) == 15


def test_a_short_test_split_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xnli, "load_rows", lambda *_: rows(2_490))
    with pytest.raises(DataError, match=r"facebook/xnli fr test: 2,490 rows, the published split has 5,010"):
        Xnli().examples("test", "fra_Latn", SOURCE)


def test_a_short_training_split_is_noted_with_its_size(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch)
    source = Source()
    assert len(Xnli().examples("train", "eng_Latn", source)) == 1_000
    assert "1,000 of the 392,702" in source.notes[0]


def test_training_falls_back_to_multinli_only_where_the_split_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def load(dataset: str, config: str | None, split: str, hub: Path | None) -> Rows:
        if dataset == "facebook/xnli" and split == "train":
            raise MissingDataError("no split 'train'")
        return rows(ROWS[split], split)  # type: ignore[index]

    monkeypatch.setattr(xnli, "load_rows", load)
    task, source = Xnli(), Source()
    assert len(task.examples("train", "eng_Latn", source)) == ROWS["train"]
    assert "nyu-mll/multi_nli" in source.notes[0]

    def damaged(*_: object) -> Rows:
        raise DataError("file x: damaged")

    monkeypatch.setattr(xnli, "load_rows", damaged)
    with pytest.raises(DataError, match="damaged"):
        task.examples("train", "eng_Latn", SOURCE)


def test_training_rows_with_a_premise_of_the_test_set_are_dropped_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, premise="The same  premise.")
    source = Source()
    assert "train-7" not in {e.id for e in Xnli().examples("train", "eng_Latn", source)}
    assert (
        source.notes[-1]
        == "XNLI train: 1 of 1,000 rows share a premise with the test set and are dropped, such as 'The same premise.'."
    )


@pytest.mark.parametrize(
    "cells", [{"premise": ""}, {"hypothesis": " \n"}, {"premise": None}, {"label": -1}, {"label": 3}, {"label": None}]
)
def test_a_faulty_row_is_named(monkeypatch: pytest.MonkeyPatch, cells: dict[str, object]) -> None:
    serve(monkeypatch, **cells)
    with pytest.raises(DataError, match=f"facebook/xnli de test, row 7: .*{next(iter(cells))}"):
        Xnli().examples("test", "deu_Latn", SOURCE)


def test_a_missing_column_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xnli, "load_rows", lambda *_: Rows(premise=["a"] * 5_010, label=[0] * 5_010))
    with pytest.raises(DataError, match="no column 'hypothesis'"):
        Xnli().examples("test", "deu_Latn", SOURCE)


def test_languages_and_splits_that_are_not_there_are_refused() -> None:
    with pytest.raises(LanguageError, match="xnli: no data in 'ita_Latn'"):
        Xnli().examples("test", "ita_Latn", SOURCE)
    with pytest.raises(LanguageError, match="xnli: no data in 'ita_Latn'"):
        Xnli().examples("train", "ita_Latn", SOURCE)


def test_the_prompt_ends_before_the_answer_and_takes_any_text(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch, premise="{hypothesis} " * 10_000, hypothesis="Answer: yes\n{x}")
    example = Xnli().examples("test", "eng_Latn", SOURCE)[7]
    prompt = Xnli().prompt(example)
    assert prompt.text.endswith("Hypothesis: Answer: yes\n{x}\nAnswer:")
    assert prompt.text.count("{hypothesis}") == 10_000
    assert prompt.choices == (" yes", " maybe", " no")
    assert prompt.target == prompt.choices[LABELS.index(example.references[0])]


def test_right_answers_score_1_wrong_ones_0() -> None:
    def predictions(answer: dict[str, str]) -> list[Prediction]:
        return [Prediction(str(i), "eng_Latn", (LABELS[i % 3],), answer[LABELS[i % 3]]) for i in range(30)]

    right = Xnli().score(predictions({label: label for label in LABELS}))
    wrong = Xnli().score(predictions({"yes": "no", "no": "maybe", "maybe": ""}))
    for metric in Xnli.info.metrics:
        assert (right[metric].value, wrong[metric].value) == (1, 0)
        assert right[metric].n == 30
    constant = Xnli().score(predictions(dict.fromkeys(LABELS, "yes")))
    assert constant["accuracy"].value == pytest.approx(1 / 3)
    assert constant["macro_f1"].value == pytest.approx(1 / 6)  # F1 of yes 0.5, of the others 0


@pytest.mark.hub
def test_the_mirror_holds_the_published_rows_in_parallel() -> None:
    task, source = Xnli(), Source(MIRROR)
    labels = None
    for code in task.languages():
        examples = task.examples("test", code, source)
        assert Counter(e.references[0] for e in examples) == dict.fromkeys(LABELS, 1_670)
        assert labels in (None, [e.references for e in examples])
        labels = [e.references for e in examples]
    assert len(task.examples("validation", "eng_Latn", source)) == 2_490


@pytest.mark.hub
def test_training_and_test_share_no_premise() -> None:
    task, source = Xnli(), Source(MIRROR)
    train = {e.inputs["premise"] for e in task.examples("train", "eng_Latn", source)}
    assert train and not train & {e.inputs["premise"] for e in task.examples("test", "eng_Latn", source)}


@pytest.mark.real
@pytest.mark.parametrize("name", ["gemma-3-270m", "smollm2-135m"])
def test_labels_are_single_tokens_of_the_embedded_models(name: str) -> None:
    from polyprefix.models.load import load_model

    tokenizer = load_model(name, device="cpu").tokenizer
    head = tokenizer("Hypothesis: x\nAnswer:")["input_ids"]
    tails = [tokenizer(f"Hypothesis: x\nAnswer: {label}")["input_ids"] for label in LABELS]
    assert all(ids[:-1] == head for ids in tails)
    assert len({ids[-1] for ids in tails}) == 3
