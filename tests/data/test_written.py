"""Law: what was written is what is read, whatever the type of the file: labels, answers and ids are text."""

from __future__ import annotations

import csv
import datetime
import decimal
import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st

from polyprefix.data.cells import cell_text, written_list
from polyprefix.data.files import is_data_file, read_table
from polyprefix.data.validation_errors import ValidationErrors
from polyprefix.errors import ConfigError, DataError
from polyprefix.tasks import registry
from polyprefix.tasks.base import Source
from polyprefix.yaml12 import YamlError, dump, load, load_written

# what other readers take for something else than text
SCALARS = [
    "9:30",
    "010",
    "1.50",
    "True",
    "no",
    "null",
    "~",
    "2020-01-01",
    "0x1F",
    "1e5",
    "0o17",
    "1_000",
    ".5",
    "=",
    "-0",
    "٣",
    "NaN",
]
TEXTS = st.one_of(
    st.sampled_from(SCALARS),
    st.from_regex(r"[-+]?[0-9]{1,30}(\.[0-9]{1,9})?([eE][-+]?[0-9]{1,2})?", fullmatch=True),
    st.from_regex(r"[0-9]{1,4}[-:/._][0-9]{1,2}([-:/._][0-9]{1,2})?", fullmatch=True),
    st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Z"]), min_size=1, max_size=20),
)
JSON_NUMBERS = st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,12})?([eE][-+]?[0-9]{1,2})?", fullmatch=True)
PLAIN = st.from_regex(r"[0-9A-Za-z.+-][0-9A-Za-z.+:_/-]{0,12}[0-9A-Za-z]", fullmatch=True)


def column(path: Path, name: str = "a") -> list[str | None]:
    errors = ValidationErrors()
    table = read_table(path, errors)
    errors.check()
    return [cell_text(row.cells[name]) for row in table.rows]


def written(folder: Path, values: list[str]) -> dict[str, Path]:
    paths = {kind: folder / f"a.{kind}" for kind in ("csv", "jsonl", "parquet")}
    with paths["csv"].open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["a", "b"], *([value, "x"] for value in values)])
    lines = "".join(json.dumps({"a": value}) + "\n" for value in values)
    paths["jsonl"].write_text(lines, encoding="utf-8")
    pq.write_table(pa.table({"a": values}), paths["parquet"])
    return paths


