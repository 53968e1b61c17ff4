"""How large the source is, at one commit or several side by side.

python -m tools.size [COMMIT ...]        the working tree where none is given

Lines are those of Python files below src, as `wc -l` counts them. Between a run and a page lie results, statistics, report, and the tables of
a study.
"""

from __future__ import annotations

import argparse
import ast
import io
import statistics
import subprocess
import tarfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
BETWEEN = ("results/", "analysis/", "statistics/", "report/", "study/table.py", "study/show.py")
"""Folders and files between a run and a page."""


def main() -> None:
    """Print a table with a column for each commit."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("commits", nargs="*", metavar="COMMIT")
    commits = parser.parse_args().commits
    sources = {commit: at_commit(commit) for commit in commits} or {"now": working_tree()}
    figures = {name: measure(files) for name, files in sources.items()}
    print("| | " + " | ".join(figures) + " |")
    print("|" + " --- |" * (len(figures) + 1))
    for row in dict.fromkeys(row for columns in figures.values() for row in columns):
        print(
            f"| {row} | "
            + " | ".join(f"{columns[row]:,}" if row in columns else "" for columns in figures.values())
            + " |"
        )


def measure(files: Mapping[str, str]) -> dict[str, int | float]:
    """What can be counted.

    Args:
        files: path below the package -> text.
    """
    trees = {path: ast.parse(text) for path, text in files.items()}
    lengths = [
        (node.end_lineno or 0) - node.lineno + 1
        for tree in trees.values()
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    between = {path: tree for path, tree in trees.items() if path.startswith(BETWEEN)}
    sizes = [lines(text) for text in files.values()]
    return {
        "files": len(files),
        "lines": sum(sizes),
        "lines between a run and a page": sum(lines(files[path]) for path in between),
        "classes between a run and a page": sum(
            isinstance(n, ast.ClassDef) for t in between.values() for n in ast.walk(t)
        ),
        "public names": len(public_names(trees["__init__.py"])),
        "median lines of a file": statistics.median(sizes),
        "largest file": max(sizes),
        "median lines of a function": statistics.median(lengths),
        "functions of more than 60 lines": sum(length > 60 for length in lengths),
        **{f"lines of {folder}": count for folder, count in sorted(folders(files).items())},
    }


def folders(files: Mapping[str, str]) -> dict[str, int]:
    """Lines of each folder, and of the files beside them."""
    found: Counter[str] = Counter()
    for path, text in files.items():
        found[path.partition("/")[0] if "/" in path else "files"] += lines(text)
    return found


def lines(text: str) -> int:
    """As `wc -l` counts them."""
    return text.count("\n")


def public_names(tree: ast.Module) -> list[str]:
    """`__all__` of the package."""
    for node in tree.body:
        if isinstance(node, ast.Assign) and any(getattr(target, "id", "") == "__all__" for target in node.targets):
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


def working_tree() -> dict[str, str]:
    """The files as they are now."""
    package = ROOT / "src" / "polyprefix"
    return {str(p.relative_to(package)): p.read_text(encoding="utf-8") for p in sorted(package.rglob("*.py"))}


def at_commit(commit: str) -> dict[str, str]:
    """The files at a commit of this repository."""
    packed = subprocess.run(
        ["git", "-C", str(ROOT), "archive", commit, "src/polyprefix"], capture_output=True, check=True
    ).stdout
    found = {}
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        for member in archive.getmembers():
            if member.name.endswith(".py") and (file := archive.extractfile(member)):
                found[member.name.removeprefix("src/polyprefix/")] = file.read().decode("utf-8")
    return found


if __name__ == "__main__":
    main()
