"""Law: a task file gives a task like any other, of four task types and three formats; what is wrong with it is told all at once.

Gold answers score 1 and empty ones 0; ids are parallel or kept apart; training never has what the test set has, and what is held
out for validation does not change when rows are added; other data has another digest, another place has not.
"""

from __future__ import annotations

import csv
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from polyprefix.config import RunConfig
from polyprefix.errors import ConfigError, DataError
from polyprefix.tasks import registry
from polyprefix.tasks._custom import CustomTask
from polyprefix.tasks.base import Source, Task
from polyprefix.types import Example, Prediction

HEADLINES = Path(__file__).parents[2] / "examples" / "headlines"
SOURCE = Source()
QUESTION = {"question": "How many legs has {}?", "context": "{} has 6 legs and 2 wings."}
TASK_TYPES: dict[str, dict[str, Any]] = {
    "classification": {"template": "{question}\nAnswer:", "labels": {0: "none", "1": "some"}},
    "multiple-choice": {"template": "{question} A: {a} B: {b}\nAnswer:", "choices": {0: "a", 1: "b"}, "labels": ["A", "B"]},
    "span": {"template": "{context}\n{question}\nAnswer:"},
    "generation": {"template": "{question}\nAnswer:", "metric": "number", "stop": "\n\n", "max_new_tokens": 9},
}  # fmt: skip
ANSWERS: dict[str, Any] = {"classification": 1, "multiple-choice": 1, "span": ["6 legs", "6"], "generation": "It is\n6"}


def rows(kind: str, count: int, start: int = 0) -> list[dict[str, Any]]:
    names = [f"insect {n}" for n in range(start, start + count)]
    return [
        {"key": name, **{k: text.format(name) for k, text in QUESTION.items()}, "a": f"a{name}", "b": f"b{name}", "answer": ANSWERS[kind]}
        for name in names
    ]  # fmt: skip


