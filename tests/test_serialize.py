"""Law: whatever a value holds, its JSON is read by a parser that knows nothing beyond the standard."""

from __future__ import annotations

import datetime
import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from polyprefix.config import TrainConfig
from polyprefix.serialize import to_json

LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(st.characters(exclude_categories=["Cs"])), st.binary(), st.dates(),
    st.datetimes(), st.decimals(), st.floats().map(np.float32), st.integers(-99, 99).map(np.int64),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(st.lists(inner), st.tuples(inner), st.dictionaries(st.text() | st.integers(), inner)),
)


def refuse(constant: str) -> Any:
    raise AssertionError(f"{constant} is no JSON")


@settings(max_examples=500, deadline=None)
@given(VALUES)
def test_json_is_json(value: Any) -> None:
    json.loads(to_json(value), parse_constant=refuse)


def test_what_it_says() -> None:
    @dataclass
    class Point:
        x: float

    values = [float("nan"), b"abc", b"\xff\xfe", datetime.date(2020, 1, 2), Decimal("1.50"), Point(1.5), {1: "a"}, "é"]
    assert json.loads(to_json(values)) == [None, "abc", "//4=", "2020-01-02", "1.50", {"x": 1.5}, {"1": "a"}, "é"]
    assert "é" in to_json(values)
    assert json.loads(to_json(TrainConfig(learning_rate=0.5)))["learning_rate"] == 0.5
