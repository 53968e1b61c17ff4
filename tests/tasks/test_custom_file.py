"""Law: a broken version of the example is told with file, line and column, what was found and what was expected; all errors at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from polyprefix.errors import DataError, UserError
from polyprefix.tasks import registry
from polyprefix.tasks._custom import custom_task
from polyprefix.tasks.base import Source

HEADLINES = Path(__file__).parents[2] / "examples" / "headlines"
SOURCE = Source()
TASK = "task.yaml"
BROKEN: dict[str, tuple[str, str, str, tuple[str, ...]]] = {
    "an unknown key": (
        TASK,
        "labels:",
        "lables:",
        (
            f"{TASK}:7, key 'lables'",
            "found an unknown key",
            "did you mean 'labels'",
            "key 'labels': found nothing, expected the labels",
        ),
    ),
    "an unknown task type": (
        TASK,
        "task_type: classification",
        "task_type: clasification",
        (f"{TASK}:2, key 'task_type'", "found 'clasification'", "did you mean 'classification'"),
    ),
    "a label twice": (
        TASK,
        "[sport, money, weather]",
        "[sport, money, sport]",
        (f"{TASK}:7, key 'labels'", "found ['sport'", "expected texts that differ"),
    ),
    "no column in the template": (
        TASK,
        "{headline}",
        "it",
        (f"{TASK}:3, key 'template'", "expected at least one name of a column"),
    ),
    "a brace by itself": (TASK, "{headline}", "{headline", (f"{TASK}:3, key 'template'", "names of columns in braces")),
    "the answer in the question": (
        TASK,
        "{headline}",
        "{section}",
        (f"{TASK}:3, key 'template'", "found the column of the answer, 'section'", "without its answer"),
    ),
    "no such file": (
        TASK,
        "train.jsonl",
        "trian.jsonl",
        (f"{TASK}:9, key 'files.train'", "found no file", "trian.jsonl", "seen from the task file"),
    ),
    "a metric of another task type": (
        TASK,
        "task_type:",
        "metric: f1\ntask_type:",
        (f"{TASK}:2, key 'metric'", "found 'f1'", "expected 'accuracy'"),
    ),
    "a wrong label": (
        "test.sw.csv",
        "mchele yapanda,money",
        "mchele yapanda,mony",
        ("test.sw.csv:3, column 'section'", "found 'mony'", "did you mean 'money'"),
    ),
    "an empty text": (
        "test.sw.csv",
        "Kesho mvua itanyesha",
        " ",
        ("test.sw.csv:4, column 'headline'", "found nothing", "expected text"),
    ),
    "a missing column": (
        "test.de.csv",
        "id,headline,",
        "id,headlin,",
        ("test.de.csv:1, column 'headline'", "found no such column", "did you mean 'headlin'"),
    ),
    "an id twice": (
        "test.sw.csv",
        "test-4",
        "test-3",
        ("test.sw.csv:6, column 'id'", "found 'test-3', as in", "test.sw.csv:5", "expected an id of its own"),
    ),
    "a comma without quotes": ("test.en.csv", "It will", "It, will", ("test.en.csv:4", "found 4 cells", "expected 3")),
    "a line that is no JSON": (
        "train.jsonl",
        '"train-02", ',
        '"train-02" ',
        ("train.jsonl:3, character 19", "found no JSON", "expected one JSON object"),
    ),
    "a number for a text": (
        "train.jsonl",
        '"The bank raises its interest rate"',
        "null",
        ("train.jsonl:2, column 'headline'", "found nothing", "expected text"),
    ),
    "a list for a label": (
        "train.jsonl",
        '"section": "weather"',
        '"section": ["weather"]',
        (
            "train.jsonl:3, column 'section'",
            "found ['weather'] (list)",
            "Known: money, sport, weather",
            "train.jsonl:30, column",
        ),
    ),
}
"""What is broken -> file, text, what it is replaced with, words of the message."""


def read_all(folder: Path) -> None:
    task = custom_task(folder / TASK)
    for split, code in (("test", "eng_Latn"), ("test", "deu_Latn"), ("test", "swh_Latn"), ("train", "eng_Latn")):
        task.examples(split, code, SOURCE)  # type: ignore[arg-type]


def test_the_example_is_whole() -> None:
    read_all(HEADLINES)
    assert registry.get(str(HEADLINES / TASK)).info.name == "headlines"


@pytest.mark.parametrize("what", BROKEN)
def test_broken_versions_of_the_example_give_good_errors(what: str, tmp_path: Path) -> None:
    name, text, other, words = BROKEN[what]
    shutil.copytree(HEADLINES, tmp_path / "headlines")
    path = tmp_path / "headlines" / name
    whole = path.read_text(encoding="utf-8")
    assert text in whole
    path.write_text(whole.replace(text, other), encoding="utf-8")
    with pytest.raises(UserError) as error:
        read_all(tmp_path / "headlines")
    told = str(error.value)
    assert "\n" not in told and "found" in told and "expected" in told
    for word in words:
        assert word in told, told


def test_all_mistakes_of_a_file_are_told_at_once(tmp_path: Path) -> None:
    shutil.copytree(HEADLINES, tmp_path / "headlines")
    path = tmp_path / "headlines" / "test.sw.csv"
    path.write_text("id,headline,section\na,,sport\na,Jua,wether\nb,Mvua\n,Upepo,\n", encoding="utf-8")
    with pytest.raises(DataError) as error:
        read_all(tmp_path / "headlines")
    told = str(error.value).split("; ")
    assert [part.split("test.sw.csv:")[1].partition(": found")[0] for part in told if "test.sw.csv:" in part.partition(": found")[0]] == [
        "4", "2, column 'headline'", "3, column 'section'", "3, column 'id'", "5, column 'section'", "5, column 'id'",
    ]  # fmt: skip
