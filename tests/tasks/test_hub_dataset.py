"""Law: a data set of the Hub gives the examples that its rows say, by language, with the names of its class labels."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from polyprefix.data.hub import MissingDataError
from polyprefix.data.table import table_of
from polyprefix.data.validation_errors import ValidationErrors
from polyprefix.errors import ConfigError, DataError
from polyprefix.tasks import registry
from polyprefix.tasks._custom import CustomTask
from polyprefix.tasks.base import Source

Command = Callable[..., tuple[int, str, str]]
NAMES = ("entailment", "neutral", "contradiction")
TASK = """task_type: classification
template: "{premise} {hypothesis}"
labels: {entailment: "yes", neutral: maybe, contradiction: "no"}
columns: {answer: label, id: key}
dataset:
  id: org/mini
"""
SPLITS = "  split: {train: training, test: test}\n"


@pytest.fixture
def mirror(tmp_path: Path) -> Path:
    """A mirror with two configurations of one data set, labels as ClassLabel, and one with a column of languages."""
    from datasets import ClassLabel, Dataset, Features, Value

    features = Features({"key": Value("string"), "premise": Value("string"), "hypothesis": Value("string"),
                         "lang": Value("string"), "label": ClassLabel(names=list(NAMES))})  # fmt: skip
    place = tmp_path / "hub" / "org" / "mini"
    for config, codes in {"en": ["en"], "sw": ["sw"], "all": ["en", "sw"]}.items():
        for split, count in {"training": 12, "test": 6}.items():
            rows = [
                {
                    "key": f"{split}-{n}",
                    "premise": f"{split} {n} {code}",
                    "hypothesis": "so",
                    "lang": code,
                    "label": n % 3,
                }
                for code in codes
                for n in range(count)
            ]
            (place / config).mkdir(parents=True, exist_ok=True)
            Dataset.from_list(rows, features=features).to_parquet(place / config / f"{split}-0.parquet")
    files = {split: f"  - split: {split}\n    path: {{}}/{split}-*.parquet\n" for split in ("training", "test")}
    configs = "".join(
        f"- config_name: {config}\n  data_files:\n{''.join(files.values()).replace('{}', config)}"
        for config in ("en", "sw", "all")
    )
    (place / "README.md").write_text(f"---\nconfigs:\n{configs}---\n")
    return tmp_path / "hub"


def task_of(folder: Path, lines: str) -> Any:
    folder.mkdir(exist_ok=True)
    (folder / "task.yaml").write_text(TASK + lines)
    return registry.get(str(folder))


@pytest.mark.parametrize(
    "lines",
    [
        "  config: [en, sw]\n",
        "  config: {Swahili: sw, english: en}\n",
        "  config: all\ncolumns: {answer: label, id: key, language: lang}\n",
    ],
    ids=["list", "mapping", "column"],
)
def test_rows_become_examples(lines: str, mirror: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("POLYPREFIX_HUB", str(mirror))
    config, columns, more = lines.partition("columns")
    own = TASK.replace("columns: {answer: label, id: key}\n", "") if columns else TASK
    (tmp_path / "task.yaml").write_text(
        own + config + SPLITS + f"  rows: {{test: {12 if columns else 6}}}\n" + columns + more
    )
    task = registry.get(str(tmp_path / "task.yaml"))
    assert task.languages() == ("eng_Latn", "swh_Latn")
    for code, written in (("eng_Latn", "en"), ("swh_Latn", "sw")):
        examples = task.examples("test", code, Source())
        assert [example.inputs["premise"] for example in examples] == [f"test {n} {written}" for n in range(6)]
        assert [example.references for example in examples] == [("yes",), ("maybe",), ("no",)] * 2
        assert [example.id for example in examples] == [f"test-{n}" for n in range(6)]
    learned = [len(task.examples(split, "eng_Latn", Source())) for split in ("train", "validation")]
    assert sum(learned) == 12 and min(learned) >= 1


def test_rows_of_a_named_file(mirror: Path, tmp_path: Path) -> None:
    """Of a data set whose repository is a script; its card says nothing of files."""
    (mirror / "org" / "mini" / "README.md").unlink()
    lines = "  config: [en, sw]\n  revision: refs/convert/parquet\n" + SPLITS
    task = task_of(tmp_path / "a", lines + '  files: "{config}/{split}-0.parquet"\n')
    for code, written in (("eng_Latn", "en"), ("swh_Latn", "sw")):
        examples = task.examples("test", code, Source(mirror))
        assert [example.inputs["premise"] for example in examples] == [f"test {n} {written}" for n in range(6)]
        assert [example.references for example in examples] == [("yes",), ("maybe",), ("no",)] * 2
    (mirror / "org" / "mini" / "sw" / "test-0.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match="damaged"):
        task_of(tmp_path / "b", lines + '  files: "{config}/{split}-0.parquet"\n').examples(
            "test", "swh_Latn", Source(mirror)
        )
    with pytest.raises(MissingDataError, match="not in the local mirror"):
        task_of(tmp_path / "c", lines + '  files: "{config}-{split}.parquet"\n').examples(
            "test", "swh_Latn", Source(mirror)
        )
    with pytest.raises(ConfigError, match="a path inside the data set"):
        task_of(tmp_path / "d", lines + '  files: "../{split}.parquet"\n')


def test_a_mirror_named_by_an_option_counts(
    mirror: Path, tmp_path: Path, polyprefix: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("POLYPREFIX_HUB", raising=False)
    task_of(tmp_path / "mine", "  config: all\n" + SPLITS)
    (tmp_path / "mine" / "task.yaml").write_text(
        TASK.replace("id: key}", "id: key, language: lang}") + "  config: all\n" + SPLITS
    )
    status, out, err = polyprefix("check", tmp_path / "mine", "--hub", mirror, "--json")
    assert status == 0, err
    assert {code: counts["test"] for code, counts in json.loads(out)["counts"].items()} == {
        "eng_Latn": 6,
        "swh_Latn": 6,
    }


@pytest.mark.parametrize(
    ("lines", "kind", "message"),
    [
        ("  config: [en, sw]\n  split: tests\n", MissingDataError, "no split 'tests', did you mean 'test'"),
        ("  config: [en, fi]\n", MissingDataError, "no configuration 'fi'"),
        ("  config: [en, sw]\n  rows: {test: 7}\n", DataError, "6 rows, the published split has 7"),
        ("  config: [en, swahilli]\n", ConfigError, "Swahili"),
        ("  config: {en: en, English: en}\n", ConfigError, "one configuration a language"),
        ("  config: [en]\n  splits: test\n", ConfigError, "did you mean 'split'"),
        ("  config: [en]\nfiles: {test: x.csv}\n", ConfigError, "either 'files' or 'dataset'"),
        ("  config: [en, sw]\ncolumns: {answer: gold}\n", DataError, "no such column"),
    ],
)
def test_what_is_wrong_is_said(lines: str, kind: type[Exception], message: str, mirror: Path, tmp_path: Path) -> None:
    start = TASK if "columns" not in lines else TASK.replace("columns: {answer: label, id: key}\n", "")
    (tmp_path / "task.yaml").write_text(start + lines)
    with pytest.raises(kind, match=message.replace("(", r"\(")):
        task = registry.get(str(tmp_path / "task.yaml"))
        for code in task.languages():
            task.examples("test", code, Source(mirror))


def test_another_revision_is_another_task(tmp_path: Path) -> None:
    digests = {
        task_of(tmp_path / name, f"  config: [en]\n{line}").digest()
        for name, line in {"a": "", "b": "  revision: abc\n"}.items()
    }
    assert len(digests) == 2


PAIR = {"premise": "It rains.", "hypothesis": "It is wet."}
OPTIONS = {f"option_{letter}": f"answer {letter}" for letter in "abcd"}
DOCUMENTED: dict[str, tuple[dict[str, Any], str]] = {
    "afrixnli": ({**PAIR, "label": 2}, "no"),
    "global_mmlu": ({"sample_id": "anatomy/test/0", "question": "Which?", **OPTIONS, "answer": "C"}, "C"),
    "include": ({"question": "Which?", **OPTIONS, "answer": 2}, "C"),
    "indicxnli": ({**PAIR, "label": "contradiction"}, "no"),
    "mlqa": ({"id": "q", "title": "T", "context": "It rains in Rome.", "question": "Where?",
              "answers": {"text": ["Rome"], "answer_start": [12]}}, "Rome"),
    "tydiqa": ({"id": "1", "language": "swahili", "document_title": "T", "passage_text": "It rains in Rome.", "question_text": "Where?",
                "answers": {"text": ["Rome"], "start_byte": [12], "limit_byte": [16]}}, "Rome"),
    "massive": ({"id": "1", "label": "alarm", "label_text": "alarm", "text": "wake me up", "lang": "en"}, "alarm"),
    "pawsx": ({"id": 1, "sentence1": "He ran.", "sentence2": "Ran he.", "label": "1"}, "yes"),
    "xcopa": ({"premise": "He fell.", "choice1": "It rained.", "choice2": "He slept.", "question": "cause", "label": 0, "idx": 7,
               "changed": False}, "A"),
    "xstorycloze": ({"story_id": "s", **{f"input_sentence_{n}": f"Sentence {n}." for n in (1, 2, 3, 4)}, "sentence_quiz1": "It ended.",
                     "sentence_quiz2": "It began.", "answer_right_ending": 2}, "B"),
}  # fmt: skip
"""Task -> a row as the data set's card and the task files of lm-evaluation-harness have its columns, and the right answer."""


