"""Law: rows in memory make the same task as the same rows in files, with the same messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import datasets
import pandas as pd
import pytest

import polyprefix as pp
from polyprefix.errors import ConfigError, DataError
from polyprefix.tasks.base import Source

HEADLINES = Path(__file__).parents[2] / "examples" / "headlines"


def frame(**more: list[Any]) -> pd.DataFrame:
    rows = [("train", "en", f"text {n}", "ab"[n % 2]) for n in range(12)]
    rows += [("test", code, f"{code} {n}", "ab"[n % 2]) for code in ("English", "sw", "deu_Latn") for n in range(3)]
    return pd.DataFrame(rows, columns=["split", "language", "text", "label"]).assign(**more)


def asked(task: pp.Task, split: Any, language: str) -> list[Any]:
    examples = task.examples(split, language, Source())
    return [(e.inputs, e.choices, e.references) for e in examples]


def test_the_defaults_are_enough() -> None:
    task = pp.Task.from_pandas(frame(), task_type="classification")
    assert task.languages() == ("eng_Latn", "deu_Latn", "swh_Latn")
    [first, *_] = task.examples("test", "swh_Latn", Source())
    assert first.choices == ("a", "b") and first.references == ("a",)
    assert task.prompt(first).text.endswith("Text: sw 0\nLabel:")
    assert len(asked(task, "train", "eng_Latn")) + len(asked(task, "validation", "eng_Latn")) == 12


def test_a_frame_is_the_same_task_as_its_file(tmp_path: Path) -> None:
    frame().to_json(tmp_path / "all.jsonl", orient="records", lines=True)
    task = pp.Task.from_pandas(frame(), task_type="classification", template="{text}:", labels=["a", "b"])
    for split in ("train", "test"):
        frame().query("split == @split").to_csv(tmp_path / f"{split}.csv", index=False)
    (tmp_path / "task.yaml").write_text(
        "task_type: classification\ntemplate: '{text}:'\nlabels: [a, b]\ncolumns: {answer: label, language: language}\n"
        "files: {test: test.csv, train: train.csv}\n"
    )
    file = pp.load_task(tmp_path)
    assert file.languages() == task.languages()
    for split, code in (("test", "swh_Latn"), ("test", "eng_Latn"), ("train", "eng_Latn"), ("validation", "eng_Latn")):
        assert asked(task, split, code) == asked(file, split, code)  # type: ignore[arg-type]


def test_datasets_and_their_class_labels() -> None:
    rows = frame()
    whole = datasets.Dataset.from_pandas(rows, preserve_index=False).class_encode_column("label")
    parts = datasets.DatasetDict({s: whole.filter(lambda row, s=s: row["split"] == s) for s in ("train", "test")})
    expected = pp.Task.from_pandas(rows, task_type="classification")
    for task in (
        pp.Task.from_dataset(whole, task_type="classification"),
        pp.Task.from_dataset(parts, task_type="classification"),
    ):
        assert asked(task, "test", "swh_Latn") == asked(expected, "test", "swh_Latn")
        assert task.digest() != pp.Task.from_pandas(rows.iloc[1:], task_type="classification").digest()


@pytest.mark.parametrize(
    ("task_type", "columns", "more"),
    [
        ("multiple-choice", {"A": "x", "B": "y", "label": "B"}, {"choices": ["A", "B"]}),
        ("span", {"context": "a b c", "label": [["b"]] * 21}, {}),
        ("generation", {"label": "an answer"}, {"metric": "f1", "max_new_tokens": 4}),
    ],
)
def test_the_other_task_types(task_type: str, columns: dict[str, Any], more: dict[str, Any]) -> None:
    task = pp.Task.from_pandas(frame(**columns), task_type=task_type, **more)
    assert len(asked(task, "test", "swh_Latn")) == 3
    assert task.prompt(task.examples("test", "swh_Latn", Source())[0]).target.strip()


@pytest.mark.parametrize(
    ("change", "settings", "words"),
    [
        ({}, {"task_type": "classify"}, ["classify", "classification"]),
        ({"label": None}, {"labels": ["a", "b"]}, ["data frame, row", "column 'label'"]),
        ({"language": "Klingonese"}, {}, ["column 'language'", "Klingonese"]),
        ({"split": "train"}, {}, ["test rows"]),
        ({"split": "held"}, {}, ["column 'split'", "held", "train, validation or test"]),
        ({}, {"text": "body"}, ["column 'body'", "no such column"]),
        ({}, {"labels": ["a", "c"]}, ["column 'label'", "one of 2 values"]),
        ({"text": ["x", 1] * 10 + ["x"]}, {}, ["mixed values"]),
        ({}, {"shape": 1}, ["shape"]),
    ],
)
def test_mistakes_are_told_with_their_place(change: dict[str, Any], settings: dict[str, Any], words: list[str]) -> None:
    with pytest.raises((ConfigError, DataError)) as told:
        pp.Task.from_pandas(frame(**change), **{"task_type": "classification", **settings})
    for word in words:
        assert word in str(told.value), str(told.value)
    assert "\n" not in str(told.value)