def write(path: Path, items: Sequence[dict[str, Any]]) -> None:
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(list(items)), path)
    elif path.suffix == ".csv":
        with path.open("w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, list(items[0]))
            writer.writeheader()
            writer.writerows(items)
    else:
        path.write_text("".join(json.dumps(item) + "\n" for item in items), encoding="utf-8")


def make(folder: Path, task_type: str = "classification", suffix: str = ".jsonl", **more: Any) -> Task:
    """A task with test data in English and Swahili, and 40 training rows."""
    for code in ("en", "Swahili"):
        write(folder / f"test-{code}{suffix}", rows(task_type, 8))
    write(folder / f"train{suffix}", rows(task_type, 40, start=6))
    files = {"test": f"test-{{language}}{suffix}", "train": f"train{suffix}"}
    content = {"task_type": task_type, **TASK_TYPES[task_type], "files": files, "columns": {"id": "key"}, **more}
    (folder / "task.yaml").write_text(yaml.safe_dump(content), encoding="utf-8")
    return registry.get(str(folder))


def answered(examples: Sequence[Example], text: Callable[[Example], str]) -> list[Prediction]:
    return [Prediction(e.id, e.language, e.references, text(e)) for e in examples]


@pytest.mark.parametrize(
    ("task_type", "suffix"),  # a list of answers is not in a CSV file
    [
        (one, suffix)
        for one in TASK_TYPES
        for suffix in (".jsonl", ".csv", ".parquet")
        if (one, suffix) != ("span", ".csv")
    ],
)
def test_every_task_type_in_every_format(task_type: str, suffix: str, tmp_path: Path) -> None:
    task = make(tmp_path, task_type, suffix)
    assert isinstance(task, Task) and task.languages() == ("eng_Latn", "swh_Latn")
    examples = task.examples("test", "swh_Latn", SOURCE)
    assert [e.id for e in examples] == [e.id for e in task.examples("test", "eng_Latn", SOURCE)]
    for example in examples:
        prompt = task.prompt(example)
        assert example.inputs["question"] in prompt.text and prompt.text == prompt.text.rstrip()
        assert tuple(example.inputs) == task.info.inputs and example.choices == task.info.labels
        assert prompt.target == f" {example.references[0]}" and (prompt.target in prompt.choices or prompt.stop)
    for predictions, value in (
        (answered(examples, lambda e: e.references[0]), 1.0),
        (answered(examples, lambda e: ""), 0.0),
    ):
        scores = task.score(predictions)
        assert tuple(scores) == task.info.metrics
        assert next(iter(scores.values())).value == value == task.correctness(predictions[0])
    with pytest.raises(ValueError):
        task.score([])
    assert task.info.chance == (0.5 if example.choices else 0)


def test_the_options_themselves_may_be_the_answers(tmp_path: Path) -> None:
    task = make(tmp_path, "multiple-choice", template="{question}\nAnswer:", labels=None)
    first = task.examples("test", "eng_Latn", SOURCE)[0]
    assert first.choices == ("ainsect 0", "binsect 0") and first.references == ("binsect 0",)
    assert task.info.options == ("a", "b") and task.prompt(first).choices == (" ainsect 0", " binsect 0")


def test_training_has_nothing_of_the_test_set_and_validation_is_stable(tmp_path: Path) -> None:
    task = make(tmp_path)
    source = Source()
    train, held = (task.examples(split, "eng_Latn", source) for split in ("train", "validation"))
    ids = {e.id for e in train}
    assert len(train) + len(held) == 38 and ids.isdisjoint(e.id for e in held) and held
    assert any("38" not in note and "2 of" in note for note in source.notes) and "held out" in " ".join(source.notes)
    write(tmp_path / "train.jsonl", rows("classification", 80, start=6))
    more = registry.get(str(tmp_path))
    assert {e.id for e in held} <= {e.id for e in more.examples("validation", "eng_Latn", SOURCE)}
    with pytest.raises(
        DataError, match=r"found no Swahili rows, expected some \(swh_Latn\); it has rows in English \(eng_Latn\)"
    ):
        task.examples("train", "swh_Latn", SOURCE)


def test_one_file_may_hold_all_languages(tmp_path: Path) -> None:
    both = [{**row, "in": code} for code in ("en", "sw", "zh-TW") for row in rows("classification", 3)]
    write(tmp_path / "all.parquet", both)
    files = {"test": "all.parquet", "train": "train.jsonl", "validation": "all.parquet"}
    task = make(tmp_path, files=files, columns={"language": "in"}, parallel=True)
    assert task.languages() == ("eng_Latn", "swh_Latn", "zho_Hant-TW")
    assert [e.id for e in task.examples("test", "swh_Latn", SOURCE)] == ["test-0", "test-1", "test-2"]
    assert len(task.examples("train", "eng_Latn", SOURCE)) == 40  # no such column in it: English


def test_validation_in_other_languages_serves_as_shots(tmp_path: Path) -> None:
    for code in ("en", "sw"):
        write(tmp_path / f"dev-{code}.jsonl", rows("classification", 4, start=60))
    files = {"test": "test-{language}.jsonl", "train": "train.jsonl", "validation": "dev-{language}.jsonl"}
    task = make(tmp_path, files=files)
    assert task.shot_languages() == ("eng_Latn", "swh_Latn") and make(tmp_path).shot_languages() == ("eng_Latn",)
    english, swahili = (task.shot_pool(code, SOURCE) for code in task.shot_languages())
    assert [e.id for e in english] == [e.id for e in swahili] and swahili[0].language == "swh_Latn"
    assert len(task.examples("train", "eng_Latn", SOURCE)) == 38


@pytest.mark.parametrize("task_type", ["span", "generation"])
def test_the_context_is_what_may_be_cut(task_type: str, tmp_path: Path) -> None:
    template = "Read. {context}\n{question}\nAnswer:"
    task = make(tmp_path, task_type, template=template, context="context")
    prompt = task.prompt(task.examples("test", "swh_Latn", SOURCE)[0])
    assert prompt.context is not None and prompt.text[slice(*prompt.context)] == "insect 0 has 6 legs and 2 wings."


def test_ids_that_are_not_parallel_are_kept_apart(tmp_path: Path) -> None:
    task = make(tmp_path, parallel=False)
    english, swahili = (task.examples("test", code, SOURCE) for code in task.languages())
    assert {e.id for e in english}.isdisjoint(e.id for e in swahili)
    assert not task.info.parallel


def test_rows_out_of_step_are_an_error(tmp_path: Path) -> None:
    task = make(tmp_path)
    moved = rows("classification", 8)
    moved[2]["answer"] = 0
    write(tmp_path / "test-Swahili.jsonl", moved)
    with pytest.raises(
        DataError, match=r"test-Swahili\.jsonl:3, column 'answer': found another answer.*parallel: false"
    ):
        task.examples("test", "swh_Latn", SOURCE)


def test_the_baseline_is_the_label_that_training_has_most(tmp_path: Path) -> None:
    task = make(tmp_path)
    test = {"eng_Latn": task.examples("test", "eng_Latn", SOURCE)}
    assert task.baselines(SOURCE, test)["most frequent label"]["eng_Latn"].value == 1.0


def test_the_digest_follows_the_content_and_not_the_place(tmp_path: Path) -> None:
    shutil.copytree(HEADLINES, tmp_path / "a" / "headlines")
    shutil.copytree(HEADLINES, tmp_path / "b" / "headlines")

    def resolved(side: str, **more: Any) -> RunConfig:
        return registry.resolve(RunConfig(model="m", task=str(tmp_path / side / "headlines"), **more))

    before = resolved("a")
    assert before.run_id() == resolved("b").run_id() and before.run_id().startswith("headlines-prefix-m-")
    for name in ("test.sw.csv", "train.jsonl", "task.yaml"):
        path = tmp_path / "b" / "headlines" / name
        text = path.read_text(encoding="utf-8")
        path.write_text(
            text.replace("match", "game").replace("Mchezaji", "Mshambuliaji").replace("this", "our"), encoding="utf-8"
        )
        assert resolved("b").run_id() != before.run_id()
        shutil.copy(HEADLINES / name, path)
    assert resolved("a", task_digest=before.task_digest) == before
    with pytest.raises(ConfigError, match="its files are not those of this configuration"):
        resolved("a", task_digest="0123")
    with pytest.raises(ConfigError, match="task_digest"):
        registry.resolve(RunConfig(model="m", task="terms", task_digest="0123"))


def test_what_an_adapter_keeps_asks_the_same(tmp_path: Path) -> None:
    task = make(tmp_path, "multiple-choice")
    assert isinstance(task, CustomTask)
    kept = json.loads(json.dumps(registry.saved(RunConfig(model="any", task=str(tmp_path)), task)))
    example = task.examples("test", "eng_Latn", SOURCE)[0]
    assert registry.restore(kept).prompt(example) == task.prompt(example)
    assert (
        registry.restore(registry.saved(RunConfig(model="any", task="xnli"), registry.get("xnli"))).info.name == "xnli"
    )
    with pytest.raises(ConfigError, match="unknown task type"):
        registry.restore({"name": "x", "definition": {"task_type": "poem"}})


@pytest.mark.parametrize(
    ("task_type", "change", "message"),
    [
        ("span", {"answer": "7 legs"}, "found '7 legs', expected words of the column 'context'"),
        ("span", {"answer": ["6", None]}, r"found \['6', None\] \(list\), expected a text, or a list of texts"),
        ("generation", {"answer": "many"}, "found 'many', expected a number in it"),
        ("generation", {"answer": "6\n\nlegs"}, "found .* in it, expected an answer without what ends it; set 'stop'"),
        ("multiple-choice", {"a": "x", "b": "x", "answer": 2}, "found 2 \\(int\\), expected one of 2 values"),
    ],
)
def test_answers_that_a_task_type_does_not_allow(
    task_type: str, change: dict[str, Any], message: str, tmp_path: Path
) -> None:
    task = make(tmp_path, task_type)
    bad = rows(task_type, 8)
    bad[4].update(change)
    write(tmp_path / "test-en.jsonl", bad)
    with pytest.raises(DataError, match=rf"test-en\.jsonl:5, column 'answer': {message}"):
        task.examples("test", "eng_Latn", SOURCE)


def test_options_must_differ(tmp_path: Path) -> None:
    task = make(tmp_path, "multiple-choice", template="{question}\nAnswer:", labels=None)
    bad = rows("multiple-choice", 8)
    bad[0].update(a="x", b="x")
    write(tmp_path / "test-en.jsonl", bad)
    with pytest.raises(
        DataError, match=r"test-en\.jsonl:1, columns a, b: found 'x' twice, expected options that differ"
    ):
        task.examples("test", "eng_Latn", SOURCE)


@pytest.mark.parametrize(
    ("task_type", "change", "message"),
    [
        ("multiple-choice", {"labels": ["A", "B", "C"]}, "found 3 labels, expected 2"),
        ("multiple-choice", {"labels": {7: "A", 8: "B"}}, "expected them for 0, 1"),
        ("multiple-choice", {"template": "{question}"}, r"found no '\{a\}', expected every option in it"),
        ("span", {"context": "passage"}, r"found no '\{passage\}', expected the context in it"),
        ("classification", {"columns": {"language": "in"}}, "beside a file for each language"),
        ("classification", {"files": {"test": {"Swahilli": "train.jsonl"}}}, "did you mean Swahili"),
        ("classification", {"files": {"test": "nothing.{language}.csv"}}, r"found no file like nothing\.\{language\}\.csv"),
    ],
)  # fmt: skip
def test_parts_that_do_not_go_together(task_type: str, change: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        make(tmp_path, task_type, **change)


def test_a_task_without_english_is_one(tmp_path: Path) -> None:
    task = make(tmp_path, files={"test": {"sw": "test-Swahili.jsonl"}})
    assert task.languages() == ("swh_Latn",)


def test_norwegian_and_no_are_texts(tmp_path: Path) -> None:
    write(tmp_path / "test-no.jsonl", rows("classification", 8))
    (tmp_path / "labels.yaml").write_text(
        "task_type: classification\ntemplate: '{question}'\nlabels: {0: no, 1: yes}\n"
        "files:\n  test:\n    en: test-en.jsonl\n    no: test-no.jsonl\n"
    )
    make(tmp_path)
    task = registry.get(str(tmp_path / "labels.yaml"))
    assert task.info.labels == ("no", "yes") and task.languages() == ("eng_Latn", "nob_Latn")


def test_the_old_name_of_the_task_type_is_read_and_noted(tmp_path: Path) -> None:
    new = make(tmp_path)
    path = next(tmp_path.glob("*.yaml"))
    path.write_text(path.read_text().replace("task_type:", "shape:"))
    old, source = registry.get(str(path)), Source()
    assert [*old.examples("test", "eng_Latn", source)] == [*new.examples("test", "eng_Latn", Source())]
    assert source.notes == [f"{path.name}: the key 'shape' is called 'task_type' now"]
    assert isinstance(new, CustomTask)
    definition = new.definition.model_dump(mode="json")
    definition["shape"] = definition.pop("task_type")
    assert registry.restore({"name": "x", "definition": definition}).info.labels == new.info.labels
