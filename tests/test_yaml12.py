"""Law: the reader of YAML gives text, numbers, truth values, null, lists and mappings, or one line with its line; in bounded time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyprefix.errors import ConfigError
from polyprefix.settings import read_yaml
from polyprefix.yaml12 import MOST_DEPTH, MOST_VALUES, YamlError, dump, line_of, load

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\ufeff"), max_size=20) | st.sampled_from(
    [
        "1e-3",
        "0o17",
        "0x1F",
        "9:30",
        "null",
        "~",
        "true",
        "on",
        "2020-01-01",
        "=",
        "<<",
        "1_0",
        ".5",
        "-.inf",
        "",
        "- a",
        "a: b",
        "#",
    ]
)
PLAIN = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**40), 10**40) | st.floats(allow_nan=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(PLAIN)
def test_what_is_written_is_read(values: Any) -> None:
    try:
        text = dump({"values": values})
    except Exception as error:  # PyYAML writes no character that it does not read
        pytest.fail(str(error))
    try:
        assert load(text) == {"values": values}
    except YamlError as error:
        assert "<<" in error.reason or "special characters" in error.reason or "twice" in error.reason, error


@settings(max_examples=500, deadline=None)
@given(st.text("[]{}:,&*!|>'\"%@`#-?\n \tab01.<~=", max_size=60))
def test_any_text_is_plain_values_or_one_reason(text: str) -> None:
    def check(value: Any) -> None:
        assert value is None or type(value) in (str, int, float, bool, list, dict)
        for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
            check(item)
        if isinstance(value, dict):
            assert all(type(key) is str for key in value)

    try:
        check(load(text))
    except YamlError as error:
        assert error.reason and "\n" not in error.reason


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("9:30", "9:30"), ("010", 10), ("0o17", 15), ("0x1F", 31), ("1e-3", 0.001), ("1_000", "1_000"), ("no", "no"), ("on", "on"),
        ("2020-01-01", "2020-01-01"), ("True", True), ("~", None), ("", None), (".5", 0.5), ("+1", 1), ("=", "="), ("'1'", "1"),
        ("!!str 1", "1"),
        ("! 1", "1"), (".inf", float("inf")), ("{}", {}), ("[]", []), ("&a 1", 1), ("[&a 1, *a]", [1, 1]),
    ],
)  # fmt: skip
def test_scalars_are_those_of_the_core_schema(text: str, value: Any) -> None:
    assert load(text) == value and type(load(text)) is type(value)


BOMB = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 12))
REFUSED = {
    "a tag": "a: !!python/object/apply:os.system ['true']", "a set": "a: !!set {b}", "bytes": "a: !!binary aGk=",
    "a date tag": "a: !!timestamp 2020-01-01",
    "a cycle": "a: &a [*a]", "a cycle of mappings": "a: &a\n  b: *a", "an unknown alias": "a: *b", "a merge": "a: {<<: {b: 1}}",
    "a key twice": "a: 1\na: 2",
    "a key that is a list": "? [a]\n: b", "depth": "[" * (MOST_DEPTH + 1), "great depth": "[" * 100_000, "aliases": BOMB,
    "digits": "a: " + "1" * 5000,
    "two documents": "a: 1\n---\nb: 2", "half a character": '"\\ud800"', "a control": "a: \x00", "size": "- a\n" * MOST_VALUES * 2,
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_what_is_more_than_plain_values_is_refused_in_a_line(what: str, tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(REFUSED[what], encoding="utf-8")
    start = time.perf_counter()
    with pytest.raises(ConfigError, match=r"a\.yaml") as caught:
        read_yaml(path)
    assert "\n" not in str(caught.value) and time.perf_counter() - start < 10


def test_errors_name_their_line(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text("a: 1\nb:\n  - 2\n  - c: 1\n    c: 2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"a\.yaml:5: found the key 'c' twice"):
        read_yaml(path)
    path.write_text("a: 1\nb:\n  - 2\n  - c: 1\n", encoding="utf-8")
    assert [line_of(path, keys) for keys in (("a",), ("b", 0), ("b", 1, "c"), ("b", 7))] == [1, 3, 4, 2]
