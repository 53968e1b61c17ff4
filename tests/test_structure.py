"""The arrows of the flow: no module imports from a higher floor, and nothing outside methods/ or tasks/ asks which one runs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import polyprefix

ROOT = Path(polyprefix.__file__).parent
FLOORS = (
    {
        "adapter_place",
        "errors",
        "extras",
        "plugins",
        "types",
        "config",
        "settings",
        "names",
        "network",
        "atomic",
        "interruption",
        "processors",
        "progress",
        "yaml12",
        "safe_files",
        "serialize",
        "terminal",
        "languages",
        "data",
        "models",
        "prefix",
    },
    {"tasks", "text", "methods", "adapters", "scoring", "calibration", "results"},
    {"engine", "training", "evaluation", "statistics"},
    {"report"},
    {"recipe", "prediction", "doctor", "listing", "sources", "api", "integrations"},
    {"study", "serving"},
    {"cli", "__main__", "testing", "commands"},
)
FLOOR = {name: level for level, names in enumerate(FLOORS) for name in names}
FORBIDDEN = {
    "tasks": {"torch", "transformers"},
    "methods": {"polyprefix.tasks"},
    "report": {"torch", "polyprefix.models", "polyprefix.methods", "polyprefix.adapters"},
    "languages": {"torch"},
    "scoring": {"torch"},
    "calibration": {"torch"},
    "statistics": {
        "torch",
        "transformers",
        "polyprefix.models",
        "polyprefix.methods",
        "polyprefix.adapters",
        "polyprefix.report",
    },
    "results": {"torch"},
}


def imports(path: Path) -> set[str]:
    """Everything that a file imports, inside functions too."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


FILES = sorted(path for path in ROOT.rglob("*.py") if path.name != "__init__.py" or path.parent != ROOT)


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_no_arrow_runs_up(path: Path) -> None:
    place = path.relative_to(ROOT).parts[0].removesuffix(".py")
    assert place in FLOOR, f"{place} has no floor: add it to FLOORS and to docs/design.md"
    for name in imports(path):
        parts = name.split(".")
        if parts[0] == "polyprefix" and len(parts) > 1 and parts[1] in FLOOR:
            assert FLOOR[parts[1]] <= FLOOR[place], f"{path.relative_to(ROOT)} imports {name} from a higher floor"
        for forbidden in FORBIDDEN.get(place, ()):
            assert not (name == forbidden or name.startswith(forbidden + ".")), (
                f"{path.relative_to(ROOT)} imports {name}"
            )


def test_nothing_asks_which_method_or_task_runs() -> None:
    """A name of a method or task stands in its own folder, in the command's defaults, and nowhere else."""
    names = {"soft-prompt", "llama-adapter", "xnli", "belebele", "xquad", "mgsm", "sib200"}
    for path in FILES:
        place = path.relative_to(ROOT).parts[0]
        if place in ("methods", "tasks", "cli.py"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Compare):
                words = {n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)}
                assert not words & names, f"{path.relative_to(ROOT)}:{node.lineno} asks for {words & names}"


def test_importing_the_package_loads_no_heavy_library() -> None:
    code = "import polyprefix, polyprefix.cli, sys; print([m for m in ('torch','transformers','datasets','pandas') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_every_public_name_is_there() -> None:
    for name in polyprefix.__all__:
        assert getattr(polyprefix, name) is not None