@settings(max_examples=150, deadline=None)
@given(st.lists(TEXTS, min_size=1, max_size=8))
def test_text_is_the_same_in_every_type_of_file(values: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for kind, path in written(Path(folder), values).items():
            assert column(path) == values, kind
    assert load_written(dump({"labels": values}))["labels"] == values == load(dump({"labels": values}))["labels"]


@settings(max_examples=200, deadline=None)
@given(st.lists(JSON_NUMBERS, min_size=1, max_size=8))
@example(["1.50", "1" * 5000, "1e400", "-0.0", "3.0"])
def test_numbers_in_json_lines_are_as_written(numbers: list[str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.jsonl"
        path.write_text("".join(f'{{"a": {number}}}\n' for number in numbers), encoding="utf-8")
        assert column(path) == numbers


@settings(max_examples=300, deadline=None)
@given(st.lists(PLAIN | st.sampled_from(SCALARS), min_size=2, max_size=6, unique=True))
def test_scalars_without_quotes_in_a_task_file_are_as_written(labels: list[str]) -> None:
    text = "labels:\n" + "".join(f"- {label}\n" for label in labels)
    try:
        assert load_written(text)["labels"] == labels
    except YamlError:
        with pytest.raises(yaml.YAMLError):  # no YAML at all, such as `a:` or `=`
            list(yaml.parse(text))


@settings(max_examples=200, deadline=None)
@given(st.floats(width=32, allow_nan=False, allow_infinity=False), st.floats(allow_nan=False, allow_infinity=False))
@example(np.float32(0.1).item(), 0.1)
def test_numbers_in_parquet_have_the_shortest_text_of_their_own_width(single: float, double: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.parquet"
        pq.write_table(pa.table({"a": pa.array([single], pa.float32()), "b": pa.array([double])}), path)
        found, other = column(path)[0], column(path, "b")[0]
    assert np.float32(found) == np.float32(single) and float(str(other)) == double
    assert len(str(found)) <= 1 + max(len(str(np.float32(single))), len(str(int(single))))


def test_dates_decimals_and_categories_in_parquet(tmp_path: Path) -> None:
    moment = datetime.datetime(2020, 1, 2, 9, 30)
    table = pa.table(
        {
            "date": [moment.date()],
            "moment": pa.array([moment], pa.timestamp("ns")),
            "time": pa.array([moment.time()], pa.time32("s")),
            "decimal": [decimal.Decimal("1.50")],
            "category": pa.array(["010"]).dictionary_encode(),
            "large": pa.array(["no"], pa.large_string()),
            "single": pa.array([[0.1]], pa.list_(pa.float32())),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    found = {name: column(tmp_path / "a.parquet", name)[0] for name in table.column_names}
    assert found == {
        "date": "2020-01-02", "moment": "2020-01-02T09:30:00", "time": "09:30:00", "decimal": "1.50", "category": "010",
        "large": "no", "single": None,
    }  # fmt: skip
    row = read_table(tmp_path / "a.parquet", ValidationErrors()).rows[0]
    assert [cell_text(item) for item in row.cells["single"]] == ["0.1"]


def test_two_columns_of_one_name_are_an_error(tmp_path: Path) -> None:
    pq.write_table(pa.table([pa.array(["x"]), pa.array(["y"])], names=["a", "a"]), tmp_path / "a.parquet")
    (tmp_path / "a.jsonl").write_text('{"a": 1, "a": 2}\n')
    (tmp_path / "a.csv").write_text("a,a\n1,2\n")
    for kind in ("parquet", "jsonl", "csv"):
        with pytest.raises(DataError, match="the column 'a' twice"):
            column(tmp_path / f"a.{kind}")


@pytest.mark.parametrize("separator", [";", "\t", ","])
def test_tables_of_spreadsheets(separator: str, tmp_path: Path) -> None:
    long = "x" * 200_000
    path = tmp_path / "A.CSV"
    path.write_text(f'a{separator}b\n"1{separator}5"{separator}{long}\n', encoding="utf-8")
    assert column(path) == [f"1{separator}5"] and column(path, "b") == [long]


LEFT_BESIDE = [
    "._{}",
    ".#{}",
    "{}~",
    "#{}#",
    ".{}.swp",
    "~${}",
    ".ipynb_checkpoints/{}",
    "__MACOSX/._{}",
    "{}.bak",
    "Thumbs.db",
    ".DS_Store",
]


@pytest.mark.parametrize("pattern", LEFT_BESIDE)
@pytest.mark.parametrize("name", ["en.csv", "sw.jsonl"])
def test_what_editors_and_systems_leave_is_no_data(pattern: str, name: str) -> None:
    assert is_data_file(Path(name)) and is_data_file(Path("data") / name)
    assert not is_data_file(Path(pattern.format(name)))


def task(folder: Path, text: str) -> Any:
    (folder / "task.yaml").write_text(text, encoding="utf-8")
    return registry.get(str(folder))


@pytest.mark.parametrize("place", ["test.{}.csv", "{}.csv", "{}/test.csv", "test/{}.csv"])
def test_files_that_are_not_data_block_no_task(place: str, tmp_path: Path) -> None:
    for code in ("en", "sw"):
        path = tmp_path / place.format(code)
        path.parent.mkdir(exist_ok=True)
        path.write_text("text,answer\nx,1\n", encoding="utf-8")
        for left in ("._", ".#", "~$"):
            path.with_name(left + path.name).write_bytes(b"\0\1")
    for hidden in (".ipynb_checkpoints", "__MACOSX"):
        other = tmp_path / place.format(hidden)
        other.parent.mkdir(exist_ok=True)
        other.write_text("no data", encoding="utf-8")
    pattern = place.format("{language}")
    found = task(
        tmp_path, f"task_type: classification\ntemplate: '{{text}}'\nlabels: [1, 2]\nfiles: {{test: '{pattern}'}}\n"
    )
    assert found.languages() == ("eng_Latn", "swh_Latn")


@pytest.mark.parametrize("form", ['["cat", "dog"]', "['cat', 'dog']"])
def test_a_list_that_is_text_needs_a_word(form: str, tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text(json.dumps({"text": "x", "answer": form}) + "\n", encoding="utf-8")
    said = "task_type: generation\ntemplate: '{text}'\nfiles: {test: t.jsonl}\n"
    with pytest.raises(DataError, match="reads as a list"):
        task(tmp_path, said).examples("test", "eng_Latn", Source())
    for word, answers in (("list", ("cat", "dog")), ("text", (form,))):
        example = task(tmp_path, said + f"answer_format: {word}\n").examples("test", "eng_Latn", Source())[0]
        assert example.references == answers
    assert written_list("[1, 2") is None and written_list("[a]") is None


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_labels_are_the_text_that_the_user_wrote(suffix: str, tmp_path: Path) -> None:
    labels = ["010", "1.50", "9:30", "True", "no", "2020-01-01", "null"]
    written(tmp_path, labels)
    path = tmp_path / f"a.{suffix}"
    said = f"task_type: classification\ntemplate: '{{a}}?'\ncolumns: {{answer: c}}\nfiles: {{test: {path.name}}}\n"
    found = task(tmp_path, said + f"labels: [{', '.join(labels)}]\n")
    assert found.info.labels == tuple(labels)
    with pytest.raises(ConfigError, match="differ"):
        task(tmp_path, said + "labels: [010, '010']\n")


def test_numbers_that_are_labels_match_with_and_without_a_point(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"text": "x", "answer": 1.0}\n{"text": "y", "answer": 2}\n', encoding="utf-8")
    said = "task_type: classification\ntemplate: '{text}'\nlabels: [1, 2]\nfiles: {test: t.jsonl}\n"
    assert [e.references[0] for e in task(tmp_path, said).examples("test", "eng_Latn", Source())] == ["1", "2"]


def test_a_single_training_row_needs_validation_data_of_its_own(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("text,answer\na,1\nb,2\n", encoding="utf-8")
    (tmp_path / "one.csv").write_text("text,answer\nc,1\n", encoding="utf-8")
    said = "task_type: classification\ntemplate: '{{x}} {text}'\ncontext: text\nlabels: [1, 2]\nfiles: {test: t.csv, train: one.csv"
    with pytest.raises(DataError, match="found one English row, expected at least two"):
        task(tmp_path, said + "}\n").examples("train", "eng_Latn", Source())
    [row] = task(tmp_path, said + ", validation: one.csv}\n").examples("train", "eng_Latn", Source())
    prompt = task(tmp_path, said + "}\n").prompt(row)
    assert prompt.text == "{x} c" and prompt.context == (4, 5)
