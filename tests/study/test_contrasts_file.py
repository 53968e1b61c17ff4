"""Law: contrasts of a study file are pairs of its methods; anything else is an error in one line that says what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from polyprefix.errors import ConfigError
from polyprefix.study.file import read_study

AXES = "axes: {model: [gemma-3-270m], method: [none, prefix, lora-small]}\n"
PARTS = "parts: {more: {axes: {method: {full: null}}}}\n"


def read(tmp_path: Path, contrasts: str, rest: str = AXES + PARTS) -> tuple[tuple[str, str], ...]:
    path = tmp_path / "study.yaml"
    path.write_text(f"base: {{task: terms}}\n{rest}contrasts: {contrasts}\n", encoding="utf-8")
    return read_study(path).contrasts


def test_pairs_are_lists_or_differences(tmp_path: Path) -> None:
    assert read(tmp_path, "[prefix - lora-small, [full, none]]") == (("prefix", "lora-small"), ("full", "none"))
    assert read(tmp_path, "[]") == ()


@pytest.mark.parametrize(
    ("contrasts", "said"),
    [
        ("[prefix - lora-smal]", "did you mean 'lora-small'"),
        ("[[prefix, gemma-3-270m]]", "no method is called 'gemma-3-270m'"),
        ("[prefix - prefix]", "compared with itself"),
        ("[prefix - none, [none, prefix]]", "given twice"),
        ("[[prefix]]", "missing"),
        ("[prefix]", "missing"),
        ("[[prefix, none, full]]", "contrasts"),
        ("prefix - none", "a list of pairs"),
        ("3", "a list of pairs"),
        ("{prefix: none}", "a list of pairs"),
        ("[[1, 2]]", "string"),
    ],
)
def test_mistakes_are_one_line(tmp_path: Path, contrasts: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read(tmp_path, contrasts)
    assert said in str(error.value) and "\n" not in str(error.value) and "study.yaml" in str(error.value)


def test_a_study_without_methods_has_no_contrasts(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no axis 'method'"):
        read(tmp_path, "[a - b]", "axes: {model: [gemma-3-270m]}\n")
