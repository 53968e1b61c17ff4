"""Law: help lists every setting that a run takes, and those of the method that is named, without loading a model."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from polyprefix.adapters import registry
from polyprefix.config import RuntimeConfig, TrainConfig

Command = Callable[..., tuple[int, str, str]]


def test_every_setting_of_a_run_is_there(polyprefix: Command) -> None:
    status, printed, _ = polyprefix("run", "--help")
    lines = [line.split()[0] for line in printed.splitlines() if line.startswith("  ") and line.split()]
    assert status == 0 and {*TrainConfig.model_fields, *RuntimeConfig.model_fields} <= set(lines)
    assert "[default: 16]" in printed and "--method NAME" in printed


@pytest.mark.parametrize("method", registry.names())
@pytest.mark.parametrize("form", [("--method", "{}", "--help"), ("--help", "--method={}")])
def test_those_of_a_method_are(polyprefix: Command, method: str, form: tuple[str, ...]) -> None:
    status, printed, _ = polyprefix("run", *(word.format(method) for word in form))
    section = printed.partition(f"Settings of {method} (")[2]
    lines = [line.split()[0] for line in section.splitlines() if line.split()]
    assert status == 0 and set(registry.kind(method).model_fields) <= set(lines)


def test_an_unknown_method_is_told_in_one_line(polyprefix: Command) -> None:
    status, _, errors = polyprefix("run", "--method", "prefx", "--help")
    assert status == 2 and errors.count("\n") == 1 and "did you mean 'prefix'" in errors
