"""Law: the page of the architecture names what is there: every folder, and only functions and tests that exist."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
TREE = PAGE.split("```text")[1].split("```")[0]
STEPS = re.findall(r"^\| [\w -]+ \| `([\w.]+)` \|", PAGE.split("## One example")[1].split("##")[0], re.M)
TESTS = sorted(set(re.findall(r"`(tests/[\w/]+(?:\.py)?/?)`", PAGE)))
PATHS = sorted(set(re.findall(r"`((?:methods|tasks|scoring|report|adapters|study)/[\w/]*(?:\.py)?)`", PAGE)))


def test_the_tree_has_every_folder_once() -> None:
    named = re.findall(r"^  (\w+)/ ", TREE, re.M)
    there = [path.name for path in (ROOT / "src" / "polyprefix").iterdir() if (path / "__init__.py").is_file()]
    assert sorted(named) == sorted(there)
    for file in re.findall(r"^  (\w+\.py) ", TREE, re.M):
        assert (ROOT / "src" / "polyprefix" / file).is_file(), file


@pytest.mark.parametrize("name", STEPS)
def test_a_step_is_a_function_or_a_class_that_exists(name: str) -> None:
    parts = name.split(".")
    for cut in range(len(parts), 0, -1):
        try:
            found = importlib.import_module(".".join(["polyprefix", *parts[:cut]]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return
    pytest.fail(f"{name}: no such module")


def test_the_example_passes_every_step() -> None:
    assert len(STEPS) == 15


@pytest.mark.parametrize("path", [*TESTS, *(f"src/polyprefix/{path}" for path in PATHS)])
def test_a_path_exists(path: str) -> None:
    assert (ROOT / path).exists()


OF_AN_EARLIER_COMMIT = {"tools/sweep.py"}
"""Named with the commit that had it."""


def named_paths() -> list[tuple[str, str]]:
    """(page, path) of every file or folder of the checkout that a page names in code."""
    rooms = [p.name for p in (ROOT / "src" / "polyprefix").iterdir() if p.is_dir()]
    found = set()
    for page in [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]:
        for path in re.findall(r"`((?:[a-z_]+/)+(?:[a-z_0-9]+\.py)?)`", page.read_text(encoding="utf-8")):
            if path not in OF_AN_EARLIER_COMMIT and path.split("/")[0] in {
                *rooms,
                "tests",
                "tools",
                "benchmarks",
                "studies",
                "docs",
                "src",
            }:
                found.add((page.name, path))
    return sorted(found)


@pytest.mark.parametrize(("page", "path"), named_paths())
def test_what_a_page_names_is_there(page: str, path: str) -> None:
    assert (ROOT / path).exists() or (ROOT / "src" / "polyprefix" / path).exists()
