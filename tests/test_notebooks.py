"""Law: the notebooks run from top to bottom with the real model in a minute or two, and every cell shows something.

Cells are run here as a kernel runs them: statements, then the value of the last expression, shown by its `_repr_html_` or `_repr_svg_`. A
kernel would add five packages and nothing that these notebooks use.
"""

from __future__ import annotations

import ast
import json
import time
from pathlib import Path
from typing import Any

import pytest

NOTEBOOKS = sorted((Path(__file__).parents[1] / "examples").glob("*.ipynb"))
SECONDS = 240
"""On a machine that runs other tests beside them; alone they take less than 90."""


def cells(path: Path) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return found


def run(source: str, names: dict[str, Any]) -> Any:
    """The value of the last expression; None if the cell ends in a statement."""
    tree = ast.parse(source)
    last = tree.body.pop() if isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if isinstance(last, ast.Expr) else None


def test_there_are_two() -> None:
    assert [path.stem for path in NOTEBOOKS] == ["compare_methods", "own_data"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_are_kept_without_outputs(path: Path) -> None:
    code = [cell for cell in cells(path) if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] or cell["execution_count"] for cell in code)


@pytest.mark.real
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_they_run(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    start, names = time.perf_counter(), dict[str, Any]()
    shown = [run("".join(cell["source"]), names) for cell in cells(path) if cell["cell_type"] == "code"]
    assert time.perf_counter() - start < SECONDS
    for value in shown:
        for show in ("_repr_html_", "_repr_svg_"):
            if hasattr(value, show):
                assert len(getattr(value, show)()) > 100
    assert sum(value is not None for value in shown) >= 4
