"""Law: a file gives all its rows with their places, or every error with its place, what was found and what was expected."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyprefix.data.cells import cell_text, shown
from polyprefix.data.files import read_table
from polyprefix.data.table import Table
from polyprefix.data.validation_errors import MOST, ValidationErrors
from polyprefix.errors import DataError

ODD = 'a "quoted", text\nof two lines\u2028and a half: ½ नमस्ते'
ROWS = [{"id": "1", "text": ODD}, {"id": "2", "text": "b"}]


def read(path: Path) -> tuple[Table, str]:
    errors = ValidationErrors()
    table = read_table(path, errors)
    try:
        errors.check()
    except DataError as error:
        return table, str(error)
    return table, ""


def test_three_formats_give_the_same_rows(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(('\ufeffid,text\r\n1,"' + ODD.replace('"', '""') + '"\r\n\r\n2,b\r\n').encode())
    lines = [json.dumps(row, ensure_ascii=False) for row in ROWS]
    (tmp_path / "a.jsonl").write_text("\n\n".join(lines), encoding="utf-8")
    pq.write_table(pa.Table.from_pylist(ROWS), tmp_path / "a.parquet")
    places = {"csv": [":2", ":5"], "jsonl": [":1", ":3"], "parquet": [", row 1", ", row 2"]}
    for kind, where in places.items():
        path = tmp_path / f"a.{kind}"
        table, told = read(path)
        assert told == "" and table.columns == ("id", "text")
        assert [dict(row.cells) for row in table.rows] == ROWS, kind
        assert [row.where for row in table.rows] == [f"{path}{place}" for place in where]


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("a.jsonl", b'{"a": 1}\n{"a": 1,}\n[1]\n', ["a.jsonl:2, character 9: found no JSON", "a.jsonl:3: found [1] (list)", "an object"]),
        ("a.jsonl", b'{"a": "\xe9"}\n', ["a.jsonl:1: found the byte 0xe9", "UTF-8"]),
        ("a.jsonl", b"[" * 100_000, ["a.jsonl:1", "JSON"]),
        ("a.jsonl", b"\n\n", ["a.jsonl: found no rows"]),
        ("a.csv", b"", ["a.csv: found no rows"]),
        ("a.csv", b"a,b\n1\n1,2,3\n", ["a.csv:2: found 1 cells, expected 2", "a.csv:3: found 3 cells"]),
        ("a.csv", b'a,b\n1,"2\n3,4\n', ["a.csv:2: found a record that cannot be read", "quotes in pairs"]),
        ("a.csv", b"a,a\n1,2\n", ["a.csv:1: found the column 'a' twice"]),
        ("a.parquet", b"PAR1 not really", ["a.parquet: found no Parquet"]),
        ("a.xlsx", b"PK", ["a.xlsx: found a file of another kind (.xlsx)", ".jsonl or .csv or .parquet"]),
    ],
)  # fmt: skip
def test_faults_have_places(tmp_path: Path, name: str, content: bytes, words: list[str]) -> None:
    (tmp_path / name).write_bytes(content)
    _, told = read(tmp_path / name)
    assert "\n" not in told and "expected" in told
    for word in words:
        assert word in told


@pytest.mark.parametrize("kind", ["jsonl", "csv", "parquet"])
def test_a_file_that_is_not_there(tmp_path: Path, kind: str) -> None:
    assert "No such file" in read(tmp_path / f"none.{kind}")[1]


def test_many_faults_are_counted() -> None:
    errors = ValidationErrors()
    for number in range(MOST + 7):
        errors.add(f"f:{number}", "x", "y")
    with pytest.raises(DataError, match=r"f:19: found x, expected y; \.\.\. and 7 more$"):
        errors.check()


def test_cells() -> None:
    assert [cell_text(v) for v in (3, 3.0, 0.5, False, " x ")] == ["3", "3", "0.5", "false", "x"]
    assert [cell_text(v) for v in (None, "", " \n", [], {}, float("nan"), "half \ud83d")] == [None] * 7


@given(st.one_of(st.text(), st.none(), st.integers(), st.floats(), st.lists(st.text())))
def test_what_is_shown_is_short_and_can_be_printed(value: object) -> None:
    told = shown(value)
    assert told and len(told) < 80 and "\n" not in told
    told.encode("utf-8")
