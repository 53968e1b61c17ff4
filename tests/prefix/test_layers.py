"""Law: a specification names the same layers in every model that has them, and a mistake says what the model has."""

from __future__ import annotations

import pytest

from polyprefix.errors import ConfigError
from polyprefix.prefix import parse_layers


@pytest.mark.parametrize(
    ("spec", "layers"),
    [
        ("all", (0, 1, 2, 3, 4, 5)),
        ("top:2", (4, 5)),
        ("bottom:2", (0, 1)),
        ("top:6", (0, 1, 2, 3, 4, 5)),
        ("2-3", (2, 3)),
        ("2-", (2, 3, 4, 5)),
        ("5", (5,)),
        ("4, 0,4,1-2", (0, 1, 2, 4)),
        (" all ", (0, 1, 2, 3, 4, 5)),
    ],
)
def test_what_it_names(spec: str, layers: tuple[int, ...]) -> None:
    assert parse_layers(spec, 6) == layers


@pytest.mark.parametrize(
    "spec", ["", "none", "top:", "top:0", "top:7", "bottom:7", "3-2", "6", "0-6", "-1", "1,,2", "a"]
)
def test_a_mistake_is_one_line(spec: str) -> None:
    with pytest.raises(ConfigError, match=r"^layers '.*': .+") as error:
        parse_layers(spec, 6)
    assert "\n" not in str(error.value)