@pytest.mark.parametrize("name", registry.ready())
def test_a_ready_task_file_is_whole(name: str) -> None:
    """No Hub is at hand here: what can be known without its rows."""
    task = registry.get(name)
    info, dataset = task.info, task.definition.dataset  # type: ignore[attr-defined]
    assert info.name == name and info.source.startswith(dataset.id) and info.title and info.licence != "not stated"
    assert len(task.languages()) == len(dataset.config) >= 7
    assert set(dataset.rows) >= {"train", "test"} or "in all" in info.source
    assert all(info.origin_of(code) for code in task.languages())


@pytest.mark.parametrize("name", registry.ready())
def test_a_ready_task_file_reads_a_row_as_its_card_has_it(name: str) -> None:
    import pyarrow as pa

    row, answer = DOCUMENTED[name]
    errors = ValidationErrors()
    table = table_of(pa.Table.from_pylist([row]), name, errors)
    ready: Any = registry.get(name)
    code = ready.languages()[-1]
    task = CustomTask(name, ready.definition, {"test": {code: table}}, None)
    [example] = task.examples("test", code, Source())
    errors.check()
    prompt = task.prompt(example)
    assert prompt.target.strip() == answer and (len(prompt.choices) >= 2 or ready.definition.task_type == "span")
    asked = [str(row[column]) for column in ready.definition.asked()]
    assert all(text in prompt.text for text in asked) and "{" not in prompt.text


@pytest.mark.hub
def test_xnli_as_a_data_set_is_xnli(hub: Path, tmp_path: Path) -> None:
    (tmp_path / "task.yaml").write_text(
        TASK.replace(", id: key", "").replace("org/mini", "facebook/xnli")
        + "  config: [en, th]\n  rows: {test: 5010}\n"
    )
    task, built_in = registry.get(str(tmp_path / "task.yaml")), registry.get("xnli")
    for code in ("eng_Latn", "tha_Thai"):
        ours, theirs = task.examples("test", code, Source(hub)), built_in.examples("test", code, Source(hub))
        words = {example.references[0] for example in theirs}
        assert len(words) == 3
        same = {(a.references[0], b.references[0]) for a, b in zip(ours, theirs, strict=True)}
        assert len(same) == 3  # one word of ours for each of its
        assert [a.inputs["premise"].strip() for a in ours] == [b.inputs["premise"].strip() for b in theirs]
