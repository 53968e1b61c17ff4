"""Law: every kept and every written result fits the published schema, and whatever fits it is read."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from polyprefix.errors import OutputError
from polyprefix.results.files import RESULT, find_results, read_result, write_result
from polyprefix.results.schema import result_schema
from polyprefix.results.version_1 import upgraded
from polyprefix.types import RunResult, Score

ROOT = Path(__file__).parents[2]
KEPT = [folder for place in sorted((ROOT / "studies" / "results").glob("*/")) for folder in find_results(place)]
FITS = Draft202012Validator(result_schema())
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 62), 1 << 62) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=4,
)  # fmt: skip


def content(folder: Path) -> dict[str, Any]:
    values = json.loads((folder / RESULT).read_text())
    return upgraded(values) if values["schema_version"] == 1 else values


def test_the_published_copy_is_the_schema_of_this_version() -> None:
    """`polyprefix list schema > docs/result.schema.json` writes it."""
    Draft202012Validator.check_schema(result_schema())
    assert json.loads((ROOT / "docs" / "result.schema.json").read_text()) == result_schema()


def test_every_kept_result_fits() -> None:
    assert len(KEPT) > 250
    assert not [(folder.name, error.message) for folder in KEPT for error in FITS.iter_errors(content(folder))]


def test_what_is_written_fits(tmp_path: Path) -> None:
    scores = {"swh_Latn": {"accuracy": Score(0.5, 4, (0.1, 0.9))}}
    config = {"model": "m", "task": "t", "method": {"name": "none"}}
    write_result(tmp_path, RunResult("run", config, {}, {"trainable": 0, "total": 2}, scores, {"eval_seconds": 1.0}))
    assert not list(FITS.iter_errors(content(tmp_path)))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all values inside a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, item in items for place in places(item, (*path, key)))]


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_whatever_fits_is_read(tmp_path: Path, data: st.DataObject) -> None:
    """One value anywhere in a kept result is another, or is gone."""
    values = copy.deepcopy(content(data.draw(st.sampled_from(KEPT[:3]))))
    *above, last = data.draw(st.sampled_from(places(values)[1:]))
    inside = values
    for key in above:
        inside = inside[key]
    if data.draw(st.booleans()):
        inside[last] = data.draw(JSON)
    else:
        del inside[last]
    (tmp_path / RESULT).write_text(json.dumps(values))
    if FITS.is_valid(values):
        read_result(tmp_path)


def test_what_fits_without_a_key_is_read_without_it(tmp_path: Path) -> None:
    """Every key in turn, but those inside lists."""
    whole = content(KEPT[0])
    paths = [path for path in places(whole)[1:] if all(isinstance(key, str) for key in path)]
    assert len(paths) > 100
    for *above, last in paths:
        values = copy.deepcopy(whole)
        inside = values
        for key in above:
            inside = inside[key]
        del inside[last]
        (tmp_path / RESULT).write_text(json.dumps(values))
        if FITS.is_valid(values):
            read_result(tmp_path)


@pytest.mark.parametrize("path", [("scores",), ("status",), ("config", "method"), ("notes",), ("run_id",)])
def test_what_is_missing_neither_fits_nor_is_read(path: tuple[str, ...], tmp_path: Path) -> None:
    values = content(KEPT[0])
    inside = values
    for key in path[:-1]:
        inside = inside[key]
    inside[path[-1]] = 3
    (tmp_path / RESULT).write_text(json.dumps(values))
    assert not FITS.is_valid(values)
    with pytest.raises(OutputError):
        read_result(tmp_path)
